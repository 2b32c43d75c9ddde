// A lorebook in the editor: what the form does not know stays where it is.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newRow, readBook, writeBook } from '../../src/lib/book';

const book = {
  name: 'Harbour',
  scan_depth: 4,
  extensions: { other: true },
  entries: [
    { keys: ['lamp', 'light'], content: 'It burns oil.', enabled: true, insertion_order: 30, position: 'after_char', extensions: { weight: 2 }, id: 7 },
    { keys: ['horn'], content: 'Twice a minute.', enabled: false, insertion_order: 10, comment: 'Fog', constant: true },
  ],
};

test('book: read and written again it is the same, with what is not shown', () => {
  const written = writeBook(book, readBook(book)) as typeof book;
  assert.deepEqual({ ...written, entries: [] }, { ...book, entries: [] });
  assert.deepEqual(written.entries[0], { ...book.entries[0], constant: false });
  assert.deepEqual(written.entries[1], { ...book.entries[1], name: 'Fog' });
});

test('book: a row is added behind the others, an empty one is none, no row is no book', () => {
  const rows = readBook(book);
  const added = { ...newRow(rows), keys: ' boat, , ship ', content: 'On Tuesdays.' };
  const written = writeBook(book, [...rows, added, newRow(rows)]) as { entries: Record<string, unknown>[] };
  assert.equal(written.entries.length, 3);
  assert.deepEqual(written.entries[2], { insertion_order: 40, use_regex: false, extensions: {}, keys: ['boat', 'ship'], content: 'On Tuesdays.', enabled: true, constant: false });
  assert.equal(writeBook(book, []), null);
  assert.deepEqual(readBook(null), []);
  assert.deepEqual(readBook({ entries: ['x', null, {}] }).map((row) => row.content), ['']);
});
