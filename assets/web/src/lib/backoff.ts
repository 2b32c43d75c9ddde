// Waiting times between attempts to connect again: quick at first, half a minute at most, never in step with others.

const STEPS_MS = [500, 1000, 2000, 4000, 8000, 15000, 30000];

export function backoffMs(attempt: number, random: () => number = Math.random): number {
  const step = STEPS_MS[Math.min(attempt, STEPS_MS.length - 1)] ?? 30000;
  return Math.round(step * (0.75 + random() * 0.5));
}
