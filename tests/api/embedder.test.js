// The encoder that the house brings along, from outside: what it takes when it is awake, that it goes to sleep again, that it holds up nobody, and where its
// weights may be. What its vectors are worth is in tests/unit/test_embedder.c, what is found by them in memory_recall.test.js.
import { test } from "node:test";
import assert from "node:assert/strict";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { binary, serve, start, until } from "./harness.js";
import { embedder, importTalk, indexed, messagesOf } from "./talks.js";

const isSanitized = readFileSync(binary).includes("__asan_init");
const weights = join(dirname(binary), "generated/embedder.weights");
const MB = 1e6;

const residentOf = (t) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${t.child.pid}/status`, "utf8"))[1]) * 1024;

const PLACES = ["market", "harbour", "library", "old mill", "station", "garden", "bakery", "chapel", "museum", "bridge"];
const THINGS = ["a brass compass", "seven lemons", "a letter from my aunt", "the blue umbrella", "a jar of honey", "two tickets", "somebody's violin"];
const line = (n) => `I walked to the ${PLACES[n % 10]} today, it was number ${n}. There I found ${THINGS[n % 7]} and took it home. What would you have done with it?`;

test("awake it takes at most 60 MB with the whole house; after half a minute of rest its pages are gone", { skip: isSanitized && "a sanitizer has memory of its own" }, async (c) => {
  const t = await serve();
  const asleep = residentOf(t); // before there is a cast, whose cards wake it
  await t.setUp();
  await importTalk(t, messagesOf(200, line));
  let awake = 0;
  await until(async () => {
    awake = Math.max(awake, residentOf(t));
    return (await embedder(t)).vectors_pending === 0;
  }, "everything is embedded", 600000);
  assert.ok(awake > asleep + 10 * MB, `it was awake: ${asleep / MB} MB, then ${awake / MB} MB`);
  assert.ok(awake <= 60 * MB, `${awake / MB} MB when awake`);
  t.moveClock(31000);
  await until(() => residentOf(t) < awake - 12 * MB, "its pages leave the process");
  c.diagnostic(`${(asleep / MB).toFixed(1)} MB asleep, ${(awake / MB).toFixed(1)} MB awake, ${(residentOf(t) / MB).toFixed(1)} MB after the rest`);
  await importTalk(t, messagesOf(4, line)); // and it wakes again
  await indexed(t);
  await t.stop();
});

test("while thousands of sentences are embedded, questions and requests are answered as ever", async (c) => {
  const t = await start();
  const conversation = await importTalk(t, messagesOf(20, line));
  await indexed(t);
  await importTalk(t, messagesOf(isSanitized ? 300 : 2000, line));
  const times = [];
  let stillPending = 0;
  for (let i = 0; i < 10; i++) {
    const began = performance.now();
    const answer = await t.api("GET", `/memory/${conversation.id}/search?q=${encodeURIComponent(`Who played the violin near the ${PLACES[i]}?`)}`);
    times.push(performance.now() - began);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.json.items.length > 0);
    stillPending = (await embedder(t)).vectors_pending;
  }
  assert.ok(stillPending > 0, "the background was at work all the time");
  times.sort((a, b) => a - b);
  c.diagnostic(`a question took ${times[5].toFixed(1)} ms in the middle, ${times[9].toFixed(1)} ms at most`);
  assert.ok(times[5] < 2000, `${times[5]} ms in the middle: questions wait behind the background`);
  await t.stop();
});

test("on a machine without wide instructions too: a question and a turn do not wait behind the background, and a stop is prompt", { timeout: 900000, skip: isSanitized && "a sanitizer makes plain kernels slower than anybody waits" }, async (c) => {
  const t = await start({ env: { TROUPE_TEST_KERNELS: "plain" } });
  const conversation = await importTalk(t, messagesOf(10, line));
  await indexed(t);
  const ask = async (i) => {
    const began = performance.now();
    const answer = await t.api("GET", `/memory/${conversation.id}/search?q=${encodeURIComponent(`Who played the violin near the ${PLACES[i]}?`)}`);
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.json.items[0].signals.sentence > 0, "it was compared by meaning");
    return performance.now() - began;
  };
  const middle = (times) => times.sort((a, b) => a - b)[times.length >> 1];
  const calm = [], busy = [];
  for (let i = 0; i < 5; i++) calm.push(await ask(i));
  await importTalk(t, messagesOf(2000, line)); // a minute of work and more
  for (let i = 0; i < 10; i++) busy.push(await ask(i));
  const said = performance.now();
  assert.equal((await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Are you there?" })).status, 201);
  const turn = performance.now() - said;
  assert.ok((await embedder(t)).vectors_pending > 0, "the background was at work all the time");
  const limit = 1000;
  c.diagnostic(`a question took ${middle(calm).toFixed()} ms alone and ${middle(busy).toFixed()} ms beside the background, a turn ${turn.toFixed()} ms`);
  assert.ok(middle(busy) < limit, `${middle(busy)} ms in the middle: questions wait behind the background`);
  assert.ok(turn < limit, `a turn took ${turn} ms`);
  const stopped = performance.now();
  await t.stop();
  const stop = performance.now() - stopped;
  c.diagnostic(`it stopped within ${stop.toFixed()} ms`);
  assert.ok(stop < 5 * limit, `the stop took ${stop} ms`);
});

test("the weights may be a file that a setting names; a file that is cut off is refused, and words still find", async () => {
  const dir = mkdtempSync(join(tmpdir(), "troupe-weights-"));
  const named = join(dir, "some.weights"), cut = join(dir, "cut.weights");
  assert.ok(existsSync(weights), `${weights} is missing: it is made with the binary`);
  symlinkSync(weights, named);
  let t = await start({ settings: { "embedder.weights": named } });
  const before = await until(async () => { // the cast, which is found by meaning too
    const now = await embedder(t);
    return now.state === "ready" && now.items >= 7 && now.vectors_pending === 0 && now;
  }, "the cast is embedded", 600000);
  await importTalk(t, messagesOf(10, line));
  await indexed(t);
  const ada = 1; // she came with the talk
  assert.equal((await embedder(t)).vectors - before.vectors, 30 + ada);
  await t.stop();
  copyFileSync(weights, cut);
  truncateSync(cut, 1 << 20);
  t = await start({ settings: { "embedder.weights": cut } });
  await until(() => /weights could not be used/.test(t.logText()), "the log says so");
  const conversation = await importTalk(t, messagesOf(30, line));
  const { items } = (await t.api("GET", `/memory/${conversation.id}/search?q=violin`)).json;
  assert.match(items[0].text, /violin/);
  await t.stop();
  rmSync(dir, { recursive: true });
});
