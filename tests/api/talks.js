// Talks that several files need: brought in as an import, and waited for until all of them can be found.
import assert from "node:assert/strict";
import { until } from "./harness.js";

const MINUTE_MS = 60000;

/** A talk of Olive with Ada, line(0), line(1) ...: every other one is Ada's, a step after the one before. */
export function messagesOf(count, line, { from = Date.UTC(2025, 0, 1), step_ms = MINUTE_MS } = {}) {
  return Array.from({ length: count }, (_, n) => ({ id: `m${n}`, role: n % 2 ? "assistant" : "user", name: n % 2 ? "Ada" : "Olive", content: line(n), created_at: new Date(from + n * step_ms).toISOString() }));
}

/** Brings messages in as a conversation with a new character, and gives the conversation. */
export async function importTalk(t, messages) {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const answer = await t.api("POST", "/conversations/import", { format: "troupe", character_id: character.id, messages });
  assert.equal(answer.status, 201, answer.text);
  return answer.json.conversation;
}

export const embedder = async (t) => (await t.api("GET", "/admin/embedder")).json;

/** Waits until every word and every vector is there (making them gives way to everything else that the machine does); gives what the admin page says then. `isDone` may ask for more. */
export const indexed = (t, { timeout_ms = 600000, isDone = () => true } = {}) => until(async () => {
  const now = await embedder(t);
  return now.vectors_pending === 0 && now.words_pending === 0 && isDone(now) && now;
}, "everything is indexed", timeout_ms);

/** Waits until no job of a kind is under way or to come, and gives the last hundred of them. */
export const jobsDone = (t, kind) => until(async () => {
  const jobs = (await t.api("GET", `/admin/jobs?kind=${kind}&limit=100`)).json.items;
  return !jobs.some((job) => job.state === "queued" || job.state === "running") && jobs;
}, `the jobs of ${kind} are over`);

/** What waits for its time is given it: the clock moves to the moment of the next job of a kind, and never while one is under way, whose own deadlines would pass. */
export async function hurry(t, kind) {
  const jobs = (await t.api("GET", `/admin/jobs?kind=${kind}&limit=100`)).json.items;
  const waiting = jobs.filter((job) => job.state === "queued").map((job) => Date.parse(job.run_at));
  const ahead_ms = Math.min(...waiting) - (Date.now() + (t.clock ?? 0));
  if (waiting.length > 0 && !jobs.some((job) => job.state === "running") && ahead_ms > 0) t.moveClock(ahead_ms + 1);
}
