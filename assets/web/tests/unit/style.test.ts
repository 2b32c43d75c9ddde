// The house rules that a machine can read: values live in tokens.css, folders import downwards, dependencies are listed.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';

const root = (import.meta as unknown as { env: { ROOT: string } }).env.ROOT;

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const sources = files(join(root, 'src')).map((path) => ({ name: relative(join(root, 'src'), path), text: readFileSync(path, 'utf8') }));

test('style: no colour, size or duration outside tokens.css', () => {
  const bad = sources
    .filter((file) => file.name.endsWith('.svelte') || (file.name.endsWith('.css') && !/tokens|fonts/.test(file.name)))
    .flatMap((file) => {
      const css = file.name.endsWith('.css') ? file.text : (/<style>([\s\S]*)<\/style>/.exec(file.text)?.[1] ?? '');
      const lines = css.split('\n').filter((line) => !/@media|@container/.test(line));
      return lines.filter((line) => /#[0-9a-f]{3,8}\b|rgba?\(|hsla?\(|\d(px|rem|ms)\b|\d\ds\b/i.test(line)).map((line) => `${file.name}: ${line.trim()}`);
    });
  assert.deepEqual(bad, []);
});

test('style: every token that is used exists, and every token is used', () => {
  const tokens = sources.find((file) => file.name.endsWith('tokens.css'))?.text ?? '';
  const defined = new Set([...tokens.matchAll(/^\s+(--[\w-]+):/gm)].map((found) => found[1] ?? ''));
  const used = new Set(sources.flatMap((file) => [...file.text.matchAll(/var\((--[\w-]+)/g)].map((found) => found[1] ?? '')));
  assert.deepEqual([...used].filter((name) => !defined.has(name)), [], 'used but not defined');
  assert.deepEqual([...defined].filter((name) => !used.has(name)), [], 'defined but not used');
});

const RANK: Record<string, number> = { lib: 0, api: 1, state: 2, parts: 3, chat: 3, admin: 3, profile: 3, setup: 3, pages: 4, shell: 4 };

test('style: folders import downwards; parts know only lib', () => {
  const bad = sources.flatMap((file) => {
    const folder = file.name.includes('/') ? (file.name.split('/')[0] ?? '') : '';
    const rank = RANK[folder] ?? 9;
    const imports = [...file.text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((found) => found[1] ?? '');
    return imports
      .map((path) => ({ path, to: path.startsWith('./') ? folder : (path.replace('../', '').split('/')[0] ?? '') }))
      .filter(({ to }) => to !== folder && ((RANK[to] ?? 0) > rank || (folder === 'parts' && to !== 'lib')))
      .map(({ path }) => `${file.name}: ${path}`);
  });
  assert.deepEqual(bad, []);
});

test('style: no markup is made from text', () => {
  const bad = sources.filter((file) => /innerHTML|outerHTML|insertAdjacentHTML|\{@html|document\.write|DOMParser/.test(file.text.replace(/^\s*\/\/.*$/gm, '')));
  assert.deepEqual(bad.map((file) => file.name), []);
});

test('style: no style attribute in markup, because the Content-Security-Policy refuses it', () => {
  const bad = sources.filter((file) => file.name.endsWith('.svelte') && /<[a-z][^>]*\sstyle="/i.test(file.text));
  assert.deepEqual(bad.map((file) => file.name), []);
});

test('style: nothing secret is written to storage', () => {
  const bad = sources.filter((file) => /(localStorage|sessionStorage)[^;]*token/i.test(file.text));
  assert.deepEqual(bad.map((file) => file.name), []);
});

test('style: the lock file names no registry', () => {
  assert.doesNotMatch(readFileSync(join(root, 'package-lock.json'), 'utf8'), /"resolved"|https?:\/\/[^"]*\.tgz/);
});
