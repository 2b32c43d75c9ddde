// A text read as it grows is the same tree as the text read at once, at every length; what is settled stays the same objects.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GrowingMarkdown, parseMarkdown } from '../../src/lib/markdown';
import { STRETCH, stretches } from '../../src/lib/stretches';

const TEXTS = [
  'One *action* here.\n\n"Speech," she said.\n\nAnother **paragraph**\nwith a break.\n\n- a list\n- of items\n\n1. one\n2. two\n\nEnd.',
  'Text\n\n```js\nlet a = 1;\n\n\nlet b;\n```\n\n> quoted\n> lines\n\nafter\n\n---\n\n# Title\n\n||spoiler||\n\n  indented\n\nlast',
  '- item\n\n  more of it\n\n- next\n\n1\n\n1. first\n\n1. again\n\nx\n\n~~~\nopen fence\n\nnever closed',
  'windows\r\n\r\nline ends\r\n\r\n- a\r\n- b\r\n\r\nend',
  '\n\n\nleading\n\n\n\nblank lines\n\n\n',
];

for (const [at, text] of TEXTS.entries()) {
  test(`growing: text ${at} is at every length what it is when read at once`, () => {
    const reader = new GrowingMarkdown();
    for (let end = 0; end <= text.length; end += 1) {
      assert.deepEqual(reader.read(text.slice(0, end), true), parseMarkdown(text.slice(0, end), true), JSON.stringify(text.slice(0, end)));
    }
    assert.deepEqual(reader.read(text, false), parseMarkdown(text));
  });
}

test('growing: a long text is not read again, and a changed beginning is', () => {
  const reader = new GrowingMarkdown();
  const text = Array.from({ length: 200 }, (_, at) => `Paragraph ${at} with *words*.`).join('\n\n');
  const before = reader.read(text, true);
  const after = reader.read(`${text} More.`, true);
  assert.equal(before.filter((block, at) => block === after[at]).length, 198);
  assert.deepEqual(reader.read('Another text.', false), parseMarkdown('Another text.'));
});

test('stretches: a change at the end leaves what is before it alone; older rows in front shift nothing', () => {
  const row = (at: number): { id: string } => ({ id: String(at).padStart(6, '0') });
  const rows = Array.from({ length: 3 * STRETCH + 7 }, (_, at) => row(1000 + at));
  const first = stretches(rows, []);
  assert.deepEqual(first.map((part) => part.rows.length), [STRETCH, STRETCH, STRETCH, 7]);
  const said = stretches([...rows, row(5000)], first);
  assert.deepEqual(said.map((part, at) => part === first[at]), [true, true, true, false]);
  const older = stretches([...Array.from({ length: 40 }, (_, at) => row(at)), ...rows], first);
  assert.deepEqual(older.map((part) => part.rows.length), [40, STRETCH, STRETCH, STRETCH, 7]);
  assert.ok(first.every((part) => older.includes(part)));
  const edited = stretches(rows.map((item, at) => (at === 60 ? { ...item } : item)), first);
  assert.deepEqual(edited.map((part, at) => part === first[at]), [true, false, true, true]);
  assert.deepEqual(edited.flatMap((part) => part.rows).length, rows.length);
});
