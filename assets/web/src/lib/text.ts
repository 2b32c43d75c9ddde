// Small pure helpers for words and numbers.

/** "1 message", "12 messages". */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
}

/** The one or two letters that stand in for a portrait. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const first = [...(words[0] ?? '?')][0] ?? '?';
  const last = words.length > 1 ? ([...(words[words.length - 1] ?? '')][0] ?? '') : '';
  return (first + last).toUpperCase();
}

/** A stable number from 0 to `buckets` - 1 for a name, so that a stand-in portrait keeps its colour. */
export function bucketOf(name: string, buckets: number): number {
  let hash = 2166136261;
  for (const char of name) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 16777619);
  }
  return (hash >>> 0) % buckets;
}

/** Macros of a card, filled in for display before a chat exists. */
export function fillMacros(text: string, character: string, user: string): string {
  return text
    .replace(/\{\{char\}\}|<(?:char|bot)>/gi, () => character)
    .replace(/\{\{user\}\}|<user>/gi, () => user);
}

/** Comma-separated words to a clean list, without repeats. */
export function splitList(text: string): string[] {
  const words = text.split(',').map((word) => word.trim());
  return [...new Set(words.filter(Boolean))];
}

export type PasswordAdvice = { level: 0 | 1 | 2 | 3; advice: string };

/** Advice while a password is typed. Length carries it; the server alone decides what is refused. */
export function passwordAdvice(password: string): PasswordAdvice {
  const length = [...password].length;
  const distinct = new Set(password).size;
  if (length === 0) {
    return { level: 0, advice: 'At least 8 characters; 15 or more is better. A short sentence works well.' };
  }
  if (length < 8) {
    return { level: 0, advice: `${count(8 - length, 'more character')} needed.` };
  }
  if (distinct < 5) {
    return { level: 1, advice: 'Very few different characters: easy to guess.' };
  }
  if (length < 15) {
    return { level: 2, advice: 'Good enough. Fifteen characters or more would be strong.' };
  }
  return { level: 3, advice: 'Strong.' };
}
