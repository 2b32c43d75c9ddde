// A long list that is opened at its end. What fills the screen is drawn in the first frame, the rest joins above it in the frames
// that follow, a step in each: how soon one can read does not depend on how much was read from the server.
//
// What is drawn is told by its first row, not by a count, so rows that arrive at the end meanwhile push nothing out.

/** No message is less high, in any window: a name, one line, and the room of its buttons. In rem. */
const LEAST_REM = 5.5;
export const STEP = 10;

interface Row {
  readonly id: string;
}

/** How many rows fill a window of this height, whatever they say. */
export const enough = (heightPx: number, remPx: number): number => Math.ceil(heightPx / (LEAST_REM * remPx));

/** The first of the last `count` rows; null when that is all of them. */
export function lastOf(rows: readonly Row[], count: number): string | null {
  return rows[rows.length - count - 1] ? (rows[rows.length - count]?.id ?? null) : null;
}

/** The rows from the one that is named; all of them when none is, or when it is not there any more. */
export function since<R extends Row>(rows: readonly R[], first: string | null): readonly R[] {
  return first === null ? rows : rows.slice(Math.max(0, rows.findIndex((row) => row.id === first)));
}

/** Where drawing begins one step later; null when nothing is left. */
export function earlier(rows: readonly Row[], first: string): string | null {
  const at = rows.findIndex((row) => row.id === first) - STEP;
  return at > 0 ? (rows[at]?.id ?? null) : null;
}
