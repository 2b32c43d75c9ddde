// A long list in stretches: a change at the end leaves the stretches before it the same arrays, so nothing in them is looked
// at again. A talk of a thousand messages then costs what its newest fifty cost.

export const STRETCH = 50;

export interface Stretch<Row> {
  key: string;
  rows: readonly Row[];
}

/** Cuts `rows` from the front. A stretch of `before` whose rows are all the same ones is given again as it is. */
export function stretches<Row extends { id: string }>(rows: readonly Row[], before: readonly Stretch<Row>[]): Stretch<Row>[] {
  const known = new Map(before.map((stretch) => [stretch.key, stretch]));
  const cut: Stretch<Row>[] = [];
  for (const part of parts(rows, known)) {
    const key = part[0]?.id ?? '';
    const old = known.get(key);
    cut.push(old && isSame(old.rows, part) ? old : { key, rows: part });
  }
  return cut;
}

/** Where a stretch began, it begins again: older rows in front do not shift all that follow. */
function* parts<Row extends { id: string }>(rows: readonly Row[], known: ReadonlyMap<string, unknown>): Generator<readonly Row[]> {
  let from = 0;
  for (let at = 1; at <= rows.length; at += 1) {
    const row = rows[at];
    if (!row || at - from >= STRETCH || known.has(row.id)) {
      yield rows.slice(from, at);
      from = at;
    }
  }
}

function isSame<Row>(a: readonly Row[], b: readonly Row[]): boolean {
  return a.length === b.length && a.every((row, at) => row === b[at]);
}
