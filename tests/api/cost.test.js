// Allocations are counted, like statements in plans.test.js: what creeps in line by line is seen here before it is felt.
//
// The shipped binary runs with tests/fakes/count_allocations.c between it and its allocator. SQLite's own calls are in the numbers (Debian builds it without
// its small private heap, so every value of a row that is longer than a few bytes is one); the ceilings stand a little above what was counted when they were
// written. Each number is the least of three rounds: a timer of the house that fires in between is not the request's.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { existsSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { binary, start, until } from "./harness.js";

const library = join(dirname(binary), "libcount_allocations.so");
const skip = readFileSync(binary).includes("__asan_init") ? "a sanitizer has an allocator of its own" : false;
const countsFile = join(process.env.TMPDIR ?? "/tmp", `troupe-allocations-${process.pid}`);

let t, character, counts;

before(async () => {
  if (skip) return;
  assert.ok(existsSync(library), `${library} is missing: cmake --build build/release --target count_allocations`);
  // Without the encoder: what it does behind a request is no cost of the request, and how much of it falls into a round is chance.
  t = await start({ env: { LD_PRELOAD: library, COUNT_ALLOCATIONS: countsFile }, settings: { "embedder.weights": "/none" } });
  await until(async () => (await t.api("GET", "/admin/embedder")).json.words_pending === 0, "the starters are indexed");
  counts = openSync(countsFile, "r");
  character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening.", description: "A clockmaker." })).json;
});
after(async () => {
  await t?.stop();
  rmSync(countsFile, { force: true });
});

function allocations() {
  const bytes = Buffer.alloc(16);
  readSync(counts, bytes, 0, 16, 0);
  return { calls: Number(bytes.readBigUInt64LE(0)), bytes: Number(bytes.readBigUInt64LE(8)) };
}

/** What was said before is indexed and learnt from in the background: it ends before anything is counted. */
async function settled() {
  let [last, since] = [allocations().calls, Date.now()];
  await until(() => {
    const now = allocations().calls;
    if (now !== last) [last, since] = [now, Date.now()];
    return Date.now() - since > 1500; // learning waits for a second of quiet
  }, "the background came to rest", 60000);
}

/** Calls and bytes per request: the least of three rounds of `count` requests. */
async function cost(count, request) {
  await settled();
  for (let i = 0; i < 5; i++) await request();
  const least = { calls: Infinity, bytes: Infinity };
  for (let round = 0; round < 3; round++) {
    const began = allocations();
    for (let i = 0; i < count; i++) await request();
    const ended = allocations();
    least.calls = Math.min(least.calls, (ended.calls - began.calls) / count);
    least.bytes = Math.min(least.bytes, (ended.bytes - began.bytes) / count);
  }
  return least;
}

async function expectAtMost(t, ceiling, count, request) {
  const { calls, bytes } = await cost(count, request);
  t.diagnostic(`${calls} allocations, ${Math.round(bytes / 1024)} KB`);
  assert.ok(calls <= ceiling.calls, `${calls} allocations, the ceiling is ${ceiling.calls}`);
  assert.ok(bytes <= ceiling.kb * 1024, `${Math.round(bytes / 1024)} KB asked for, the ceiling is ${ceiling.kb}`);
}

async function get(path) {
  const answer = await t.api("GET", path);
  assert.equal(answer.status, 200, answer.text);
}

async function say(conversation, body) {
  const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, body);
  assert.equal(answer.status, 201, answer.text);
}

async function talkOf(messages) {
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  for (let i = 0; i < messages; i++) await say(conversation, { content: `line ${i}`, reply: false });
  return conversation;
}

test("what needs no database allocates nothing", { skip }, async (context) => {
  await expectAtMost(context, { calls: 0, kb: 0 }, 100, () => get("/healthz"));
});

test("a list of characters", { skip }, async (context) => {
  await expectAtMost(context, { calls: 60, kb: 12 }, 50, () => get("/characters"));
});

test("one character", { skip }, async (context) => {
  await expectAtMost(context, { calls: 34, kb: 4 }, 50, () => get(`/characters/${character.id}`));
});

test("a page of twenty messages, the latest of a talk of sixty", { skip }, async (context) => {
  const conversation = await talkOf(60);
  await expectAtMost(context, { calls: 14, kb: 10 }, 50, () => get(`/conversations/${conversation.id}/messages?limit=20`));
});

// Each message is indexed in the background: some 170 allocations, nearly all of them FTS5's (a hash of its words, a segment written
// with the commit) and the vector store's. They are counted here because they come with every message, though nobody waits for them.
// A quick machine takes several messages into one batch; the ceiling is what they cost one by one.
test("a message that is only stored", { skip }, async (context) => {
  const conversation = await talkOf(0);
  await expectAtMost(context, { calls: 600, kb: 600 }, 50, () => say(conversation, { content: "a line", reply: false }));
});

test("a turn with the Understudy, early in a talk", { skip }, async (context) => {
  const conversation = await talkOf(0);
  await expectAtMost(context, { calls: 1000, kb: 1300 }, 10, () => say(conversation, { content: "Hello there." }));
});

test("a turn late in a talk of two hundred messages", { skip }, async (context) => {
  const conversation = await talkOf(200);
  await expectAtMost(context, { calls: 1150, kb: 1800 }, 10, () => say(conversation, { content: "Hello there." }));
});
