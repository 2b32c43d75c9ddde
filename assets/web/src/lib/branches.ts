// The branches of a conversation in the order of a tree: the first one, then each that leaves it with those that leave that one, by the place
// where they leave; each with its depth.

interface Node {
  id: string;
  parent_id: string | null;
  fork_message_id: string | null;
}

export interface TreeRow<Row> {
  branch: Row;
  depth: number;
}

export function branchTree<Row extends Node>(branches: readonly Row[]): TreeRow<Row>[] {
  const known = new Set(branches.map((row) => row.id));
  const inOrder = [...branches].sort((a, b) => compare(a.fork_message_id ?? '', b.fork_message_id ?? '') || compare(a.id, b.id));
  const rows: TreeRow<Row>[] = [];
  const visit = (parent: string | null, depth: number): void => {
    for (const branch of inOrder) {
      // A branch whose parent is empty (all of it deleted) and therefore not told of stands at the root.
      if ((branch.parent_id && known.has(branch.parent_id) ? branch.parent_id : null) === parent) {
        rows.push({ branch, depth });
        visit(branch.id, depth + 1);
      }
    }
  };
  visit(null, 0);
  return rows;
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
