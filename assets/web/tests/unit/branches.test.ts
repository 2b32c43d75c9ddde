// The order and the depth of branches, from what the server tells of them.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { branchTree } from '../../src/lib/branches';

type Row = [id: string, parent: string | null, fork: string | null];
const rows: { why: string; branches: Row[]; expected: [id: string, depth: number][] }[] = [
  { why: 'one', branches: [['a', null, null]], expected: [['a', 0]] },
  { why: 'a fork off the first', branches: [['b', 'a', '03'], ['a', null, null]], expected: [['a', 0], ['b', 1]] },
  { why: 'two at the same place stand side by side', branches: [['a', null, null], ['b', 'a', '03'], ['c', 'a', '03']], expected: [['a', 0], ['b', 1], ['c', 1]] },
  { why: 'by the place where they leave, not by age', branches: [['a', null, null], ['b', 'a', '07'], ['c', 'a', '03']], expected: [['a', 0], ['c', 1], ['b', 1]] },
  { why: 'a fork off a fork stands under it', branches: [['a', null, null], ['b', 'a', '03'], ['c', 'a', '04'], ['d', 'b', '09']], expected: [['a', 0], ['b', 1], ['d', 2], ['c', 1]] },
  { why: 'its parent is gone', branches: [['a', null, null], ['d', 'b', '09']], expected: [['a', 0], ['d', 0]] },
];

for (const { why, branches, expected } of rows) {
  test(`branches: ${why}`, () => {
    const tree = branchTree(branches.map(([id, parent_id, fork_message_id]) => ({ id, parent_id, fork_message_id })));
    assert.deepEqual(tree.map(({ branch, depth }) => [branch.id, depth]), expected);
  });
}
