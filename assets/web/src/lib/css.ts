// One's own style sheet, before it is taken: it may change how things look, and must not load anything, from here or from
// elsewhere. CSS can hide a word behind a backslash, so there are none. What is refused is named, nothing is altered.

export const CSS_LIMIT_BYTES = 20_000;

const REFUSED: [RegExp, string][] = [
  [/\\/, '\\'],
  [/@import/i, '@import'],
  [/@font-face/i, '@font-face'],
  [/@namespace/i, '@namespace'],
  [/url\s*\(/i, 'url()'],
  [/(?:-webkit-)?image-set\s*\(/i, 'image-set()'],
  [/\bsrc\s*\(/i, 'src()'],
  [/\bimage\s*\(/i, 'image()'],
  [/cross-fade\s*\(/i, 'cross-fade()'],
  [/\belement\s*\(/i, 'element()'],
  [/\bpaint\s*\(/i, 'paint()'],
  [/<\/?\s*style/i, '<style>'],
];

export type CssVerdict = { ok: true; css: string } | { ok: false; refused: string } | { ok: false; bytes: number };

export function judgeCss(text: string): CssVerdict {
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > CSS_LIMIT_BYTES) {
    return { ok: false, bytes };
  }
  // A comment inside a word is no way around either: CSS ends a word at it, and so does the check without it and with it.
  const bare = text.replace(/\/\*[\s\S]*?(?:\*\/|$)/g, '');
  const found = REFUSED.find(([sign]) => sign.test(bare) || sign.test(text));
  return found ? { ok: false, refused: found[1] } : { ok: true, css: text };
}
