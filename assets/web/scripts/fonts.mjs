// Cuts the fonts: each face of the two families in three files, so that a first visit in English or German fetches 10 to
// 12 kB a face and other letters come when a page first shows one. Both families are under the SIL Open Font License.
//
//   core   ASCII, the usual punctuation, and the letters of German
//   more   the rest of Latin-1
//   ext    Latin Extended as the packages have it: the other languages with Latin letters
//
// Writes fonts/ (not in the repository) with the style sheet that names the files; nothing when they are new enough.
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import subsetFont from 'subset-font';

const script = fileURLToPath(import.meta.url);
const root = dirname(dirname(script));
const out = join(root, 'fonts');
const sheet = join(out, 'fonts.css');

const run = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
const points = (text) => [...text].map((letter) => letter.codePointAt(0));
const core = [...new Set([...run(0x20, 0x7e), ...points('\u00a0§«°·»×ÄÖÜßäéöü–—‘’‚“”„•…€→←↑↓−')])].sort((a, b) => a - b);
const more = [...run(0xa1, 0xff), ...points('ıŒœŁłʻʼˆ˚˜‹›†‡‰™')].filter((point) => !core.includes(point)).sort((a, b) => a - b);
const EXT = 'U+0100-0130,U+0132-0140,U+0143-0151,U+0154-02BA,U+02BD-02C5,U+02C7-02CC,U+02CE-02D7,U+02DD-02FF,U+0304,U+0308,U+0329,U+1D00-1DBF,U+1E00-1E9F,U+1EF2-1EFF,U+20A0-20AB,U+20AD-20C0,U+2113,U+2C60-2C7F,U+A720-A7FF';

// What is left of the layout tables: the pairs. Ligatures would cost 1.5 kB a face; accented letters are here ready-made.
const cut = { targetFormat: 'woff2', keepFeatures: ['kern'], noHinting: true };
const figtree = '@fontsource-variable/figtree/files/figtree';
const literata = '@fontsource/literata/files/literata';
const faces = [
  { name: 'figtree', family: 'Figtree Variable', style: 'normal', weight: '400 700', from: (part) => `${figtree}-${part}-wght-normal.woff2`, variationAxes: { wght: { min: 400, max: 700 } } },
  { name: 'literata', family: 'Literata', style: 'normal', weight: '400', from: (part) => `${literata}-${part}-400-normal.woff2` },
  { name: 'literata-italic', family: 'Literata', style: 'italic', weight: '400', from: (part) => `${literata}-${part}-400-italic.woff2` },
  { name: 'literata-bold', family: 'Literata', style: 'normal', weight: '600', from: (part) => `${literata}-${part}-600-normal.woff2` },
];

/** "U+20-7E,U+A0": runs of code points as CSS writes them. */
function rangeOf(sorted) {
  const runs = [];
  for (const point of sorted) {
    const last = runs.at(-1);
    if (last && last[1] === point - 1) last[1] = point;
    else runs.push([point, point]);
  }
  const hex = (point) => point.toString(16).toUpperCase();
  return runs.map(([from, to]) => (from === to ? `U+${hex(from)}` : `U+${hex(from)}-${hex(to)}`)).join(',');
}

function rule(face, file, range) {
  return `@font-face {
  font-family: '${face.family}';
  font-style: ${face.style};
  font-weight: ${face.weight};
  font-display: swap;
  src: url('./${file}') format('woff2');
  unicode-range: ${range};
}
`;
}

async function make() {
  mkdirSync(out, { recursive: true });
  const rules = [];
  for (const face of faces) {
    const options = face.variationAxes ? { ...cut, variationAxes: face.variationAxes } : cut;
    const latin = readFileSync(join(root, 'node_modules', face.from('latin')));
    for (const [part, wanted] of [['core', core], ['more', more]]) {
      const file = `${face.name}-${part}.woff2`;
      writeFileSync(join(out, file), await subsetFont(latin, String.fromCodePoint(...wanted), options));
      rules.push(rule(face, file, rangeOf(wanted)));
    }
    const ext = `${face.name}-ext.woff2`;
    writeFileSync(join(out, ext), readFileSync(join(root, 'node_modules', face.from('latin-ext'))));
    rules.push(rule(face, ext, EXT));
  }
  writeFileSync(sheet, rules.join(''));
}

const sources = [script, join(root, 'package-lock.json')];
if (!existsSync(sheet) || sources.some((path) => statSync(path).mtimeMs > statSync(sheet).mtimeMs)) {
  await make();
}
