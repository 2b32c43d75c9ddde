// The pace at which a streamed reply appears. Deltas arrive in lumps, about every 50 ms; the eye wants an even flow.
// Each step shows a share of what waits: the backlog drains in about 150 ms, never grows, and never lags behind.

const DRAIN_MS = 85; // after this long, two thirds of what waited are shown

/** How many of `waiting` characters are shown `elapsed_ms` after the last step; all of them when motion is unwelcome. */
export function revealCount(waiting: number, elapsed_ms: number, still: boolean): number {
  if (still || waiting <= 2) {
    return waiting;
  }
  return Math.min(waiting, Math.max(2, Math.ceil(waiting * (1 - Math.exp(-elapsed_ms / DRAIN_MS)))));
}

/** The end of the text to show: never in the middle of a surrogate pair. */
export function revealEnd(text: string, shown: number, elapsed_ms: number, still: boolean): number {
  let end = shown + revealCount(text.length - shown, elapsed_ms, still);
  const code = text.charCodeAt(end - 1);
  if (end < text.length && code >= 0xd800 && code <= 0xdbff) {
    end += 1;
  }
  return end;
}
