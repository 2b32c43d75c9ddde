// Models: the registry and its keys, routes, discovery, the test of a model, and whole turns against endpoints that misbehave (MODEL-1, MODEL-2, FIRST-2, CHAT-13).
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { events, start, until } from "./harness.js";
import { startFake } from "../fakes/endpoint.js";

// Deadlines are those of the house, so that a busy machine is no silent endpoint; for one that is silent the clock is moved.
const SETTINGS = { "models.rest_ms": 60000, "accounts.access_token_s": 86400 };
const fakes = [];
const fake = async (options) => { const it = await startFake(options); fakes.push(it); return it; };
after(() => Promise.all(fakes.map((it) => it.close())));

let number = 0;
/** A server with one character and, for each of `endpoints` (fakes), a model in the route "default". */
async function house(endpoints, settings = {}) {
  const t = await start({ settings: { ...SETTINGS, ...settings } });
  t.models = [];
  for (const it of endpoints) t.models.push(await add(t, it));
  t.character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "The clock says four.", description: "A clockmaker." })).json;
  return t;
}

async function add(t, it, more = {}) {
  const provider = { ollama: "ollama", anthropic: "anthropic" }[it.kind] ?? "openai";
  const answer = await t.api("POST", "/admin/models", { name: `${it.kind} ${++number}`, provider, base_url: it.url, model: it.models[0], api_key: "sk-key-of-the-house", route: "default", ...more });
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
}

const talk = async (t) => (await t.api("POST", "/conversations", { character_ids: [t.character.id] })).json;

/** One message in a new talk; gives {message, reply, error}. */
async function say(t, content = "Good evening.", conversation) {
  const answer = await t.api("POST", `/conversations/${(conversation ?? await talk(t)).id}/messages`, { content });
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
}

/** Lets time pass until the house gives up this call; in steps that are shorter than any deadline, for the next call has begun when we see it. */
async function outwait(t, chat) {
  while (!chat.aborted) {
    t.moveClock(20000);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** One message that the endpoint `it` answers by `step`, of which `kept` comes through. What breaks off or falls silent does so when that was heard. */
async function sayTo(t, it, step, kept) {
  const conversation = await talk(t);
  const listening = await t.api("GET", `/conversations/${conversation.id}/events`, undefined, { raw: true });
  let heard = "";
  const reading = (async () => { for await (const { data } of events(listening)) if (data.type === "message:stream:chunk") heard += data.data.delta; })().catch(() => {});
  const isHeard = () => until(() => heard.trim().startsWith(kept), `"${kept}"; heard "${heard}"`);
  it.play([{ ...step, before_reset: isHeard }]);
  const said = say(t, "Good evening.", conversation);
  if (step.hang || step.stall_after !== undefined) {
    const chat = await until(() => it.chats[0], "the call");
    await isHeard();
    await outwait(t, chat);
  }
  const answer = await said;
  assert.equal((await t.api("DELETE", `/conversations/${conversation.id}`)).status, 204); // which ends the listening
  await reading;
  return answer;
}

/** Every byte that the server keeps on disk. */
const onDisk = (dir) => readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  .map((entry) => readFileSync(join(entry.parentPath ?? entry.path, entry.name)).toString("latin1")).join("");

// --- the registry ----------------------------------------------------------------------------------------------------------------

describe("the registry", () => {
  let t, endpoint;
  before(async () => { endpoint = await fake({ kind: "openai" }); t = await house([]); });
  after(() => t.stop());

  test("a model is added, shown, listed, changed and taken away", async () => {
    const made = await t.api("POST", "/admin/models", { name: "Lamp", provider: "openai", base_url: `${endpoint.url}/v1/`, model: "gpt-fake", context_tokens: 4096 });
    assert.equal(made.status, 201, made.text);
    assert.equal(made.json.base_url, `${endpoint.url}/v1`);
    assert.equal(made.json.has_key, false);
    assert.equal(made.json.health, "unknown");
    assert.ok(made.headers.get("etag"));
    assert.deepEqual((await t.api("GET", `/admin/models/${made.json.id}`)).json, made.json);
    assert.ok((await t.api("GET", "/admin/models")).json.items.some((model) => model.id === made.json.id));
    const changed = await t.api("PATCH", `/admin/models/${made.json.id}`, { name: "Lantern", is_enabled: false });
    assert.equal(changed.status, 200, changed.text);
    assert.equal(changed.json.name, "Lantern");
    assert.equal(changed.json.is_enabled, false);
    assert.equal(changed.json.context_tokens, 4096);
    assert.equal((await t.api("DELETE", `/admin/models/${made.json.id}`)).status, 204);
    assert.equal((await t.api("GET", `/admin/models/${made.json.id}`)).status, 404);
    assert.equal((await t.api("DELETE", `/admin/models/${made.json.id}`)).status, 404);
  });

  test("what is wrong is named", async () => {
    const good = { name: "Row", provider: "openai", base_url: "http://127.0.0.1:1", model: "m" };
    const rows = [
      [{ ...good, base_url: "" }, "base_url"], [{ ...good, base_url: "ftp://x" }, "base_url"], [{ ...good, base_url: "http://" }, "base_url"],
      [{ ...good, base_url: "http://user:pass@host" }, "base_url"], [{ ...good, base_url: "http://host/?key=1" }, "base_url"], [{ ...good, base_url: "http://a b" }, "base_url"],
      [{ ...good, model: " " }, "model"], [{ ...good, name: " " }, "name"], [{ ...good, provider: "mystery" }, "provider"], [{ ...good, api_key: "two words" }, "api_key"],
      [{ ...good, api_key: "k\u00e9y" }, "api_key"], [{ ...good, context_tokens: 12 }, "context_tokens"], [{ ...good, reply_tokens: 0 }, "reply_tokens"],
      [{ ...good, route: "Not a name" }, "route"], [{ ...good, colour: "red" }, "colour"],
    ];
    for (const [body, field] of rows) {
      const answer = await t.api("POST", "/admin/models", body);
      assert.equal(answer.status, 422, `${field}: ${answer.text}`);
      assert.equal(answer.json.errors[0].field, field);
    }
    assert.ok(!(await t.api("GET", "/admin/models")).json.items.some((model) => model.name === "Row"));
  });

  test("a name belongs to one model; a stale change is refused", async () => {
    const first = await add(t, endpoint, { name: "One" });
    const again = await t.api("POST", "/admin/models", { name: "One", provider: "understudy" });
    assert.equal(again.status, 409, again.text);
    const second = await add(t, endpoint, { name: "Two" });
    assert.equal((await t.api("PATCH", `/admin/models/${second.id}`, { name: "One" })).status, 409);
    const etag = (await t.api("GET", `/admin/models/${first.id}`)).headers.get("etag");
    assert.equal((await t.api("PATCH", `/admin/models/${first.id}`, { reply_tokens: 200 }, { headers: { "if-match": etag } })).status, 200);
    assert.equal((await t.api("PATCH", `/admin/models/${first.id}`, { reply_tokens: 300 }, { headers: { "if-match": etag } })).status, 412);
    assert.equal((await t.api("GET", `/admin/models/${first.id}`)).json.reply_tokens, 200);
  });

  test("a key goes in and never comes out: not in answers, logs or files", async () => {
    const key = "sk-never-to-be-seen-again-1234";
    const model = await add(t, endpoint, { name: "Sealed", api_key: key, route: undefined });
    assert.equal(model.has_key, true);
    const seen = [];
    for (const [method, path, body] of [["GET", "/admin/models"], ["GET", `/admin/models/${model.id}`], ["PATCH", `/admin/models/${model.id}`, { reply_tokens: 99 }], ["POST", `/admin/models/${model.id}/test`],
      ["GET", "/admin/routes"], ["GET", "/ai/models"], ["GET", "/openapi.json"]])
      seen.push((await t.api(method, path, body)).text);
    assert.ok(!seen.join("").includes(key));
    assert.ok(!t.logText().includes(key));
    assert.ok(!onDisk(t.dir).includes(key));
    assert.equal(endpoint.chats.at(-1).headers.authorization, `Bearer ${key}`); // and yet it is used
  });

  test("a key does not follow its model to another address", async () => {
    const model = await add(t, endpoint, { name: "Moving", api_key: "sk-stays-here-please", route: undefined });
    const moved = await t.api("PATCH", `/admin/models/${model.id}`, { base_url: "http://127.0.0.1:9" });
    assert.equal(moved.status, 422);
    assert.equal(moved.json.errors[0].field, "api_key");
    assert.equal((await t.api("PATCH", `/admin/models/${model.id}`, { base_url: "http://127.0.0.1:9", api_key: "sk-a-new-one" })).json.has_key, true);
    assert.equal((await t.api("PATCH", `/admin/models/${model.id}`, { api_key: null })).json.has_key, false);
  });

  test("only admins see the registry; members see what they may choose", async () => {
    const member = await t.newUser();
    for (const [method, path, body] of [["GET", "/admin/models"], ["POST", "/admin/models", {}], ["GET", "/admin/routes"], ["PUT", "/admin/routes", { routes: [] }]])
      assert.equal((await t.api(method, path, body, { token: member.token })).status, 403, `${method} ${path}`);
    const choices = await t.api("GET", "/ai/models", undefined, { token: member.token });
    assert.equal(choices.status, 200);
    assert.ok(choices.json.items.some((choice) => choice.id === "default"));
    assert.ok(!choices.text.includes("127.0.0.1"));
  });
});

// --- routes ----------------------------------------------------------------------------------------------------------------------

describe("routes", () => {
  let t, a, b;
  before(async () => { a = await fake({ script: [{ reply: "I am A." }] }); b = await fake({ script: [{ reply: "I am B." }] }); t = await house([a, b]); });
  after(() => t.stop());

  test("routes are replaced as a whole, in order", async () => {
    const [first, second] = t.models;
    assert.deepEqual((await t.api("GET", "/admin/routes")).json, { routes: [{ name: "default", model_ids: [first.id, second.id] }] });
    const routes = [{ name: "cheap", model_ids: [second.id] }, { name: "default", model_ids: [second.id, first.id] }];
    const put = await t.api("PUT", "/admin/routes", { routes });
    assert.equal(put.status, 200, put.text);
    assert.deepEqual(put.json, { routes });
    assert.equal((await say(t)).reply.content, "I am B.");
    assert.equal((await t.api("PUT", "/admin/routes", { routes: [{ name: "default", model_ids: [first.id, second.id] }] })).status, 200);
    assert.equal((await say(t)).reply.content, "I am A.");
  });

  test("what cannot be a route is refused, and nothing changes", async () => {
    const [first] = t.models;
    const before = (await t.api("GET", "/admin/routes")).text;
    const rows = [[{ name: "default", model_ids: ["0CMY60FF81ERH"] }], [{ name: "default", model_ids: [first.id, first.id] }], [{ name: "Bad Name", model_ids: [] }],
      [{ name: "a", model_ids: [first.id] }, { name: "a", model_ids: [] }], [{ name: "a", model_ids: ["x"] }]];
    for (const routes of rows) assert.equal((await t.api("PUT", "/admin/routes", { routes })).status, 422, JSON.stringify(routes));
    assert.equal((await t.api("GET", "/admin/routes")).text, before);
  });

  test("a model that is taken away leaves its routes", async () => {
    const extra = await add(t, a, { name: "Extra" });
    assert.equal((await t.api("DELETE", `/admin/models/${extra.id}`)).status, 204);
    assert.ok(!(await t.api("GET", "/admin/routes")).text.includes(extra.id));
  });

  test("a model that is switched off is passed over at once", async () => {
    await t.api("PATCH", `/admin/models/${t.models[0].id}`, { is_enabled: false });
    const { reply } = await say(t);
    assert.equal(reply.content, "I am B.");
    assert.equal(reply.model, t.models[1].name);
    await t.api("PATCH", `/admin/models/${t.models[0].id}`, { is_enabled: true });
  });
});

// --- discovery ---------------------------------------------------------------------------------------------------------------------

test("servers near by are told apart by what only they answer", async () => {
  const kinds = ["ollama", "llamacpp", "lmstudio", "koboldcpp", "vllm", "openai"];
  const near = [];
  for (const kind of kinds) near.push(await fake({ kind }));
  const loading = await fake({ kind: "llamacpp", loading: true });
  const locked = await fake({ kind: "vllm", key: "sk-secret" });
  const hosts = [...near, loading, locked].map((it) => `127.0.0.1:${it.port}`).join(", ");
  const t = await house([], { "models.discovery_hosts": `${hosts}, 127.0.0.1:1` });
  const answer = await t.api("POST", "/setup/discover");
  await t.stop();
  assert.equal(answer.status, 200, answer.text);
  const found = answer.json.items;
  assert.deepEqual(found.map((it) => it.kind), [...kinds, "llamacpp", "vllm"]);
  assert.deepEqual(found.map((it) => it.provider), ["ollama", ...Array(7).fill("openai")]);
  for (const [i, it] of near.entries()) {
    assert.equal(found[i].base_url, it.url);
    assert.deepEqual(found[i].models, it.models, it.kind);
  }
  assert.deepEqual(found.slice(0, 5).map((it) => it.context_tokens), [0, 16384, 4096, 8192, 32768]);
  assert.deepEqual(found.slice(0, 5).map((it) => it.version), ["0.12.3", "b9999-fake", null, "1.102", "0.11.0"]);
  assert.equal(found[6].is_loading, true);
  assert.equal(found[7].needs_key, true);
});

test("a server that hangs does not hold discovery for more than its time", async () => {
  const { createServer } = await import("node:net");
  const mute = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
  await new Promise((resolve) => mute.once("listening", resolve));
  const web = await fake({ kind: "openai", models: [] });
  const t = await house([], { "models.discovery_hosts": `127.0.0.1:${mute.address().port},127.0.0.1:${web.port}` });
  const began = performance.now();
  const answer = await t.api("POST", "/setup/discover");
  const took = performance.now() - began;
  await t.stop();
  mute.close();
  assert.deepEqual(answer.json.items.map((it) => it.kind), ["openai"]);
  assert.ok(took < 2500, `${took} ms`);
});

test("servers that answer discovery with a megabyte of nothing stop nobody", async () => {
  const { createServer } = await import("node:http");
  const body = Buffer.from(`[${"0,".repeat(500_000)}0]`);
  const boaster = createServer((_, answer) => answer.end(body)).listen(0, "127.0.0.1");
  await new Promise((resolve) => boaster.once("listening", resolve));
  const real = await fake({ kind: "ollama" });
  const t = await house([], { "models.discovery_hosts": [`127.0.0.1:${real.port}`, ...Array(30).fill(`127.0.0.1:${boaster.address().port}`)].join(",") });
  const answer = await t.api("POST", "/setup/discover");
  assert.equal(answer.status, 200, answer.text);
  assert.deepEqual(answer.json.items.map((it) => it.kind), ["ollama"]);
  await t.stop();
  boaster.close();
});

// --- the test of a model -----------------------------------------------------------------------------------------------------------------

test("a small talk tells whether a model works, in plain words", async () => {
  const good = await fake({ script: [{ reply: "Hello!", first_ms: 30 }] });
  const rows = [
    [good, {}, (it) => { assert.equal(it.ok, true); assert.equal(it.reply, "Hello!"); assert.ok(it.first_token_ms >= 25); assert.equal(it.is_listed, true); assert.equal(it.error, null); }],
    [good, { model: "gpt-typo" }, (it) => assert.equal(it.is_listed, false)],
    [await fake({ kind: "ollama" }), {}, (it) => { assert.equal(it.ok, true); assert.deepEqual(it.models, ["llama-fake:latest", "qwen-fake:7b"]); }],
    [await fake({ kind: "anthropic" }), {}, (it) => { assert.equal(it.ok, true); assert.equal(it.is_listed, true); }],
    [await fake({ script: [{ status: 401, body: { error: { message: "Incorrect API key" } } }] }), {}, (it) => assert.match(it.error, /refused the key \(401\): Incorrect API key/)],
    [await fake({ script: [{ status: 404, body: { error: { message: "no such model" } } }] }), {}, (it) => assert.match(it.error, /does not know this model/)],
    [await fake({ script: [{ body: "<html>Sign in</html>", type: "text/html" }] }), {}, (it) => assert.match(it.error, /web page/)],
    [await fake({ script: [{ hang: true }] }), {}, (it) => { assert.match(it.error, /did not begin/); assert.equal(it.first_token_ms, null); }],
    [{ kind: "openai", url: "http://127.0.0.1:1", models: ["m"] }, {}, (it) => { assert.match(it.error, /connection refused/); assert.deepEqual(it.models, []); assert.equal(it.is_listed, null); }],
    [{ kind: "openai", url: "http://no-such-host.invalid", models: ["m"] }, {}, (it) => assert.match(it.error, /no host of this name|cannot be reached/)],
    [{ kind: "openai", url: "http://127.0.0.1:1", models: ["m"] }, { provider: "understudy" }, (it) => { assert.equal(it.ok, true); assert.match(it.reply, /no model/); }],
  ];
  const t = await house([]);
  for (const [it, more, check] of rows) {
    const model = await add(t, it, { route: undefined, ...more });
    const asked = t.api("POST", `/admin/models/${model.id}/test`);
    if (it.script?.[0].hang) await outwait(t, await until(() => it.chats[0], "the call"));
    const answer = await asked;
    assert.equal(answer.status, 200, answer.text);
    check(answer.json);
  }
  assert.equal((await t.api("POST", "/admin/models/0CMY60FF81ERH/test")).status, 404);
  await t.stop();
});

test("a model that talks on and on has shown that it works", async () => {
  const it = await fake({ script: [{ reply: "la ".repeat(20_000), token_ms: 4 }] });
  const t = await house([]);
  const model = await add(t, it, { route: undefined });
  const { json } = await t.api("POST", `/admin/models/${model.id}/test`);
  assert.equal(json.ok, true, json.error);
  assert.equal(json.error, null);
  assert.match(json.reply, /^la la la/);
  await until(() => it.chats[0].aborted, "the end of the call"); // nobody listens any more
  await t.stop();
});

// --- whole turns: good streams in every form ---------------------------------------------------------------------------------------------

const TEXT = "Grüß dich, 你好 😀 – said the “clock”.\nAnd \"twice\".";
const DELTAS = [...TEXT.match(/.{1,7}/gsu)];

const FORMS = [
  ["plainly", {}], ["byte by byte", { bytes: true }], ["with CRLF", { crlf: true }], ["byte by byte with CRLF", { bytes: true, crlf: true }], ["with pings", { pings: true }],
  ["compressed though nobody asked", { gzip: true }], ["without an end mark", { done: false, finishOnly: true }], ["without usage", { usage: null }], ["in one document", { stream: false }],
];

for (const kind of ["openai", "ollama", "anthropic"]) {
  test(`a reply of ${kind} is the same in every form`, async () => {
    const it = await fake({ kind });
    const t = await house([it]);
    for (const [name, form] of FORMS) {
      if (kind === "ollama" && form.finishOnly) continue; // its end mark is the finish
      it.play([{ reply: DELTAS, ...form }]);
      const { reply, error } = await say(t);
      assert.equal(error, undefined, `${name}: ${error?.detail}`);
      assert.equal(reply.content, TEXT, name);
      assert.equal(reply.state, "complete", name);
      assert.equal(reply.finish_reason, "stop", name);
      assert.equal(reply.model, t.models[0].name);
    }
    await t.stop();
  });

  test(`thinking of ${kind} is kept apart and not sent again`, async () => {
    const it = await fake({ kind, script: [{ reasoning: "Who is this? A guest.", reply: "Welcome." }, { reply: "Sit down." }] });
    const t = await house([it]);
    const conversation = await talk(t);
    const { reply } = await say(t, "Hello.", conversation);
    assert.equal(reply.content, "Welcome.");
    assert.equal(reply.reasoning, "Who is this? A guest.");
    await say(t, "Thanks.", conversation);
    assert.ok(!it.chats[1].text.includes("A guest."));
    assert.ok(it.chats[1].text.includes("Welcome."));
    await t.stop();
  });
}

test("usage is recorded as the endpoint reports it, else estimated", async () => {
  const it = await fake({ script: [{ reply: "One two.", usage: { prompt: 321, reply: 45 } }, { reply: "Three.", usage: null }] });
  const t = await house([it]);
  assert.deepEqual((await say(t)).reply.usage, { prompt_tokens: 321, reply_tokens: 45 });
  const estimated = (await say(t)).reply.usage;
  assert.ok(estimated.prompt_tokens > 20 && estimated.reply_tokens >= 1);
  await t.stop();
});

test("the prompt that is sent fits the protocol and the settings", async () => {
  const openai = await fake({ kind: "openai" }), ollama = await fake({ kind: "ollama" }), anthropic = await fake({ kind: "anthropic" });
  for (const it of [openai, ollama, anthropic]) {
    const t = await house([it]);
    await t.api("PATCH", `/admin/models/${t.models[0].id}`, { context_tokens: 5000, reply_tokens: 333 });
    await say(t, "Is the lamp lit?");
    const { json, headers } = it.chats[0];
    const last = json.messages.at(-1);
    assert.equal(last.role, "user");
    assert.match(typeof last.content === "string" ? last.content : last.content[0].text, /Is the lamp lit\?/);
    if (it === ollama) assert.equal(json.options.num_ctx, 5000);
    assert.equal(it === ollama ? json.options.num_predict : json.max_tokens, 333);
    if (it === anthropic) {
      assert.equal(headers["x-api-key"], "sk-key-of-the-house");
      assert.equal(json.messages[0].role, "user"); // the greeting cannot begin there
      assert.ok(json.messages.every((message, i) => message.role === (i % 2 ? "assistant" : "user")));
      assert.match(json.system[0].text, /Ada/);
    }
    await t.stop();
  }
});

// --- whole turns: everything that goes wrong ----------------------------------------------------------------------------------------------

const words = "one two three four";
const FAILURES = [
  ["an error in mid-stream", { reply: words, error_after: 2, error: { message: "GPU fell over" } }, "one two", /GPU fell over/],
  ["an error before anything", { reply: words, error_after: 0, error: { message: "GPU fell over" } }, "", /GPU fell over/],
  ["a stall", { reply: words, stall_after: 2 }, "one two", /fell silent/],
  ["an early close", { reply: words, close_after: 2 }, "one two", /broke off/],
  ["a reset", { reply: words, reset_after: 2 }, "one two", /broke off/],
  ["no headers at all", { hang: true }, "", /did not begin/],
  ["headers and then silence", { reply: words, stall_after: 0, bytes: false }, "", /did not begin|fell silent/],
  ["an endless line", { endless: true }, "", /too long/],
  ["a web page", { body: "<html>Sign in</html>", type: "text/html" }, "", /web page/],
  ["a web page that calls itself a stream", { body: "<html>\n\n</html>", type: "text/plain" }, "", /web page/],
  ["an empty answer", { body: "", type: "text/event-stream" }, "", /empty|nothing/],
  ["an empty reply", { reply: [] }, "", /nothing/],
  ["an error with status 200", { body: { error: { message: "No credit left" } } }, "", /No credit left/],
  ["401", { status: 401, body: { error: { message: "Incorrect API key sk-key-of-the-house" } } }, "", /refused the key \(401\): Incorrect API key \*+$/],
  ["404", { status: 404, body: { error: { message: "no such model" } } }, "", /no such model/],
  ["429 with Retry-After", { status: 429, headers: { "retry-after": "2" }, body: { error: { message: "slow down" } } }, "", /slow down/],
  ["500 as a page", { status: 500, body: "<html>oops</html>", type: "text/html" }, "", /\(500\)/],
  ["503", { status: 503, body: { error: { message: "loading" } } }, "", /overloaded or still loading/],
  ["529", { status: 529, body: "" }, "", /\(529\)/],
  ["a redirect", { status: 307, headers: { location: "http://127.0.0.1:1/" }, body: "" }, "", /another address/],
];

for (const kind of ["openai", "ollama", "anthropic"]) {
  test(`every failure of ${kind} keeps what was said and is told in words`, async () => {
    const it = await fake({ kind });
    const t = await house([it]);
    for (const [name, step, kept, detail] of FAILURES) {
      await t.api("PATCH", `/admin/models/${t.models[0].id}`, { reply_tokens: 1000 + ++number }); // a changed model has no past failures
      const { message, reply, error } = await sayTo(t, it, step, kept);
      assert.equal(message.state, "complete", name);
      assert.equal(reply.content.trim(), kept, `${name}: ${error?.detail}`);
      assert.equal(reply.state, kept ? "interrupted" : "failed", name);
      assert.match(error.detail, detail, name);
      assert.ok(!error.detail.includes("sk-key-of-the-house"), name);
      assert.equal(it.chats.length, 1, name); // nobody is asked twice for a reply that failed
    }
    assert.ok(!t.logText().includes("sk-key-of-the-house"));
    assert.ok(!t.logText().includes("Good evening."));
    await t.stop();
  });

  test(`before its first token every failure of ${kind} leads to the next model`, async () => {
    const it = await fake({ kind }), spare = await fake({ kind: "openai", script: [{ reply: "The understudy of the understudy." }] });
    const t = await house([it, spare]);
    for (const [name, step, kept] of FAILURES) {
      if (kept) continue;
      await t.api("PATCH", `/admin/models/${t.models[0].id}`, { reply_tokens: 1000 + ++number });
      const { reply, error } = await sayTo(t, it, step, kept);
      assert.equal(error, undefined, `${name}: ${error?.detail}`);
      assert.equal(reply.content, "The understudy of the understudy.", name);
      assert.equal(reply.model, t.models[1].name, name);
    }
    await t.stop();
  });
}

test("an endpoint that says when to come back is left alone until then", async () => {
  const it = await fake({ script: [{ status: 429, headers: { "retry-after": "30" } }, { reply: "I am back." }] }), spare = await fake({ script: [{ reply: "Spare." }] });
  const t = await house([it, spare]);
  assert.equal((await say(t)).reply.content, "Spare.");
  assert.equal((await say(t)).reply.content, "Spare.");
  assert.equal(it.chats.length, 1);
  const shown = (await t.api("GET", `/admin/models/${t.models[0].id}`)).json;
  assert.equal(shown.health, "resting");
  assert.ok(shown.resting_ms > 25000 && shown.resting_ms <= 30000);
  t.moveClock(31000);
  assert.equal((await say(t)).reply.content, "I am back.");
  await t.stop();
});

test("five failures in a row, and an endpoint rests; then one call tries it", async () => {
  const it = await fake({ script: [{ status: 500, body: "" }] }), spare = await fake({ script: [{ reply: "Spare." }] });
  const t = await house([it, spare]);
  for (let i = 0; i < 7; i++) assert.equal((await say(t)).reply.content, "Spare.");
  assert.equal(it.chats.length, 5);
  it.play([{ reply: "I am back." }]);
  t.moveClock(61000);
  assert.equal((await say(t)).reply.content, "I am back.");
  const metrics = (await t.api("GET", "/metrics")).text;
  assert.match(metrics, /troupe_model_calls_total\{outcome="failed"\} 5/);
  assert.match(metrics, /troupe_model_fallbacks_total 5/);
  assert.match(metrics, /troupe_model_rests_total 1/);
  await t.stop();
});

test("with every model down a person is told, not answered by somebody else", async () => {
  const it = await fake({ script: [{ status: 503, body: { error: { message: "Loading model" } } }] });
  const t = await house([it]);
  const { reply, error } = await say(t);
  assert.equal(reply.state, "failed");
  assert.equal(error.code, "busy");
  assert.match(error.detail, new RegExp(`${t.models[0].name}: .*Loading model`));
  await t.stop();
});

test("without a model the Understudy speaks and says so", async () => {
  const t = await house([]);
  const conversation = await talk(t);
  const { reply } = await say(t, "Hello!", conversation);
  assert.match(reply.content, /Understudy/);
  assert.match(reply.content, /no model/);
  assert.equal(reply.model, "Understudy");
  assert.doesNotMatch((await say(t, "I had a long day.", conversation)).reply.content, /No language model is connected/);
  assert.match((await say(t, "Are you an AI?", conversation)).reply.content, /I am no AI model/);
  await t.stop();
});

test("the Understudy is repeatable under a seed", async () => {
  const replies = [];
  for (let i = 0; i < 2; i++) {
    const t = await house([], { "understudy.seed": 42 });
    replies.push((await say(t, "I lost my red bicycle near the harbour.")).reply.content);
    await t.stop();
  }
  assert.equal(replies[0], replies[1]);
  assert.match(replies[0], /ou lost your red bicycle/);
});

/** A turn as a stream, in a new talk: what was heard so far, by name. */
async function stream(t, token, content) {
  const character = (await t.api("POST", "/characters", { name: `For ${content}`, first_mes: "Yes?" }, { token })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] }, { token })).json;
  const turn = { conversation, content, heard: [], over: false };
  const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, { content }, { token, raw: true, headers: { accept: "text/event-stream" } });
  assert.equal(answer.status, 200);
  turn.done = (async () => { for await (const event of events(answer)) turn.heard.push(event); turn.over = true; })();
  turn.positions = () => turn.heard.filter((event) => event.event === "queue").map((event) => event.data.data?.position ?? event.data.position);
  turn.text = () => turn.heard.filter((event) => event.event === "message:stream:chunk").map((event) => event.data.data.delta).join("");
  turn.has = (name) => turn.heard.some((event) => event.event === name);
  return turn;
}

const asked = (it) => it.chats.map((chat) => chat.json.messages.at(-1).content);

test("a busy model is waited for in a line that is fair between people, and everybody hears their place", async () => {
  let open;
  const step = { reply: [" word0", " word1"], token_ms: 50 }, gate = new Promise((resolve) => { open = resolve; });
  const it = await fake({ script: [{ ...step, gate }, step] }), spare = await fake({ script: [{ reply: "Never asked." }] });
  const t = await house([it, spare]);
  assert.equal((await t.api("GET", `/admin/models/${t.models[0].id}`)).json.concurrency, 0, "no limit unless one is set");
  assert.equal((await t.api("PATCH", `/admin/models/${t.models[0].id}`, { concurrency: 1 })).json.concurrency, 1);
  const ann = t.owner.token, bob = (await t.newUser({ name: "Bob" })).token;
  const a1 = await stream(t, ann, "a1");
  await until(() => it.chats.length === 1, "the first is asked");
  const a2 = await stream(t, ann, "a2"), a3 = await stream(t, ann, "a3");
  await until(() => a3.positions().length > 0, "a3 waits");
  const b1 = await stream(t, bob, "b1");
  await until(() => b1.positions().length > 0 && a3.positions().length > 1, "b1 stands before a3");
  assert.deepEqual([a1.positions(), a2.positions(), a3.positions(), b1.positions()], [[], [1], [2, 3], [2]]);
  assert.equal((await t.api("GET", `/admin/models/${t.models[0].id}`)).json.waiting, 3);
  open();
  await Promise.all([a1, a2, a3, b1].map((turn) => turn.done));
  assert.deepEqual(asked(it), ["a1", "a2", "b1", "a3"], "one at a time, each person once a round");
  assert.deepEqual([a2.positions(), a3.positions(), b1.positions()], [[1, 0], [2, 3, 2, 1, 0], [2, 1, 0]]);
  for (const turn of [a1, a2, a3, b1]) assert.ok(turn.has("message:stream:complete"), turn.content);
  assert.equal(spare.chats.length, 0, "a busy model is not a broken one");
  for (let i = 1; i < it.chats.length; i++) assert.ok(it.chats[i].at >= it.chats[i - 1].closedAt - 5, "never two at once");
  await t.stop();
});

test("who waits can stop, and leaves no gap; more room lets the line in", async () => {
  let open;
  const gate = new Promise((resolve) => { open = resolve; });
  const it = await fake({ script: [{ reply: "Slow.", gate }, { reply: "Quick." }] });
  const t = await house([it]);
  await t.api("PATCH", `/admin/models/${t.models[0].id}`, { concurrency: 1 });
  const [first, second, third] = [await stream(t, t.owner.token, "one"), await stream(t, t.owner.token, "two"), await stream(t, t.owner.token, "three")];
  await until(() => third.positions().length > 0, "three waits");
  assert.deepEqual([second.positions(), third.positions()], [[1], [2]]);
  assert.equal((await t.api("POST", `/conversations/${second.conversation.id}/stop`)).status, 202);
  await second.done;
  const stopped = (await t.api("GET", `/conversations/${second.conversation.id}/messages`)).json.items.at(-1);
  assert.deepEqual([stopped.state, stopped.content], ["stopped", ""]);
  await until(() => third.positions().length > 1, "three moves up");
  assert.deepEqual(third.positions(), [2, 1]);
  assert.equal(it.chats.length, 1);
  assert.equal((await t.api("PATCH", `/admin/models/${t.models[0].id}`, { concurrency: 2 })).status, 200);
  await third.done;
  assert.equal((await t.api("GET", `/conversations/${third.conversation.id}/messages`)).json.items.at(-1).content, "Quick.");
  assert.ok(!first.over, "beside the first, not after it");
  assert.equal((await t.api("POST", `/conversations/${first.conversation.id}/stop`)).status, 202);
  await first.done;
  open();
  await t.stop();
});

test("nobody waits for a busy model for longer than ten minutes", async () => {
  const it = await fake({ script: [{ hang: true }] }), spare = await fake({ script: [{ reply: "I have time." }] });
  const t = await house([it, spare], { "models.first_token_ms": 1800000 });
  await t.api("PATCH", `/admin/models/${t.models[0].id}`, { concurrency: 1 });
  const first = await stream(t, t.owner.token, "one");
  await until(() => it.chats.length === 1, "the first is asked");
  const second = await stream(t, t.owner.token, "two");
  await until(() => second.positions().length > 0, "two waits");
  t.moveClock(601000);
  await until(() => second.over, "two goes on with the next model");
  assert.equal(spare.chats.length, 1);
  assert.ok(second.has("message:stream:complete"));
  t.owner = await t.login(t.owner.email);
  await t.api("POST", `/conversations/${first.conversation.id}/stop`);
  await first.done;
  await t.stop();
});

test("stop reaches the endpoint within a tenth of a second and keeps what was said", async () => {
  const it = await fake({ script: [{ reply: Array.from({ length: 2000 }, (_, i) => ` word${i}`), token_ms: 20 }] });
  const t = await house([it]);
  const took = [];
  for (let round = 0; round < 5; round++) { // the middle of five: any one of them may fall into a moment in which the machine does something else
    it.play(it.script);
    const turn = await stream(t, t.owner.token, `Go on, ${round}.`);
    await until(() => turn.text().includes("word1 "), "some words");
    const asked = performance.now();
    await t.api("POST", `/conversations/${turn.conversation.id}/stop`);
    const chat = it.chats[0];
    await until(() => chat.aborted, "the endpoint sees us go");
    took.push(chat.closedAt - asked);
    await turn.done;
    const reply = (await t.api("GET", `/conversations/${turn.conversation.id}/messages`)).json.items.at(-1);
    assert.equal(reply.state, "stopped");
    assert.match(reply.content, /^word0 word1|^ word0 word1/);
  }
  assert.ok(took.sort((a, b) => a - b)[2] < 100, `${took.map(Math.round)} ms`);
  await t.stop();
});

test("a reply is gone on with where it broke off", async () => {
  for (const kind of ["openai", "ollama", "anthropic"]) {
    const it = await fake({ kind, script: [{ reply: "I was going", finish: kind === "anthropic" ? "max_tokens" : "length" }, { reply: [" home", " slowly."] }] });
    const t = await house([it]);
    const conversation = await talk(t);
    const { reply } = await say(t, "Where were you going?", conversation);
    assert.equal(reply.finish_reason, "length");
    const more = await t.api("POST", `/conversations/${conversation.id}/messages/${reply.id}/continue`);
    assert.ok([200, 201].includes(more.status), more.text);
    const last = (await t.api("GET", `/conversations/${conversation.id}/messages`)).json.items.at(-1);
    assert.equal(last.content, "I was going home slowly.", kind);
    const sent = it.chats[1].json.messages.at(-1);
    assert.equal(sent.role, "assistant", kind);
    await t.stop();
  }
});
