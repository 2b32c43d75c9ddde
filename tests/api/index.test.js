// What is found by meaning, from outside: embedders that lie and fail, another embedder while people talk, deaths at any moment. Whatever happened, what is
// found afterwards is what a rebuild from the truth would give.
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { binary, run, serve, start, until } from "./harness.js";
import { embedder, importTalk, indexed, messagesOf } from "./talks.js";
import { startEmbedder } from "../fakes/embedder.js";

// Under a sanitizer the built-in embedder is some fifty times slower: fewer messages, more patience.
const SLOW = readFileSync(binary).includes("__asan_init") ? 10 : 1;

const SENTENCES = ["The lamp is lit.", "It rains in Lisbon again.", "My brother sails in May.", "We bought two chairs and a table.", "Tea is ready.",
  "The cat sleeps on the piano.", "I lost my keys near the station.", "She sings every Sunday.", "The garden needs water.", "Do you remember the red house?"];
const line = (n) => `${SENTENCES[n % 10]} ${SENTENCES[(n * 7 + 3) % 10]} This is number ${n}.`;

const settled = (t, timeout_ms = 600000 * SLOW) => indexed(t, { timeout_ms, isDone: (now) => now.next === null && now.state === "ready" });

async function talk(t, messages = 0) {
  if (messages) return importTalk(t, messagesOf(messages, line));
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  return (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
}

/** Every vector of a folder that no server owns. */
async function dump(dir) {
  const printed = await run(["test", "vectors", "--data", dir]);
  assert.equal(printed.code, 0, printed.stderr);
  return printed.stdout.trim().split("\n").map((text) => JSON.parse(text));
}

/** What is kept beside the vectors: words, and lengths under the encoder in use. */
function rows(dir) {
  const sql = (query) => execFileSync("sqlite3", ["-readonly", "-separator", "\t", join(dir, "troupe.db"), query], { maxBuffer: 1 << 28 }).toString();
  const slot = sql("SELECT slot FROM encoder WHERE state = 'active'").trim();
  assert.equal(sql("PRAGMA integrity_check").trim(), "ok");
  return sql(`SELECT message_id, conversation_id, previous_id, round(turn_norm_${slot}, 3), round(pair_norm_${slot}, 3), text FROM memory_turn ORDER BY 1`).split("\n");
}

/** What is there is what a rebuild gives, and nothing besides. */
async function assertEqualsRebuild(dir) {
  const before = await dump(dir), beside = rows(dir);
  const again = await run(["reindex", "--data", dir]);
  assert.equal(again.code, 0, again.stdout + again.stderr);
  assert.match(again.stdout, /done: words, and \d+ vectors of \d+ items/);
  assert.deepEqual(before, await dump(dir));
  assert.deepEqual(beside, rows(dir));
  const items = before.slice(0, -1);
  assert.deepEqual(before.at(-1), { items: items.length, parts: items.reduce((sum, item) => sum + item.parts, 0) }, "nothing that nobody knows of");
  return items;
}

test("a talk that comes along is found by words at once and by meaning soon; a rebuild gives the same", async () => {
  const t = await start();
  const conversation = await talk(t, 300 / SLOW);
  const now = await settled(t);
  assert.equal(now.provider, "builtin");
  assert.equal(now.state, "ready");
  assert.equal(now.dims, 384);
  assert.ok(now.items >= 300 / SLOW && now.vectors >= 900 / SLOW, "three sentences each; the cast can be found too");
  const found = (await t.api("GET", `/memory/${conversation.id}/search?q=${encodeURIComponent("When does the brother of Olive go to sea?")}`)).json.items;
  assert.match(found[0].text, /sails in May/);
  await t.stop({ keep: true });
  assert.equal((await assertEqualsRebuild(t.dir)).length, now.items);
  rmSync(t.dir, { recursive: true });
});

test("an embedder is tried before it is accepted, and what is wrong with it is told in words", async () => {
  const t = await start();
  const fake = await startEmbedder({ key: "sk-right" });
  const body = { provider: "openai", base_url: fake.url, model: "tiny", api_key: "sk-right" };
  const cases = [
    [{ ...body, api_key: "sk-wrong" }, /refused the key/],
    [{ ...body, model: "huge" }, /does not know this model/],
    [{ ...body, base_url: "http://127.0.0.1:9" }, /not reached/],
    [{ ...body, base_url: "ftp://127.0.0.1" }, /http/],
    [{ ...body, model: "" }, /Which model/],
  ];
  for (const [wrong, words] of cases) {
    const answer = await t.api("PUT", "/admin/embedder", wrong);
    assert.equal(answer.status, 422, answer.text);
    assert.match(answer.json.errors[0].message, words);
    assert.equal((await embedder(t)).provider, "builtin");
  }
  fake.behave = () => ({ status: 200, body: { data: [{ index: 0, embedding: [1, 2] }, { index: 1, embedding: [1, 2] }] } });
  assert.match((await t.api("POST", "/admin/embedder/test", body)).json.error, /same vector/);
  fake.behave = undefined;
  assert.deepEqual({ ...(await t.api("POST", "/admin/embedder/test", body)).json, total_ms: 0 }, { ok: true, dims: 32, total_ms: 0, error: null });
  const member = await t.newUser();
  assert.equal((await t.api("GET", "/admin/embedder", undefined, { token: member.token })).status, 403);
  await fake.close();
  await t.stop();
});

test("another embedder takes over while searches go on; its key comes out nowhere", async () => {
  const t = await start();
  const conversation = await talk(t, 400 / SLOW);
  const whole = (await settled(t)).vectors;
  // Each batch waits for another search, so that there are some, however slow they are.
  let searches = 0, progress = 0, isUnderWay = false;
  const fake = await startEmbedder({ key: "sk-very-secret", behave: async (request) => {
    const before = searches, isQuestion = [].concat(request.json.input).length === 1;
    await until(() => !isUnderWay || isQuestion || searches > before, "another search");
  } });
  const answer = await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: "tiny", api_key: "sk-very-secret" });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.provider, "builtin", "in use is what was in use");
  assert.equal(answer.json.next.model, "tiny");
  assert.equal(answer.json.next.has_key, true);
  isUnderWay = true;
  await until(async () => {
    const found = await t.api("GET", `/memory/${conversation.id}/search?q=Where%20is%20the%20cat%3F`);
    assert.equal(found.status, 200);
    assert.match(found.json.items[0].text, /cat sleeps/);
    const now = await embedder(t);
    searches += now.next !== null;
    if (now.next) {
      assert.ok(now.next.done >= progress, "progress does not go back");
      progress = now.next.done;
    }
    return now.next === null;
  }, "the change", 240000 * SLOW);
  isUnderWay = false;
  assert.ok(searches > (SLOW > 1 ? 0 : 2) && (SLOW > 1 || progress > 0), `${searches} searches, ${progress} done`);
  const now = await embedder(t);
  assert.deepEqual([now.provider, now.model, now.dims, now.has_key], ["openai", "tiny", 32, true]);
  const job = (await t.api("GET", "/admin/jobs?kind=index.rebuild")).json.items[0];
  await until(async () => (await t.api("GET", "/admin/jobs?kind=index.rebuild")).json.items[0].state === "done", "the job that showed it");
  assert.ok(job);
  await until(async () => (await embedder(t)).vectors === whole, "the vectors of the old one are gone");
  const same = await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: "tiny" });
  assert.equal(same.json.next, null, "what is in use is not built again, and its key is known");
  assert.equal(t.logText().includes("sk-very-secret"), false);
  await t.stop({ keep: true });
  for (const name of readdirSync(t.dir).filter((name) => name.startsWith("troupe.db")))
    assert.equal(readFileSync(join(t.dir, name)).includes("sk-very-secret"), false, name);
  await assertEqualsRebuild(t.dir);
  await fake.close();
  rmSync(t.dir, { recursive: true });
});

test("a change that is called off leaves what was", async () => {
  const t = await start();
  const conversation = await talk(t, 100 / SLOW);
  const { vectors } = await settled(t);
  const fake = await startEmbedder({ behave: (_, n) => (n > 0 ? { hang: true } : undefined) });
  await t.api("PUT", "/admin/embedder", { provider: "ollama", base_url: fake.url, model: "tiny" });
  await until(() => fake.requests.length > 1, "a batch that hangs");
  const answer = await t.api("DELETE", "/admin/embedder/next");
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.next, null);
  assert.equal((await t.api("DELETE", "/admin/embedder/next")).status, 404);
  const job = (await until(async () => (await t.api("GET", "/admin/jobs?kind=index.rebuild")).json.items.find((item) => item.state === "cancelled"), "its job is over"));
  assert.ok(job.reason);
  assert.equal((await embedder(t)).provider, "builtin");
  assert.equal((await embedder(t)).vectors, vectors);
  assert.equal((await t.api("GET", `/memory/${conversation.id}/search?q=Where%20is%20the%20cat%3F`)).status, 200);
  await fake.close();
  await t.stop();
});

test("an embedder that fails holds up nobody: replies come, words are found, and it catches up", async () => {
  const t = await start();
  const fake = await startEmbedder();
  await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: "tiny" });
  await settled(t);
  const conversation = await talk(t);
  const trouble = [{ status: 503, body: { error: { message: "Loading model" } } }, { status: 500, body: "<html>" }, { reset: true },
    { status: 200, body: { data: [] } }, { status: 429, headers: { "retry-after": "1" }, body: "{}" }];
  fake.behave = (request, n) => (request.json.input.some((text) => /Poison/.test(text)) ? { status: 400, body: { error: { message: "no" } } } : trouble[n % trouble.length]);
  await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Poison in the cup. Nobody drinks.", reply: false });
  for (let n = 0; n < 5; n++) {
    const began = Date.now();
    const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: line(n) });
    assert.equal(answer.status, 201, answer.text);
    assert.ok(answer.json.reply.content.length > 0);
    assert.ok(Date.now() - began < 3000, "a reply does not wait for an embedder");
  }
  await until(async () => (await embedder(t)).state === "failing", "its trouble is told");
  assert.match((await embedder(t)).error, /\w/);
  const found = (await t.api("GET", `/memory/${conversation.id}/search?q=brother%20sails`)).json.items;
  assert.match(found[0].text, /brother sails/, "by words");
  fake.behave = (request) => (request.json.input.some((text) => /Poison/.test(text)) ? { status: 400, body: { error: { message: "no" } } } : undefined);
  const now = await until(async () => { const e = await embedder(t); return e.vectors_pending <= 1 && e; }, "it catches up", 240000);
  assert.equal(now.vectors_pending, 1, "what it never takes stays in the queue");
  const metrics = (await t.api("GET", "/metrics", undefined, { token: null })).text;
  assert.ok(Number(metrics.match(/^troupe_index_failures_total (\d+)/m)[1]) > 0);
  assert.ok(Number(metrics.match(/^troupe_index_embedded_total (\d+)/m)[1]) > 10);
  await fake.close();
  await t.stop();
});

test("what an embedder quotes of a talk is told to the admin and stands in no log", async () => {
  const t = await start();
  const fake = await startEmbedder();
  await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: "tiny" });
  await settled(t);
  const conversation = await talk(t);
  fake.behave = (request) => ({ status: 503, body: { error: { message: `cannot take: ${request.json.input.join(" ")}` } } });
  await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Nobody may know of the violet umbrella.", reply: false });
  await until(async () => /violet umbrella/.test((await embedder(t)).error), "its trouble is told");
  assert.match(t.logText(), /the endpoint is left alone/);
  assert.doesNotMatch(t.logText(), /violet umbrella/);
  await fake.close();
  await t.stop();
});

test("a stop in the middle of embedding is prompt; what is left is done by the next start", async () => {
  const fake = await startEmbedder();
  let t = await start();
  await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: "tiny" });
  await settled(t);
  fake.behave = () => ({ hang: true });
  const owner = t.owner, asked = fake.requests.length;
  await talk(t, 50);
  await until(() => fake.requests.length > asked, "a batch is under way");
  const began = Date.now();
  assert.equal((await t.stop({ keep: true })).code, 0);
  assert.ok(Date.now() - began < 3000, `it took ${Date.now() - began} ms`);
  fake.behave = undefined;
  t = await serve({ dir: t.dir });
  t.owner = owner;
  const now = await settled(t);
  assert.ok(now.vectors >= 150);
  await t.stop();
  await fake.close();
});

test("vectors that were lost or are of another time are made again; beside a server reindex says how to ask it", async () => {
  let t = await start();
  const owner = t.owner;
  await talk(t, 60 / SLOW);
  const whole = (await settled(t)).vectors;
  const beside = await run(["reindex", "--data", t.dir]);
  assert.equal(beside.code, 1);
  assert.match(beside.stderr, /admin\/embedder\/reindex/);
  assert.equal((await t.api("POST", "/admin/embedder/reindex")).status, 200);
  assert.equal((await settled(t)).vectors, whole);
  await t.stop({ keep: true });
  const before = await dump(t.dir);
  rmSync(join(t.dir, "vectors"), { recursive: true });
  t = await serve({ dir: t.dir });
  t.owner = owner;
  await until(async () => (await embedder(t)).vectors === whole, "they are there again", 240000 * SLOW);
  await settled(t);
  await t.stop({ keep: true });
  assert.deepEqual(await dump(t.dir), before);
  rmSync(t.dir, { recursive: true });
});

// What a person does to a talk, as fast as the server answers, until it dies.
async function work(server, conversation, state) {
  while (state.running) {
    try {
      const n = state.n++;
      const sent = await server.api("POST", `/conversations/${conversation.id}/messages`, { content: line(n), reply: false });
      if (sent.status === 201) state.ids.push(sent.json.message?.id ?? sent.json.id);
      const victim = state.ids[(n * 13) % Math.max(1, state.ids.length)];
      if (n % 3 === 0) await server.api("PATCH", `/conversations/${conversation.id}/messages/${victim}`, { content: `Changed. ${line(n + 5)}` });
      if (n % 7 === 0) await server.api("DELETE", `/conversations/${conversation.id}/messages/${victim}`);
    } catch {
      return; // the process is gone
    }
  }
}

test("killed again and again in puts, changes, deletions and changes of the embedder: what is found equals a rebuild", { timeout: 1200000 * SLOW }, async () => {
  const ROUNDS = Number(process.env.TROUPE_KILL_ROUNDS ?? 14);
  const fakes = [await startEmbedder({ dims: 32 }), await startEmbedder({ dims: 48, model: "other", behave: () => ({ wait_ms: 15 }) })];
  // One token for all of it; jobs of learning that were killed would come when their lease ends.
  const settings = { "accounts.access_token_s": 86400, "memory.learns": "false" };
  let t = await start({ settings });
  const owner = t.owner;
  const conversation = await talk(t);
  await talk(t, 150);
  const state = { n: 0, ids: [] };
  for (let round = 0; round < ROUNDS; round++) {
    const fake = fakes[round % 2];
    if (round % 3 === 0) await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: fake.url, model: fake.model });
    if (round % 5 === 4) await t.api("POST", "/admin/embedder/reindex");
    state.running = true;
    const lanes = [work(t, conversation, state), work(t, conversation, state)];
    await new Promise((resolve) => setTimeout(resolve, 30 + Math.random() * 600));
    await t.kill();
    state.running = false;
    await Promise.all(lanes);
    t = await serve({ dir: t.dir, settings });
    t.owner = owner;
  }
  await settled(t);
  assert.equal((await t.stop({ keep: true })).code, 0);
  const one = await serve({ dir: t.dir, settings }); // what waits for a few seconds (an encoder that goes) is done at a start
  one.owner = owner;
  await settled(one);
  await until(async () => { const now = await embedder(one); return now.vectors > 0 && now; }, "vectors");
  await until(() => execFileSync("sqlite3", ["-readonly", "-cmd", ".timeout 20000", join(t.dir, "troupe.db"), "SELECT count(*) FROM encoder WHERE state = 'retired'"]).toString().trim() === "0", "encoders that go are gone");
  await one.stop({ keep: true });
  const items = await assertEqualsRebuild(t.dir);
  assert.ok(items.length > 150 + ROUNDS, `${items.length} items were indexed`);
  for (const fake of fakes) await fake.close();
  rmSync(t.dir, { recursive: true });
});
