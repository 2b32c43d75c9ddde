// The words: every language says everything that English says, with the same placeholders; nothing is said that no file
// holds, no file holds what nobody says, and no component keeps words of its own.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import { parse } from 'svelte/compiler';
import './browserish';
import { languages, t, tn, words, type Area, type Language } from '../../src/lib/i18n.svelte';
import '../../src/lib/words/setup';

const root = (import.meta as unknown as { env: { ROOT: string } }).env.ROOT;
const locales = join(root, '..', 'locales');
type Sentences = Record<string, string>;

function files(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });
}

const sources = files(join(root, 'src'))
  .filter((path) => /\.(svelte|ts)$/.test(path) && !/api\/types\.ts|lib\/words\//.test(path))
  .map((path) => ({ name: relative(join(root, 'src'), path), text: readFileSync(path, 'utf8').replace(/^\s*\/\/.*$/gm, '') }));

function read(language: string): Sentences {
  const all: Sentences = {};
  for (const name of readdirSync(join(locales, language)).sort()) {
    const area = name.replace('.json', '');
    const rows = JSON.parse(readFileSync(join(locales, language, name), 'utf8')) as Sentences;
    Object.entries(rows).forEach(([key, text]) => (all[`${area}.${key}`] = text));
  }
  return all;
}

const PLURAL = /\.(zero|one|two|few|many|other)$/;
const placeholders = (text: string): string[] => [...new Set([...text.matchAll(/(?<!\{)\{(\w+)\}(?!\})/g)].map((found) => found[1] ?? ''))].sort();
const english = read('en');
const folders = readdirSync(locales).sort();

test('words: every language in the list has its folder, and the other way round', () => {
  assert.deepEqual(folders, languages.map((row) => row.tag as string).sort());
});

for (const language of folders) {
  const own = read(language);

  test(`words: ${language} says everything, and nothing that English does not`, () => {
    const forms = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
    const wanted = new Set(Object.keys(english).flatMap((key) => (PLURAL.test(key) ? forms.map((form) => key.replace(PLURAL, `.${form}`)) : [key])));
    assert.deepEqual([...wanted].filter((key) => !(key in own)), [], 'missing');
    assert.deepEqual(Object.keys(own).filter((key) => !wanted.has(key)), [], 'nobody asks for');
  });

  test(`words: ${language} has the placeholders of English, no empty sentence, no stray space`, () => {
    const bad = Object.entries(own).flatMap(([key, text]) => {
      const measure = english[key] ?? english[key.replace(PLURAL, '.other')] ?? '';
      const same = JSON.stringify(placeholders(text)) === JSON.stringify(placeholders(measure));
      return same && text === text.trim() && text !== '' && !/ {2}/.test(text) ? [] : [`${key}: ${text}`];
    });
    assert.deepEqual(bad, []);
  });
}

/** Keys that stand in the sources as literals: 'chat.stop'. A key is never put together from pieces. */
const areas = new Set(Object.keys(english).map((key) => key.split('.')[0] ?? ''));
areas.add('memory');
const literal = new RegExp(`'((?:${[...areas].join('|')})\\.[a-z0-9_]+)'`, 'g');
const said = sources.flatMap((file) => [...file.text.matchAll(literal)].map((found) => ({ file: file.name, key: found[1] ?? '' })));

test('words: every sentence is said somewhere, and every sentence that is said exists', () => {
  const stems = new Set(Object.keys(english).map((key) => key.replace(PLURAL, '')));
  const used = new Set(said.map((row) => row.key).concat('common.direction'));
  assert.deepEqual([...stems].filter((key) => !used.has(key)), [], 'said by nobody');
  assert.deepEqual([...used].filter((key) => !stems.has(key)), [], 'in no file');
});

test('words: whoever says words of an area brings them along', () => {
  const bad = said.filter(({ file, key }) => {
    const area = key.split('.')[0] ?? '';
    const text = sources.find((source) => source.name === file)?.text ?? '';
    return area !== 'common' && !text.includes(`lib/words/${area}'`) && !text.includes(`./words/${area}'`);
  });
  assert.deepEqual(bad.map(({ file, key }) => `${file}: ${key}`), []);
});

test('words: what a sentence wants is given to it', () => {
  const bad = sources.flatMap((file) =>
    [...file.text.matchAll(/\bt(n?)\(\s*'(\w+\.\w+)'((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/g)].flatMap((found) => {
      const key = found[2] ?? '';
      const wanted = placeholders(english[key] ?? english[`${key}.other`] ?? '').filter((name) => !(found[1] === 'n' && name === 'n'));
      return wanted.every((name) => new RegExp(`\\b${name}\\b`).test(found[3] ?? '')) ? [] : [`${file.name}: ${key} wants ${wanted.join(', ')}`];
    }),
  );
  assert.deepEqual(bad, []);
});

interface Node {
  type: string;
  name?: string;
  data?: string;
  value?: unknown;
  quasis?: { value: { cooked: string } }[];
  [key: string]: unknown;
}

// Attributes whose text a person sees or hears.
const SPOKEN = new Set(['label', 'aria-label', 'aria-description', 'title', 'alt', 'placeholder', 'hint', 'text', 'legend']);
// A name, written alike everywhere.
const NAMES = new Set(['Troupe']);
const isWords = (text: unknown): text is string => typeof text === 'string' && /\p{L}{2,}/u.test(text) && !NAMES.has(text.trim());

/** Literals that would be shown if this expression is: not those inside calls, comparisons or keys. */
function shownLiterals(node: Node | null | undefined): string[] {
  switch (node?.type) {
    case 'Literal':
      return isWords(node.value) ? [node.value] : [];
    case 'TemplateLiteral':
      return (node.quasis ?? []).map((piece) => piece.value.cooked).filter(isWords);
    case 'ConditionalExpression':
      return [...shownLiterals(node['consequent'] as Node), ...shownLiterals(node['alternate'] as Node)];
    case 'LogicalExpression':
    case 'BinaryExpression':
      return /^(\|\||\?\?|&&|\+)$/.test(String(node['operator'])) ? [...shownLiterals(node['left'] as Node), ...shownLiterals(node['right'] as Node)] : [];
    default:
      return [];
  }
}

function markup(node: unknown, out: string[]): void {
  if (Array.isArray(node)) {
    node.forEach((child) => markup(child, out));
    return;
  }
  if (typeof node !== 'object' || node === null) {
    return;
  }
  const it = node as Node;
  if (it.type === 'Text' && isWords(it.data)) {
    out.push(it.data.trim());
  } else if (/Directive$/.test(it.type)) {
    return; // classes, styles and listeners say nothing
  } else if (it.type === 'ExpressionTag') {
    out.push(...shownLiterals(it['expression'] as Node));
  } else if (it.type === 'Attribute') {
    if (SPOKEN.has(it.name ?? '')) {
      markup(it.value, out);
    }
    return;
  }
  for (const [key, value] of Object.entries(it)) {
    if (key !== 'expression' && key !== 'type') {
      markup(value, out);
    }
  }
}

test('words: no component keeps words of its own', () => {
  const bad = sources
    .filter((file) => file.name.endsWith('.svelte'))
    .flatMap((file) => {
      const found: string[] = [];
      markup(parse(file.text, { modern: true }).fragment, found);
      return found.map((text) => `${file.name}: ${text}`);
    });
  assert.deepEqual(bad, []);
});

test('words: no script keeps sentences of its own', () => {
  const bad = sources.flatMap((file) => {
    const script = file.name.endsWith('.svelte') ? (/<script[^>]*>([\s\S]*?)<\/script>/.exec(file.text)?.[1] ?? '') : file.text;
    const code = script.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '');
    return [...code.matchAll(/(['`])(\p{Lu}\p{Ll}+(?: [^'`\n]*\p{L}|[.!?…]))\1/gu)].map((found) => `${file.name}: ${found[2] ?? ''}`);
  });
  assert.deepEqual(bad, []);
});

test('words: another language is fetched, area by area, and shown; numbers and counts follow it', async () => {
  const asked: string[] = [];
  await words.start(async (language: Language, area: Area) => {
    asked.push(`${language} ${area}`);
    return JSON.parse(readFileSync(join(locales, language, `${area}.json`), 'utf8')) as Sentences;
  });
  assert.equal(t('common.undo'), english['common.undo']);
  assert.equal(tn('setup.models', 1), '1 model');
  assert.equal(tn('setup.models', 1200), '1,200 models');
  assert.deepEqual(asked, []);
  await words.choose('de-AT');
  assert.deepEqual(asked, ['de common', 'de setup']);
  assert.equal(t('common.undo'), 'Rückgängig');
  assert.equal(tn('setup.models', 1200), '1.200 Modelle');
  words.learn('chat', { stop: 'Stop the reply' });
  await words.settled();
  assert.equal(t('chat.stop'), 'Antwort anhalten');
  await words.choose('tlh');
  assert.equal(t('common.undo'), english['common.undo']);
});

test('words: an area that cannot be fetched is said in English', async () => {
  await words.start(() => Promise.reject(new Error('offline')));
  await words.choose('de');
  assert.equal(t('common.undo'), english['common.undo']);
  await words.choose('');
});
