// The realtime vocabulary over WebSocket and SSE, against the real binary: signing in, joining, sending, resuming by seq,
// a second device, slow readers, rights at every command, ends.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, test } from "node:test";
import WebSocket from "ws";
import { events, serve, start, until } from "./harness.js";

let t;
before(async () => { t = await start(); });
after(() => t.stop());

/** A client on a WebSocket that remembers what it heard. */
class Client {
  constructor(server, { protocols = ["troupe.v1"], headers = {}, origin } = {}) {
    this.frames = [];
    this.socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, protocols, { headers, ...(origin ? { origin } : {}) });
    this.listen();
    this.opened = new Promise((resolve, reject) => {
      this.socket.on("open", resolve);
      this.socket.on("error", reject);
    });
    this.closed = new Promise((resolve) => this.socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
  }
  listen() { this.socket.on("message", (bytes) => this.frames.push(JSON.parse(bytes))); }
  send(type, data) { this.socket.send(JSON.stringify({ type, data })); }
  find(type, where = () => true) { return this.frames.find((frame) => frame.type === type && where(frame.data, frame)); }
  /** The first frame of this type (also one that came already). */
  async wait(type, where = () => true) {
    return until(() => this.find(type, where), `${type}; heard ${this.frames.map((f) => f.type)}`);
  }
  /** The server has heard of this client and answered, or it has closed the socket. */
  async answered() {
    const pongs = () => this.frames.filter((frame) => frame.type === "pong").length, before = pongs();
    if (this.socket.readyState === WebSocket.OPEN) this.send("ping", {});
    await until(() => pongs() > before || this.socket.readyState !== WebSocket.OPEN, "a pong or the end");
  }
  get numbered() { return this.frames.filter((frame) => frame.seq !== undefined); }
  forget() { this.frames.length = 0; }
  close() { this.socket.terminate(); }
}

async function signIn(server, token = server.owner.token, options = {}) {
  const client = new Client(server, options);
  await client.opened;
  client.socket.send(JSON.stringify({ type: "auth", token }));
  await client.wait("auth:ok");
  return client;
}

async function newConversation(server, token = server.owner.token) {
  const character = await server.api("POST", "/characters", { name: "Echo", first_mes: "Hello there." }, { token });
  assert.equal(character.status, 201, character.text);
  const conversation = await server.api("POST", "/conversations", { character_ids: [character.json.id] }, { token });
  assert.equal(conversation.status, 201, conversation.text);
  return conversation.json.id;
}

async function join(client, id, after_seq) {
  client.frames = client.frames.filter((frame) => frame.type !== "conversation:joined");
  client.send("conversation:join", after_seq === undefined ? { id } : { id, after_seq });
  return (await client.wait("conversation:joined", (data) => data.conversation_id === id)).data;
}

function assertContiguous(frames, from) {
  frames.forEach((frame, i) => assert.equal(frame.seq, from + i, `frame ${i} of ${frames.length}: ${frame.type}`));
}

const deltas = (frames) => frames.filter((f) => f.type === "message:stream:chunk").map((f) => f.data.delta).join("");

// --- signing in ---------------------------------------------------------------------------------------------------------

test("signs in by the first message, in either form, and by header", async () => {
  const first = await signIn(t);
  assert.equal(first.find("auth:ok").data.user_id, t.owner.user.id);
  assert.equal(first.socket.protocol, "troupe.v1");
  const second = new Client(t, { protocols: [] });
  await second.opened;
  second.send("auth", { token: t.owner.token });
  await second.wait("auth:ok");
  assert.equal(second.socket.protocol, "");
  const third = new Client(t, { headers: { authorization: `Bearer ${t.owner.token}` } });
  await third.wait("auth:ok");
  for (const client of [first, second, third]) client.close();
});

test("turns strangers away: wrong token, another first message, 5 s of silence, a wrong header", async () => {
  const wrong = new Client(t);
  await wrong.opened;
  wrong.send("auth", { token: "nonsense" });
  assert.equal((await wrong.closed).code, 4401);
  assert.equal(wrong.find("error").data.code, "unauthorized");

  const eager = new Client(t);
  await eager.opened;
  eager.send("conversation:join", { id: "0000000000001" });
  assert.equal((await eager.closed).code, 4401);
  assert.equal(eager.find("conversation:joined"), undefined);

  const began = Date.now(), silent = new Client(t);
  let moved = 0;
  await silent.opened;
  const isSilentFor5s = () => Date.now() - began + moved >= 5000; // which on a busy machine it may be
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(silent.socket.readyState === WebSocket.OPEN || isSilentFor5s());
  t.moveClock(moved = 4000);
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok(silent.socket.readyState === WebSocket.OPEN || isSilentFor5s());
  t.moveClock(1000);
  assert.equal((await silent.closed).code, 4401);

  const badHeader = new Client(t, { headers: { authorization: "Bearer nonsense" } });
  await assert.rejects(badHeader.opened, /401/);
});

test("opens sockets for its own page and listed ones, not for others", async () => {
  const own = await signIn(t, t.owner.token, { origin: t.url });
  own.close();
  for (const origin of ["http://evil.example", "null", t.url.replace(/\d+$/, "1")]) {
    const foreign = new Client(t, { origin });
    await assert.rejects(foreign.opened, /403/, origin);
  }
});

// --- the vocabulary ------------------------------------------------------------------------------------------------------

test("a message and its reply: every event in order, numbered without a gap", async () => {
  const id = await newConversation(t);
  const client = await signIn(t);
  const joined = await join(client, id);
  assert.equal(joined.resumed, false);
  assert.deepEqual(joined.streaming, []);
  client.send("message:send", { conversation_id: id, content: "Tell me something.", client_id: "mine-1" });
  const complete = await client.wait("message:stream:complete");
  assertContiguous(client.numbered, joined.seq + 1);
  const types = client.numbered.map((frame) => frame.type);
  assert.equal(types[0], "message:received");
  assert.equal(client.find("message:received").data.client_id ?? client.find("message:received").data.message.client_id, "mine-1");
  assert.equal(types[1], "message:stream:start");
  assert.equal(types.at(-1), "message:stream:complete");
  assert.ok(types.slice(2, -1).every((type) => type === "message:stream:chunk"));
  assert.equal(deltas(client.frames), complete.data.message.content);
  assert.ok(complete.data.message.content.length > 0);
  assert.ok(client.numbered.every((frame) => frame.conversation_id === id));
  client.close();
});

test("who sends without having joined joins by it; fields may stand beside the type", async () => {
  const id = await newConversation(t);
  const client = await signIn(t);
  client.socket.send(JSON.stringify({ type: "message:send", conversation_id: id, content: "Hello." }));
  await client.wait("conversation:joined");
  await client.wait("message:stream:complete");
  client.close();
});

test("regenerate, continue and stop", async () => {
  const server = await start({ settings: { "understudy.tokens_per_second": 20 } });
  try {
    const id = await newConversation(server);
    const client = await signIn(server);
    await join(client, id);
    client.send("message:send", { conversation_id: id, content: "Tell me a long story." });
    await client.wait("message:stream:chunk");
    client.send("message:stop", { conversation_id: id });
    const stopped = await client.wait("message:stream:complete");
    assert.equal(stopped.data.message.state, "stopped");
    assert.equal(stopped.data.finish_reason, "stopped");
    client.forget();
    client.send("message:continue", { conversation_id: id, message_id: stopped.data.message.id });
    await client.wait("message:stream:chunk");
    client.send("message:stop", { conversation_id: id });
    const longer = await client.wait("message:stream:complete");
    assert.ok(longer.data.message.content.startsWith(stopped.data.message.content));
    client.forget();
    client.send("message:regenerate", { conversation_id: id, message_id: longer.data.message.id });
    await client.wait("message:stream:chunk");
    client.send("message:stop", { conversation_id: id });
    const other = await client.wait("message:stream:complete");
    assert.equal(other.data.message.id, longer.data.message.id);
    assert.equal(other.data.message.swipe.count, 2);
    client.close();
  } finally {
    await server.stop();
  }
});

test("typing reaches the other devices only, stops when the socket goes, and has no seq", async () => {
  const id = await newConversation(t);
  const [a, b] = [await signIn(t), await signIn(t)];
  await join(a, id);
  await join(b, id);
  a.send("typing:start", { conversation_id: id });
  const typing = await b.wait("typing:start");
  assert.deepEqual(typing.data, { conversation_id: id, user_id: t.owner.user.id });
  assert.equal(typing.seq, undefined);
  assert.equal(a.find("typing:start"), undefined);
  a.close();
  await b.wait("typing:stop");
  b.close();
});

test("pong carries the data of its ping back unchanged", async () => {
  const client = await signIn(t);
  const rows = ["{}", '{"at":12345678901234567890}', '{"n":1.10,"e":1e3}', '{"s":"κόσμε \\u0000 \\"x\\""}', "[1,[2]]", "null", '"text"'];
  for (const data of rows) {
    client.forget();
    const raw = new Promise((resolve) => client.socket.on("message", (bytes) => bytes.toString().startsWith('{"type":"pong"') && resolve(bytes.toString())));
    client.socket.send(`{"type":"ping","data":${data}}`);
    assert.equal(await raw, `{"type":"pong","data":${data}}`);
    client.socket.removeAllListeners("message");
    client.listen();
  }
  client.forget();
  client.socket.send('{"type":"ping"}');
  assert.deepEqual((await client.wait("pong")).data, {});
  client.close();
});

test("what is wrong with a command is named, with the command and the sender's own id", async () => {
  const id = await newConversation(t);
  const client = await signIn(t);
  const rows = [
    ["message:fly", {}, { code: "unknown_command" }],
    ["message:send", { conversation_id: id, client_id: "c1" }, { code: "invalid", field: "content", command: "message:send", client_id: "c1" }],
    ["message:send", { conversation_id: id, content: "x", colour: "red" }, { code: "invalid", field: "colour" }],
    ["message:send", { content: "x" }, { code: "invalid", field: "conversation_id" }],
    ["message:send", { conversation_id: "nonsense", content: "x" }, { code: "invalid", field: "conversation_id" }],
    ["message:send", { conversation_id: "7ZZZZZZZZZZZZ", content: "x", client_id: "c2" }, { code: "not_found", client_id: "c2" }],
    ["message:send", "text", { code: "invalid", field: "data" }],
    ["conversation:join", { id: "7ZZZZZZZZZZZZ" }, { code: "not_found", command: "conversation:join" }],
    ["conversation:join", { id, after_seq: -5 }, { code: "invalid", field: "after_seq" }],
    ["message:regenerate", { conversation_id: id }, { code: "invalid", field: "message_id" }],
    ["message:regenerate", { conversation_id: id, message_id: "7ZZZZZZZZZZZZ" }, { code: "not_found" }],
  ];
  for (const [type, data, expected] of rows) {
    client.forget();
    client.send(type, data);
    const error = (await client.wait("error")).data;
    assert.ok(error.detail.length > 5);
    for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, `${type} ${JSON.stringify(data)}: ${JSON.stringify(error)}`);
  }
  client.socket.send("{not json");
  await client.wait("error", (data) => data.code === "invalid_json");
  assert.equal(client.socket.readyState, WebSocket.OPEN);
  client.close();
});

// --- resuming ------------------------------------------------------------------------------------------------------------

test("a dropped connection goes on from the last event it saw: nothing missed, nothing twice", async () => {
  const server = await start({ settings: { "understudy.tokens_per_second": 40 } });
  try {
    const id = await newConversation(server);
    const witness = await signIn(server);
    const from = (await join(witness, id)).seq;
    witness.send("message:send", { conversation_id: id, content: "A story, please." });
    const heard = [];
    for (let round = 0, last = from; !witness.find("message:stream:complete") || last < witness.numbered.at(-1).seq; round += 1) {
      assert.ok(round < 200);
      const client = await signIn(server);
      const joined = await join(client, id, last);
      assert.equal(joined.resumed, true);
      assert.deepEqual(joined.streaming, []);
      await new Promise((resolve) => setTimeout(resolve, 120));
      client.close();
      assertContiguous(client.numbered, last + 1);
      heard.push(...client.numbered);
      last += client.numbered.length;
    }
    assert.deepEqual(heard, witness.numbered);
    assert.equal(deltas(heard), witness.find("message:stream:complete").data.message.content);
    witness.close();
  } finally {
    await server.stop();
  }
});

test("a second device comes in the middle of a reply: the text so far, then the rest", async () => {
  const server = await start({ settings: { "understudy.tokens_per_second": 20 } });
  try {
    const id = await newConversation(server);
    const first = await signIn(server);
    await join(first, id);
    first.send("message:send", { conversation_id: id, content: "A long story, please." });
    await until(() => first.frames.filter((f) => f.type === "message:stream:chunk").length > 3, "some chunks");
    const second = await signIn(server);
    const joined = await join(second, id);
    assert.equal(joined.resumed, false);
    assert.equal(joined.streaming.length, 1);
    const soFar = joined.streaming[0].content;
    assert.ok(soFar.length > 0);
    const complete = await second.wait("message:stream:complete");
    assertContiguous(second.numbered, joined.seq + 1);
    assert.equal(soFar + deltas(second.frames), complete.data.message.content);
    assert.equal(joined.streaming[0].message_id, complete.data.message.id);
    first.close();
    second.close();
  } finally {
    await server.stop();
  }
});

test("a seq from before a restart is not resumed, and the sequence goes on above it", async () => {
  let server = await start();
  const id = await newConversation(server);
  const owner = server.owner;
  const client = await signIn(server);
  await join(client, id);
  client.send("message:send", { conversation_id: id, content: "Hello." });
  await client.wait("message:stream:complete");
  const last = client.numbered.at(-1).seq;
  await server.kill();
  await client.closed;
  server = await serve({ dir: server.dir });
  try {
    const again = await signIn(server, owner.token);
    const joined = await join(again, id, last);
    assert.equal(joined.resumed, false);
    assert.ok(joined.seq > last);
    again.close();
  } finally {
    await server.stop();
  }
});

test("a slow reader is dropped with 1013 and resumes by seq; others hear everything", async () => {
  const id = await newConversation(t);
  const [slow, quick] = [await signIn(t), await signIn(t)];
  const { seq } = await join(slow, id);
  await join(quick, id);
  slow.send("message:send", { conversation_id: id, content: "Hello." });
  await slow.wait("message:stream:complete");
  const message_id = slow.find("message:received").data.message.id;
  const seen = slow.numbered.at(-1).seq;
  slow.socket._socket.pause();
  let edits = 0;
  for (; edits < 200 && (await t.api("GET", "/metrics")).text.match(/troupe_channels_slow_total (\d+)/)?.[1] === "0"; edits += 1) {
    const answer = await t.api("PATCH", `/conversations/${id}/messages/${message_id}`, { content: `${edits} ${"x".repeat(95000)}` });
    assert.equal(answer.status, 200, answer.text);
  }
  assert.ok(edits < 200, "never dropped");
  slow.socket._socket.resume();
  assert.equal((await slow.closed).code, 1013);
  assertContiguous(slow.numbered, seq + 1);
  assert.ok(slow.numbered.at(-1).seq > seen, "what was sent before the close arrives");
  await until(() => quick.numbered.at(-1).seq >= seen + edits, "the quick one hears all");
  assertContiguous(quick.numbered, seq + 1);
  const back = await signIn(t);
  const last = quick.numbered.at(-1).seq;
  assert.equal((await join(back, id, last - 1)).resumed, true);
  await until(() => back.numbered.length >= 1, "the missed event");
  assert.equal(back.numbered[0].seq, last);
  for (const client of [quick, back]) client.close();
});

// --- SSE -----------------------------------------------------------------------------------------------------------------

test("the same events over SSE, resumed with Last-Event-ID or after_seq", async () => {
  const id = await newConversation(t);
  const client = await signIn(t);
  await join(client, id);
  const stop = new AbortController();
  const open = (headers = {}, query = "") => fetch(`${t.url}/api/v1/conversations/${id}/events${query}`, {
    headers: { authorization: `Bearer ${t.owner.token}`, accept: "text/event-stream", ...headers }, signal: stop.signal });
  const answer = await open();
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /^text\/event-stream/);
  assert.equal(answer.headers.get("cache-control"), "no-store");
  assert.equal(answer.headers.get("x-accel-buffering"), "no");
  const stream = events(answer);
  const joined = (await stream.next()).value;
  assert.equal(joined.event, "conversation:joined");
  assert.equal(Number(joined.id), joined.data.data.seq);
  client.send("message:send", { conversation_id: id, content: "Hello." });
  const heard = [];
  for (let event; event?.event !== "message:stream:complete"; heard.push(event)) event = (await stream.next()).value;
  heard.forEach((event, i) => {
    assert.equal(Number(event.id), joined.data.data.seq + 1 + i);
    assert.equal(event.event, event.data.type);
  });
  await until(() => client.numbered.length >= heard.length, "the socket has heard as much");
  assert.deepEqual(heard.map((event) => event.data), client.numbered.slice(0, heard.length));

  const from = Number(heard[1].id);
  for (const resumed of [await open({ "last-event-id": String(from) }), await open({}, `?after_seq=${from}`)]) {
    const again = events(resumed);
    const first = (await again.next()).value;
    assert.equal(first.data.data.resumed, true);
    assert.equal(Number(first.id), from); // where it stands, until an event follows
    for (const event of heard.slice(2)) assert.deepEqual((await again.next()).value, event);
  }
  const lost = events(await open({ "last-event-id": "nonsense" }));
  assert.equal((await lost.next()).value.data.data.resumed, false);
  stop.abort();
  client.close();
});

test("bug: a caller who leaves before the stream of a turn begins takes nobody with him", async () => {
  const id = await newConversation(t);
  const { hostname, port } = new URL(t.url);
  const body = JSON.stringify({ content: "Hello and goodbye." });
  for (let i = 0; i < 40; i += 1) {
    // the key makes the handler wait for the disk; meanwhile the caller resets the connection
    await new Promise((resolve) => {
      const socket = connect(Number(port), hostname, () => socket.write(
        `POST /api/v1/conversations/${id}/messages HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${t.owner.token}\r\n` +
        `Content-Type: application/json\r\nAccept: text/event-stream\r\nIdempotency-Key: gone-before-${i}\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body}`, () => setTimeout(() => socket.resetAndDestroy(), i % 8))); // a reset takes along what was not read yet: some come at once, some a little later
      socket.on("error", () => {});
      socket.on("close", () => setTimeout(resolve, 5));
    });
  }
  assert.equal((await t.api("GET", "/healthz")).status, 200);
  await until(async () => (await t.api("GET", `/conversations/${id}/messages?limit=100`)).json.items.some((m) => m.role === "user"), "what was said is kept");
});

// --- rights and ends -----------------------------------------------------------------------------------------------------

test("another person's conversation cannot be joined, heard, or spoken in", async () => {
  const id = await newConversation(t);
  const mia = await t.newUser();
  const client = await signIn(t, mia.token);
  const commands = [["conversation:join", { id }], ["message:send", { conversation_id: id, content: "x" }], ["message:stop", { conversation_id: id }],
    ["message:regenerate", { conversation_id: id, message_id: id }], ["message:continue", { conversation_id: id, message_id: id }],
    ["typing:start", { conversation_id: id }], ["typing:stop", { conversation_id: id }], ["conversation:leave", { id }]];
  for (const [type, data] of commands) {
    client.forget();
    client.send(type, data);
    assert.equal((await client.wait("error")).data.code, "not_found", type);
  }
  assert.equal((await t.api("GET", `/conversations/${id}/events`, undefined, { token: mia.token })).status, 404);
  assert.equal((await t.api("GET", `/conversations/${id}/events`, undefined, { token: null })).status, 401);
  const owner = await signIn(t);
  await join(owner, id);
  owner.send("message:send", { conversation_id: id, content: "Secret." });
  await owner.wait("message:stream:complete");
  assert.ok(!client.frames.some((frame) => JSON.stringify(frame).includes("Secret.")));
  client.close();
  owner.close();
});

test("a deleted conversation shows everybody out", async () => {
  const id = await newConversation(t);
  const client = await signIn(t);
  await join(client, id);
  const stream = events(await t.api("GET", `/conversations/${id}/events`, undefined, { raw: true }));
  await stream.next();
  assert.equal((await t.api("DELETE", `/conversations/${id}`)).status, 204);
  const error = await client.wait("error");
  assert.equal(error.data.code, "not_found");
  assert.equal(error.data.conversation_id, id);
  assert.equal((await stream.next()).value.event, "error");
  assert.equal((await stream.next()).done, true);
  client.forget();
  client.send("message:send", { conversation_id: id, content: "Anybody?" });
  assert.equal((await client.wait("error")).data.code, "not_found");
  client.close();
});

test("signing out ends the sockets and streams of that session, and no others", async () => {
  const mia = await t.newUser();
  const other = await t.login(mia.email);
  const [ends, stays] = [await signIn(t, mia.token), await signIn(t, other.token)];
  const answer = await t.api("POST", "/auth/logout", {}, { token: mia.token, headers: { cookie: mia.cookie, "x-troupe-request": "1" } });
  assert.equal(answer.status, 204, answer.text);
  assert.equal((await ends.closed).code, 4401);
  stays.send("ping", {});
  await stays.wait("pong");
  stays.close();
});

test("an API key needs the chat scope, and its end ends its sockets", async () => {
  const key = async (scopes) => {
    const answer = await t.api("POST", "/auth/api-keys", { name: "bot", scopes });
    assert.equal(answer.status, 201, answer.text);
    return answer.json;
  };
  const id = await newConversation(t);
  const reads = await key(["read"]);
  const reader = await signIn(t, reads.key ?? reads.token);
  reader.send("conversation:join", { id });
  assert.equal((await reader.wait("error")).data.code, "denied");
  reader.close();
  const chats = await key(["chat"]);
  const bot = await signIn(t, chats.key ?? chats.token);
  await join(bot, id);
  assert.equal((await t.api("DELETE", `/auth/api-keys/${chats.id}`)).status, 204);
  assert.equal((await bot.closed).code, 4401);
});

test("the socket of a key without an end stays; that of a key that ends goes with it", async () => {
  const server = await start();
  try {
    const key = async (more) => (await server.api("POST", "/auth/api-keys", { name: "bot", scopes: ["chat"], ...more })).json.key;
    const stays = await signIn(server, await key({})), ends = await signIn(server, await key({ expires_at: new Date(Date.now() + 3600000).toISOString() }));
    const seen = [];
    for (const [name, client] of Object.entries({ stays, ends })) client.socket.on("ping", () => seen.push(name)); // the sweep has looked at it and let it be
    await until(() => { server.moveClock(5000); return seen.includes("stays") || stays.socket.readyState !== WebSocket.OPEN; }, "a look at the socket");
    assert.equal(stays.socket.readyState, WebSocket.OPEN, "a key without an end has not expired");
    await until(() => seen.includes("ends") || ends.socket.readyState !== WebSocket.OPEN, "a look at the other");
    assert.equal(ends.socket.readyState, WebSocket.OPEN, "its hour is not over");
    server.moveClock(3700000);
    assert.equal((await ends.closed).code, 4401);
    stays.close();
  } finally {
    await server.stop();
  }
});

test("a token may be renewed on the socket; expired for more than a minute it ends", async () => {
  const server = await start();
  try {
    const [renews, forgets] = [await signIn(server), await signIn(server)];
    const lifetime = (await server.api("POST", "/auth/login", { email: server.owner.email, password: "a long enough pass phrase" })).json.expires_in;
    server.moveClock((lifetime - 10) * 1000);
    const fresh = await server.login(server.owner.email);
    renews.forget();
    renews.socket.send(JSON.stringify({ type: "auth", token: fresh.token }));
    await renews.wait("auth:ok");
    for (let i = 0; i < 6; i += 1) { // not in one step: a client that answers no ping for a minute is given up
      server.moveClock(20000);
      await Promise.all([renews.answered(), forgets.answered()]);
    }
    assert.equal((await forgets.closed).code, 4401);
    renews.send("ping", {});
    await renews.wait("pong");
    renews.close();
  } finally {
    await server.stop();
  }
});

test("commands count against the person's rate", async () => {
  const server = await start({ settings: { "limits.requests_per_minute": 20 } });
  try {
    const mia = await server.newUser();
    const client = await signIn(server, mia.token);
    for (let i = 0; i < 60; i += 1) client.send("typing:start", { conversation_id: "7ZZZZZZZZZZZZ", client_id: `c${i}` });
    const error = await client.wait("error", (data) => data.code === "rate_limited");
    assert.ok(error.data.retry_after_s >= 1);
    assert.match(error.data.client_id, /^c\d+$/);
    client.close();
  } finally {
    await server.stop();
  }
});

test("a stop says 1001", async () => {
  const server = await start();
  const client = await signIn(server);
  const end = server.stop();
  assert.equal((await client.closed).code, 1001);
  assert.equal((await end).code, 0);
});

// --- the wire ------------------------------------------------------------------------------------------------------------

/** A handshake and then raw bytes; gives all that came after the 101 until the server closed. */
function raw(bytes) {
  const { hostname, port } = new URL(t.url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    const pieces = [];
    socket.on("error", reject);
    socket.on("data", (piece) => pieces.push(piece));
    socket.on("close", () => {
      const all = Buffer.concat(pieces);
      resolve(all.subarray(all.indexOf("\r\n\r\n") + 4));
    });
    socket.write(`GET /ws HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    socket.write(bytes);
  });
}

test("frames that break RFC 6455 are answered with the right close code over a real socket", async () => {
  const rows = [
    [[0x81, 0x01, 0x41], 1002, "not masked"],
    [[0xc1, 0x81, 0, 0, 0, 0, 0x41], 1002, "a reserved bit"],
    [[0x83, 0x80, 0, 0, 0, 0], 1002, "a reserved opcode"],
    [[0x81, 0xfe, 0, 5, 0, 0, 0, 0, 1, 2, 3, 4, 5], 1002, "a longer length than needed"],
    [[0x01, 0x82, 0, 0, 0, 0, 0xf4, 0x90], 1007, "text that cannot become valid, in mid-message"],
    [[0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 1009, "2^62 bytes announced"],
    [[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xec], 1002, "close code 1004"],
    [[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], 1000, "a good close"],
  ];
  for (const [bytes, code, why] of rows) {
    const answer = await raw(Buffer.from(bytes));
    assert.equal(answer[0], 0x88, why);
    assert.equal(answer.readUInt16BE(2), code, why);
    assert.equal(answer.length, 2 + answer[1], `nothing behind the close: ${why}`);
  }
});
