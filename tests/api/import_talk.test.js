// A talk on its way in: how far it is, and that whoever breaks off finds nothing of it. What is found in one that came is in memory_recall.test.js.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import { join } from "node:path";
import WebSocket from "ws";
import { start, until } from "./harness.js";

let t, heard, socket;
before(async () => {
  t = await start();
  heard = [];
  socket = new WebSocket(`${t.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${t.owner.token}` } });
  socket.on("message", (bytes) => heard.push(JSON.parse(bytes)));
  await until(() => heard.length, "the socket is signed in");
});
after(async () => {
  socket.terminate();
  await t.stop();
});

const LINES = 20000;
const talk = (name, lines = LINES) => ({
  format: "troupe", character_name: name, persona_name: `Friend of ${name}`,
  messages: Array.from({ length: lines }, (_, i) => ({
    id: `${name}${i}`, role: i % 2 ? "assistant" : "user", content: `Line ${i} of a talk with ${name}, in which a zeppelin lands.`,
    created_at: new Date(Date.UTC(2022, 0, 1) + i * 60000).toISOString(),
  })),
});
const progress = () => heard.filter((frame) => frame.type === "job:progress" && frame.data.kind === "conversation.import").map((frame) => frame.data);
const sql = (query) => execFileSync("sqlite3", ["-readonly", "-cmd", ".timeout 20000", "-separator", " ", join(t.dir, "troupe.db"), query], { encoding: "utf8" }).trim();
const rows = () => sql("SELECT (SELECT count(*) FROM conversation), (SELECT count(*) FROM message), (SELECT count(*) FROM variant), (SELECT count(*) FROM memory_turn), (SELECT count(*) FROM persona)");
const post = (body, { signal, headers = {} } = {}) => fetch(`${t.url}/api/v1/conversations/import`, {
  method: "POST", signal, body: JSON.stringify(body), headers: { authorization: `Bearer ${t.owner.token}`, "content-type": "application/json", ...headers },
});

test("an import that is broken off is taken back whole, says so, and may be sent again with the same key", { timeout: 600000 }, async () => {
  const before = rows(), headers = { "idempotency-key": "broken-off" }, body = talk("Cora");
  const other = (await (await post(talk("Otis", 10))).json()).conversation.id;
  const kept = rows();
  const cut = new AbortController(), sent = post(body, { signal: cut.signal, headers }).then(() => "answered", (error) => error.name);
  await until(() => progress().find((p) => p.total === LINES && p.progress > 0), "it is under way");
  cut.abort();
  assert.equal(await sent, "AbortError");
  let slowest = 0;
  const end = await until(async () => {
    const began = Date.now();
    assert.equal((await t.api("POST", `/conversations/${other}/messages`, { content: "still here", reply: false })).status, 201);
    slowest = Math.max(slowest, Date.now() - began);
    return progress().find((p) => p.total === LINES && p.state !== "running");
  }, "it is over");
  assert.equal(end.state, "cancelled");
  assert.ok(end.progress < LINES, "or it was cancelled after its end");
  assert.ok(slowest < 1000, `somebody else's message waited ${slowest} ms`);
  assert.equal((await t.api("DELETE", `/conversations/${other}`)).status, 204);
  const said = Number(rows().split(" ")[1]) - Number(kept.split(" ")[1]);
  assert.equal(sql("SELECT count(*) FROM conversation"), kept.split(" ")[0], `of the talk nothing is left: ${before}, ${rows()}`);
  assert.equal(sql("SELECT count(*) FROM message WHERE external_id LIKE 'Cora%'"), "0");
  assert.equal(sql("SELECT count(*) FROM memory_turn WHERE text LIKE '%Cora%'"), "0");
  assert.ok(said > 0);
  assert.equal((await t.api("GET", "/characters?mine=true&limit=100")).json.items.filter((c) => c.name === "Cora").length, 0);
  assert.equal((await t.api("GET", "/characters?trash=true&limit=100")).json.items.filter((c) => c.name === "Cora").length, 0, "nor is there a character in the trash");
  assert.equal(sql("SELECT count(*) FROM persona WHERE name = 'Friend of Cora'"), "0");
  await until(async () => (await t.api("GET", "/admin/embedder")).json.vectors_pending < 100, "what waited for vectors is forgotten too");
  assert.equal((await t.api("GET", `/conversations/${end.id}`)).status, 404);

  const again = await post(body, { headers });
  assert.equal(again.status, 201);
  const { conversation, messages } = await again.json();
  assert.equal(messages.length, LINES);
  assert.notEqual(conversation.id, end.id);
  assert.equal((await t.api("GET", `/memory/${conversation.id}/search?q=zeppelin`)).status, 200);
  assert.equal(conversation.characters[0].name, "Cora");
  assert.equal((await t.api("GET", `/characters/${conversation.characters[0].id}`)).json.name, "Cora", "it was made with the talk");
});

test("what is broken off before it has arrived was never there", async () => {
  await until(async () => (await t.api("GET", "/admin/embedder")).json.words_pending === 0, "what was said before is counted");
  const before = rows(), cut = new AbortController();
  async function* slowly() {
    yield Buffer.from('{"format": "troupe", "messages": [');
    yield Buffer.from(" ".repeat(100000)); // is asked for when the first has left
    cut.abort();
  }
  const sent = fetch(`${t.url}/api/v1/conversations/import`, {
    method: "POST", signal: cut.signal, duplex: "half", body: slowly(), headers: { authorization: `Bearer ${t.owner.token}`, "content-type": "application/json" },
  }).then(() => "answered", (error) => error.name);
  assert.equal(await sent, "AbortError");
  assert.equal(rows(), before);
});

test("a server that stops in the middle of an import leaves nothing of it", { timeout: 600000 }, async () => {
  const server = await start({ settings: { "net.grace_ms": 100 } });
  const ears = new WebSocket(`${server.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${server.owner.token}` } });
  let running = false;
  ears.on("message", (bytes) => (running ||= JSON.parse(bytes).data?.kind === "conversation.import"));
  ears.on("error", () => {});
  await until(() => ears.readyState === 1, "somebody listens");
  const sent = server.api("POST", "/conversations/import", talk("Dora", 3 * LINES), { headers: { "idempotency-key": "a stop" } }).then((answer) => answer.status, () => "broken");
  await until(() => running, "it is under way");
  const { code, signal } = await server.stop({ keep: true });
  assert.equal(code, 0, `${signal}\n${server.logText()}`);
  assert.equal(await sent, "broken");
  ears.terminate();
  const left = execFileSync("sqlite3", ["-readonly", join(server.dir, "troupe.db"), "SELECT count(*) FROM conversation WHERE deleted_at IS NULL"], { encoding: "utf8" }).trim();
  assert.equal(left, "0");
  rmSync(server.dir, { recursive: true });
});
