// What forgetting costs: one fact goes for the price of one fact, however much a house knows. That it leaves no byte is in learning.test.js.
import { test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { start, until } from "./harness.js";

const WORDS = ["tide", "lamp", "brass", "quarry", "gull", "storm", "letter", "stove", "ladder", "harbour", "compass", "winter"];
const sentence = (n) => `Olive keeps the ${WORDS[n % 12]}${n} under the ${WORDS[(n * 5) % 12]}${n * 3} since the year of ${WORDS[(n * 7) % 12]}${n * 11}.`;
const skip = existsSync("/proc/self/io") ? false : "this system does not count what a process writes";

test("what forgetting one fact writes does not grow with what the house knows", { skip, timeout: 300000 }, async (context) => {
  // Without the encoder: its batches would be counted with it.
  const t = await start({ settings: { "memory.learns": "false", "embedder.weights": "/none" } });
  context.after(() => t.stop());
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const begin = async () => (await t.api("POST", "/conversations", { character_ids: [character.id] })).json.id;
  const talks = await Promise.all(Array.from({ length: 20 }, begin));
  const add = async (talk, n) => (await t.api("POST", `/memory/${talk}/facts`, { text: sentence(n), predicate: `note_${n}` })).json.id;
  const written = () => Number(readFileSync(`/proc/${t.child.pid}/io`, "utf8").match(/^wchar: (\d+)/m)[1]);
  const isQuiet = async () => {
    const { words_pending } = (await t.api("GET", "/admin/embedder")).json;
    const jobs = (await t.api("GET", "/admin/jobs?limit=20")).json.items;
    return words_pending === 0 && !jobs.some(({ kind, state }) => kind.startsWith("memory.") && (state === "queued" || state === "running"));
  };
  /** Bytes of forgetting one fact, with all that follows from it: the least of six. */
  const cost = async (from) => {
    let least = Infinity;
    for (let i = 0; i < 6; i++) {
      const talk = await begin(), id = await add(talk, from + i);
      await until(isQuiet, "the house is at rest");
      const before = written();
      assert.equal((await t.api("DELETE", `/memory/${talk}/facts/${id}`)).status, 204);
      await until(isQuiet, "what follows is over");
      least = Math.min(least, written() - before);
    }
    return least;
  };
  const few = await cost(1);
  for (let n = 100; n < 1600; n += 10) await Promise.all(Array.from({ length: 10 }, (_, i) => add(talks[(n + i) % 20], n + i)));
  const many = await cost(2000);
  context.diagnostic(`${few} bytes in an empty house, ${many} where 1,500 facts are known`);
  assert.ok(many < 1.5 * few, `${few} bytes where nothing is known, ${many} where 1,500 facts are`);
});
