// The parts of the shell that need no browser: keys, the fit of titles, style sheets that are refused, what is kept to read.
import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Kept } from '../../src/api/kept';
import { offer, offered } from '../../src/lib/commands.svelte';
import { CSS_LIMIT_BYTES, judgeCss } from '../../src/lib/css';
import { fit } from '../../src/lib/fuzzy';
import { words } from '../../src/lib/i18n.svelte';
import { combos, keyCaps, pressed } from '../../src/lib/keys';

const press = (key: string, held: Partial<KeyboardEvent> = {}): KeyboardEvent =>
  ({ key, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, isComposing: false, ...held }) as KeyboardEvent;

test('keys: a press is a command with exactly its keys held', () => {
  const rows: [KeyboardEvent, keyof typeof combos, boolean][] = [
    [press('k', { ctrlKey: true }), 'palette', true],
    [press('K', { metaKey: true }), 'palette', true],
    [press('k'), 'palette', false],
    [press('k', { ctrlKey: true, altKey: true }), 'palette', false],
    [press('k', { ctrlKey: true, shiftKey: true }), 'palette', false],
    [press('F1'), 'help', true],
    [press('?', { shiftKey: true }), 'help', true],
    [press('?'), 'help', true],
    [press('Enter'), 'send', true],
    [press('Enter', { shiftKey: true }), 'send', false],
    [press('Enter', { isComposing: true }), 'send', false],
    [press('Enter', { ctrlKey: true }), 'save', true],
    [press('ArrowLeft'), 'previous', true],
  ];
  rows.forEach(([event, what, is]) => assert.equal(pressed(event, what), is, `${event.key} ${what}`));
  assert.deepEqual(keyCaps('Shift+ArrowUp'), ['Shift', '↑']);
});

test('keys: the arrows follow the line of reading', async () => {
  await words.start(async (): Promise<Record<string, string>> => ({ direction: 'rtl' }));
  await words.choose('de');
  assert.ok(pressed(press('ArrowRight'), 'previous') && pressed(press('ArrowLeft'), 'next'));
  assert.ok(!pressed(press('ArrowLeft'), 'previous') && !pressed(press('ArrowRight'), 'next'));
  assert.ok(pressed(press('ArrowUp'), 'editLast'));
  assert.deepEqual(combos.previous.flatMap(keyCaps), ['→'], 'the help shows the key that does it');
  await words.choose('en');
  assert.ok(pressed(press('ArrowLeft'), 'previous') && !pressed(press('ArrowRight'), 'previous'));
});

test('fuzzy: the better a title fits, the higher it stands', () => {
  const titles = ['Settings', 'Sign out', 'Otar Lomidze', 'Bimalendu Ghoshal, the Great Ghoshal', 'Ótár the Younger'];
  const best = (typed: string): string | undefined => titles.map((row) => ({ row, score: fit(typed, row) })).sort((a, b) => b.score - a.score).filter(({ score }) => score > 0)[0]?.row;
  assert.equal(best('set'), 'Settings');
  assert.equal(best('sout'), 'Sign out');
  assert.equal(best('great'), 'Bimalendu Ghoshal, the Great Ghoshal');
  assert.equal(best('OTÁR L'), 'Otar Lomidze');
  assert.equal(best('otar the'), 'Ótár the Younger');
  assert.equal(best('zzz'), undefined);
  assert.equal(best('gns'), undefined, 'letters strewn by chance');
  assert.equal(fit('', 'anything'), 1);
});

test('css: what could load something is named and refused, the rest is taken as it is', () => {
  const refused = [
    'a{background:url(x)}', 'a{background:URL (x)}', "@import 'x';", '@IMPORT url(x)', 'a{b:image-set("x" 1x)}', 'a{b:-webkit-image-set("x" 1x)}', '@font-face{src:local(x)}',
    'a{b:u\\72l(x)}', '@\\69mport "x"', 'a{b:ur/**/l(x)}', '@im/* */port "x"', 'a{b:src("x")}', 'a{b:image("x")}', 'a{b:cross-fade(x)}', 'a{b:element(#x)}', 'a{b:paint(x)}',
    '</style><script>', '@namespace svg "x"', 'a{} /* unclosed url(x)',
  ];
  refused.forEach((text) => assert.equal(judgeCss(text).ok, false, text));
  const taken = ['', ':root{--accent:oklch(70% 0.1 20)}', 'a::before{content:"curl up, an image of it"}', '/* a word on colours */ b{color:red}', 'p{mask:linear-gradient(red,blue)}'];
  taken.forEach((text) => assert.deepEqual(judgeCss(text), { ok: true, css: text }));
  assert.equal(judgeCss('ä'.repeat(CSS_LIMIT_BYTES / 2)).ok, true);
  assert.deepEqual(judgeCss(`${'ä'.repeat(CSS_LIMIT_BYTES / 2)}.`), { ok: false, bytes: CSS_LIMIT_BYTES + 1 });
});

test('commands: what the page offers stands first, once, and goes with it', () => {
  const house = offer(() => [{ id: 'help', title: 'Help', run: () => {} }, { id: 'out', title: 'Out', run: () => {} }]);
  const page = offer(() => [{ id: 'help', title: 'Help with this page', run: () => {} }]);
  assert.deepEqual(offered().map((row) => row.title), ['Help with this page', 'Out']);
  page();
  assert.deepEqual(offered().map((row) => row.title), ['Help', 'Out']);
  house();
  assert.deepEqual(offered(), []);
});

/** As much of the browser's Cache as is used. */
class Shelf {
  rows = new Map<string, string>();
  async put(key: string, answer: Response): Promise<void> {
    this.rows.delete(key); // what is put again is the last, as in browsers
    this.rows.set(key, await answer.text());
  }
  async match(key: string): Promise<Response | undefined> {
    const text = this.rows.get(key);
    return text === undefined ? undefined : new Response(text);
  }
  async delete(key: string | { url: string }): Promise<boolean> {
    return this.rows.delete(typeof key === 'string' ? key : key.url.replace('http://x', ''));
  }
  async keys(): Promise<{ url: string }[]> {
    return [...this.rows.keys()].map((key) => ({ url: `http://x${key}` }));
  }
}

class Shelves {
  all = new Map<string, Shelf>();
  async open(name: string): Promise<Shelf> {
    const shelf = this.all.get(name) ?? new Shelf();
    this.all.set(name, shelf);
    return shelf;
  }
  async keys(): Promise<string[]> {
    return [...this.all.keys()];
  }
  async delete(name: string): Promise<boolean> {
    return this.all.delete(name);
  }
}

test('kept: reads by account, only what is meant for reading, the newest thirty talks, nothing after sign-out', async () => {
  const shelves = new Shelves();
  const kept = new Kept(shelves as unknown as CacheStorage);
  const id = (n: number): string => `0TALK${String(n).padStart(8, '0')}`;
  await kept.keep('/users/me', '', { id: 'nobody' });
  assert.equal(shelves.all.size, 0, 'nothing is kept for nobody');
  kept.open('olive');
  await kept.keep('/users/me', '', { id: 'olive' });
  for (const [path, query] of [['/auth/sessions', ''], ['/auth/api-keys', ''], ['/admin/users', ''], ['/users/me/export', ''], [`/conversations/${id(1)}/messages`, '?limit=40&cursor=abc'], ['/characters/search', '?q=x']] as const) {
    await kept.keep(path, query, { secret: true });
    assert.equal(await kept.read(path, query), undefined, path + query);
  }
  for (let n = 0; n < 40; n += 1) {
    await kept.keep(`/conversations/${id(n)}`, '', { n });
    await kept.keep(`/conversations/${id(n)}/messages`, '?limit=40', { items: [n] });
  }
  assert.equal(await kept.read(`/conversations/${id(9)}/messages`, '?limit=40'), undefined, 'the oldest went');
  assert.deepEqual(await kept.read(`/conversations/${id(10)}/messages`, '?limit=40'), { items: [10] });
  assert.deepEqual(await kept.read(`/conversations/${id(39)}`, ''), { n: 39 });
  await kept.keep(`/conversations/${id(10)}`, '', { n: 10, again: true });
  await kept.keep(`/conversations/${id(40)}`, '', { n: 40 });
  assert.deepEqual(await kept.read(`/conversations/${id(10)}`, ''), { n: 10, again: true }, 'read again is new again');
  assert.equal(await kept.read(`/conversations/${id(11)}`, ''), undefined);
  kept.open('otto');
  assert.equal(await kept.read('/users/me', ''), undefined, 'another account has its own');
  await kept.forget();
  assert.equal(shelves.all.size, 0);
  await new Kept(undefined).keep('/users/me', '', {});
});
