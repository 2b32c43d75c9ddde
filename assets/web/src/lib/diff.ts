// What changed between two texts, word by word: the longest common subsequence of words (Hunt and Szymanski's problem, by the plain table).
// Beginning and end that are equal are taken off first; two middles whose table would be larger than CELLS are told as one replaced by the other.

export interface Change {
  kind: 'same' | 'gone' | 'new';
  text: string;
}

const CELLS = 4_000_000; // 2,000 words against 2,000 take a few hundredths of a second

export function diffWords(before: string, after: string): Change[] {
  const [old, now] = [wordsOf(before), wordsOf(after)];
  let head = 0;
  while (head < old.length && head < now.length && old[head] === now[head]) {
    head += 1;
  }
  let tail = 0;
  while (tail < old.length - head && tail < now.length - head && old[old.length - 1 - tail] === now[now.length - 1 - tail]) {
    tail += 1;
  }
  const changes: Change[] = [];
  add(changes, 'same', old.slice(0, head));
  middle(changes, old.slice(head, old.length - tail), now.slice(head, now.length - tail));
  add(changes, 'same', old.slice(old.length - tail));
  return changes;
}

/** Words and what stands between them, each with the space that follows it: a full stop that became a comma is no other word. */
const wordsOf = (text: string): string[] => text.match(/(?:[\p{L}\p{M}\p{N}'’_-]+|[^\s\p{L}\p{M}\p{N}'’_-]+)\s*|\s+/gu) ?? [];

function add(changes: Change[], kind: Change['kind'], words: string[]): void {
  const last = changes[changes.length - 1];
  if (words.length === 0) {
    return;
  }
  if (last?.kind === kind) {
    last.text += words.join('');
  } else {
    changes.push({ kind, text: words.join('') });
  }
}

function middle(changes: Change[], old: string[], now: string[]): void {
  if (old.length * now.length > CELLS) {
    add(changes, 'gone', old);
    add(changes, 'new', now);
    return;
  }
  const width = now.length + 1;
  const common = new Uint16Array((old.length + 1) * width); // of the rest from here on
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      common[i * width + j] =
        old[i] === now[j] ? (common[(i + 1) * width + j + 1] ?? 0) + 1 : Math.max(common[(i + 1) * width + j] ?? 0, common[i * width + j + 1] ?? 0);
    }
  }
  let [i, j] = [0, 0];
  while (i < old.length && j < now.length) {
    if (old[i] === now[j]) {
      add(changes, 'same', [old[i] ?? '']);
      i += 1;
      j += 1;
    } else if ((common[(i + 1) * width + j] ?? 0) >= (common[i * width + j + 1] ?? 0)) {
      add(changes, 'gone', [old[i] ?? '']);
      i += 1;
    } else {
      add(changes, 'new', [now[j] ?? '']);
      j += 1;
    }
  }
  add(changes, 'gone', old.slice(i));
  add(changes, 'new', now.slice(j));
}
