// The pace at which a streamed reply appears. Deltas arrive in lumps, about every 50 ms; the eye wants an even flow.
// Each frame shows a share of what waits: the backlog drains in about 150 ms, never grows, and never lags behind.

const SHARE_PER_FRAME = 0.18;

/** How many of `waiting` characters this frame shows; all of them when motion is unwelcome. */
export function revealCount(waiting: number, still: boolean): number {
  if (still || waiting <= 2) {
    return waiting;
  }
  return Math.max(2, Math.ceil(waiting * SHARE_PER_FRAME));
}

/** The end of the text to show: never in the middle of a surrogate pair. */
export function revealEnd(text: string, shown: number, still: boolean): number {
  let end = shown + revealCount(text.length - shown, still);
  const code = text.charCodeAt(end - 1);
  if (end < text.length && code >= 0xd800 && code <= 0xdbff) {
    end += 1;
  }
  return end;
}
