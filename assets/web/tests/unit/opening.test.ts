// How a long talk is opened: what is drawn in the first frame, what joins in the ones after it, what is asked for and when.
import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { earlier, enough, lastOf, since, STEP } from '../../src/lib/opening';

const rows = Array.from({ length: 40 }, (_, at) => ({ id: String(at) }));

test('opening: the last rows first, then a step in each turn, until nothing is left', () => {
  let first = lastOf(rows, 9);
  const drawn = [since(rows, first).length];
  while (first !== null) {
    first = earlier(rows, first);
    drawn.push(since(rows, first).length);
  }
  assert.deepEqual(drawn, [9, 9 + STEP, 9 + 2 * STEP, 9 + 3 * STEP, 40]);
});

test('opening: a talk that fits is drawn whole at once', () => {
  assert.equal(lastOf([], 9), null);
  assert.equal(lastOf(rows.slice(0, 9), 9), null);
  assert.equal(lastOf(rows.slice(0, 10), 9), '1');
  assert.equal(since(rows, null), rows);
});

test('opening: what is said meanwhile pushes nothing out, and another branch is drawn whole', () => {
  const first = lastOf(rows, 9);
  const more = [...rows, { id: 'new' }];
  assert.deepEqual(since(more, first).map((row) => row.id), [...rows.slice(31).map((row) => row.id), 'new']);
  assert.deepEqual(since([{ id: 'x' }, { id: 'y' }], first).map((row) => row.id), ['x', 'y']);
  assert.equal(earlier([{ id: 'x' }, { id: 'y' }], first ?? ''), null);
});

test('opening: what fills a window follows its height and the size of its letters', () => {
  assert.equal(enough(844, 16), 10);
  assert.equal(enough(844, 32), 5);
  assert.equal(enough(2160, 16), 25);
  assert.ok(enough(300, 16) >= 1);
});
