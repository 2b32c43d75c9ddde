// How well typed letters fit a title: all of them in order, better at the beginnings of words and in one run.

/** 0: does not fit; the higher the better. Accents and case do not count. */
export function fit(typed: string, title: string): number {
  const query = plain(typed).replace(/\s+/g, '');
  const text = plain(title);
  if (query === '') {
    return 1;
  }
  const whole = text.indexOf(plain(typed).trim());
  if (whole >= 0) {
    return 1000 - Math.min(whole, 100) + (whole === 0 || isStart(text, whole) ? 200 : 0) - Math.min(text.length, 99) / 100;
  }
  let score = 0;
  let at = -1;
  for (const letter of query) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0) {
      return 0;
    }
    score += isStart(text, next) ? 12 : next === at + 1 ? 6 : 1;
    at = next;
  }
  // Letters strewn over the text by chance are no answer.
  return score >= query.length * 4 ? score : 0;
}

function isStart(text: string, at: number): boolean {
  return at === 0 || /[\s\p{P}]/u.test(text[at - 1] ?? '');
}

function plain(text: string): string {
  return text.toLowerCase().normalize('NFD').replace(/\p{M}/gu, '');
}
