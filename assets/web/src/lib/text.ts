// Small pure helpers for names and macros.

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
