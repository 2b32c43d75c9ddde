// The colours of tokens.css, measured: every text on every surface that it stands on, in every theme (WCAG 2.2, 1.4.3 and 1.4.11).
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const root = (import.meta as unknown as { env: { ROOT: string } }).env.ROOT;
const css = readFileSync(join(root, 'src', 'styles', 'tokens.css'), 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');

type Colour = [number, number, number]; // linear light, 0 to 1

/** OKLCH to linear sRGB (https://bottosson.github.io/posts/oklab/), cut to what a screen can show. */
function linear(text: string): Colour {
  const [, l, c, h] = (/oklch\(([\d.]+)% ([\d.]+) ([\d.]+)\)/.exec(text) ?? []).map(Number);
  assert.ok(l !== undefined && c !== undefined && h !== undefined, `an opaque OKLCH colour: ${text}`);
  const [a, b] = [c * Math.cos((h * Math.PI) / 180), c * Math.sin((h * Math.PI) / 180)];
  const x = (l / 100 + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const y = (l / 100 - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const z = (l / 100 - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const cut = (part: number): number => Math.min(1, Math.max(0, part));
  return [
    cut(4.0767416621 * x - 3.3077115913 * y + 0.2309699292 * z),
    cut(-1.2684380046 * x + 2.6097574011 * y - 0.3413193965 * z),
    cut(-0.0041960863 * x - 0.7034186147 * y + 1.707614701 * z),
  ];
}

const luminance = ([r, g, b]: Colour): number => 0.2126 * r + 0.7152 * g + 0.0722 * b;

function contrast(one: string, other: string): number {
  const [bright, dark] = [luminance(linear(one)), luminance(linear(other))].sort((a, b) => b - a) as [number, number];
  return (bright + 0.05) / (dark + 0.05);
}

/** All rules whose selector the theme has, later ones over earlier ones, as the browser does it. */
function theme(selectors: string[]): Record<string, string> {
  const tokens: Record<string, string> = {};
  for (const [, selector, body] of css.matchAll(/([^{}@]+)\{([^{}]*)\}/g)) {
    if ((selector ?? '').split(',').some((part) => selectors.includes(part.trim()))) {
      for (const [, name, value] of (body ?? '').matchAll(/(--[\w-]+):\s*([^;]+);/g)) {
        tokens[name ?? ''] = value ?? '';
      }
    }
  }
  return tokens;
}

const more = ":root[data-contrast='more']";
const themes: [string, Record<string, string>, number, number, number][] = [
  ['dark', theme([':root', ":root[data-theme='dark']"]), 7, 4.5, 3],
  ['light', theme([':root', ":root[data-theme='light']"]), 7, 4.5, 3],
  ['dark with more contrast', theme([':root', ":root[data-theme='dark']", more]), 10, 7, 4.5],
  ['light with more contrast', theme([':root', ":root[data-theme='light']", more, ":root[data-theme='light'][data-contrast='more']"]), 10, 7, 4.5],
];
const surfaces = ['--ground', '--ground-deep', '--surface', '--surface-raised', '--surface-hover', '--mine', '--field'];

for (const [name, tokens, text, muted, edge] of themes) {
  const at = (token: string): string => tokens[token] ?? '';
  const bad = (rows: [string, string, number][]): string[] =>
    rows.flatMap(([one, other, least]) => {
      const is = contrast(at(one), at(other));
      return is >= least ? [] : [`${one} on ${other}: ${is.toFixed(2)}, wanted ${least}`];
    });

  test(`tokens: ${name}: text can be read on every surface`, () => {
    assert.deepEqual(bad(surfaces.flatMap((surface) => [['--text', surface, text], ['--speech', surface, text], ['--text-muted', surface, muted]])), []);
  });

  test(`tokens: ${name}: what is said by colour can be read, too`, () => {
    const on = ['--ground', '--ground-deep', '--surface', '--surface-raised', '--mine'];
    const said = ['--text-faint', '--action', '--link', '--danger', '--good'];
    assert.deepEqual(bad([...on.flatMap((surface) => said.map((token): [string, string, number] => [token, surface, muted])), ['--accent-ink', '--accent', muted], ['--accent-ink', '--accent-hover', muted]]), []);
  });

  test(`tokens: ${name}: controls and the focus stand out`, () => {
    const on = ['--ground', '--ground-deep', '--surface', '--surface-raised', '--field'];
    assert.deepEqual(bad(on.flatMap((surface) => ['--edge-control', '--focus', '--accent'].map((token): [string, string, number] => [token, surface, edge]))), []);
  });
}

test('tokens: every colour is OKLCH', () => {
  assert.deepEqual(css.match(/#[0-9a-f]{3,8}\b|\brgba?\(|\bhsla?\(/gi) ?? [], []);
});
