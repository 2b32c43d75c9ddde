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

/** Of the newest message a server gives 120 letters; fewer are shown, so that one sees where it is cut. */
export const LINE = 110;

/** The beginning of a text, cut after a whole word when there is more. */
export function beginning(text: string, most: number): string {
  const line = text.replace(/\s+/g, ' ').trim();
  return line.length <= most ? line : `${line.slice(0, most + 1).replace(/\s\S*$|.$/, '')}…`;
}

/** Browser and system of a User-Agent, as a person calls them; what tells of neither stays as it is. */
export function deviceOf(agent: string): string {
  const first = (rows: [RegExp, string][]): string => rows.find(([mark]) => mark.test(agent))?.[1] ?? '';
  const browser = first(BROWSERS);
  const system = first(SYSTEMS);
  return browser && system ? `${browser}, ${system}` : browser || agent;
}

// The order counts: most browsers name those whose pages they want to be served.
const BROWSERS: [RegExp, string][] = [
  [/\bEdgA?\//, 'Edge'],
  [/\bOPR\//, 'Opera'],
  [/\bFirefox\/|\bFxiOS\//, 'Firefox'],
  [/\b(?:Headless)?Chrome\/|\bCriOS\//, 'Chrome'],
  [/\bSafari\//, 'Safari'],
];
const SYSTEMS: [RegExp, string][] = [
  [/\bAndroid\b/, 'Android'],
  [/\biPhone\b/, 'iPhone'],
  [/\biPad\b/, 'iPad'],
  [/\bWindows\b/, 'Windows'],
  [/\bMac OS X\b/, 'macOS'],
  [/\bCrOS\b/, 'ChromeOS'],
  [/\bLinux\b/, 'Linux'],
];

/** Comma-separated words to a clean list, without repeats. */
export function splitList(text: string): string[] {
  const words = text.split(',').map((word) => word.trim());
  return [...new Set(words.filter(Boolean))];
}
