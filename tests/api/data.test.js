// What is kept of a person, in their own hands: all of it in one archive, and all of it gone.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket from "ws";
import { PASSWORD, binary, lockedOut, serve, start, until } from "./harness.js";
import { picture } from "./picture.js";

const HOUR = 3600000, DAY = 24 * HOUR;
const isSanitized = readFileSync(binary).includes("__asan_init"); // then memory is kept from being used again, and says nothing
const EMBEDDING_MS = 600000, ERASING_MS = 300000; // both give way to everything else that the machine does
const SCHEMA = fileURLToPath(new URL("../../schema.sql", import.meta.url));

let t;
before(async () => { t = await start(); });
after(() => t.stop());

// --- helpers ---------------------------------------------------------------------------------------------------------------

/** Somebody who is not the owner, with calls in their name. */
async function person(server = t, name = "Mia") {
  const who = await server.newUser({ name });
  return { ...who, api: (method, path, body, more) => server.api(method, path, body, { token: who.token, ...more }) };
}

const importTalk = (who, name, count, text = (i) => `Line ${i} of ${name}: the kettle, the rain, the long road to the sea.`) =>
  who.api("POST", "/conversations/import", { format: "troupe", character_name: name, title: `Talk with ${name}`,
    messages: Array.from({ length: count }, (_, i) => ({ id: `x${i}`, role: i % 2 ? "assistant" : "user", name: i % 2 ? name : "Mia", content: text(i),
      created_at: new Date(Date.UTC(2023, 6, 1) + i * 60000).toISOString() })) });

async function archive(who, wait_ms = 300000) {
  const asked = await who.api("POST", "/users/me/export");
  assert.equal(asked.status, 202, asked.text);
  assert.equal(asked.json.state, "preparing");
  return until(async () => {
    const { json } = await who.api("GET", "/users/me/export");
    assert.notEqual(json.state, "failed", json.reason);
    return json.state === "ready" && json;
  }, "the archive", wait_ms);
}

// Another program than ours reads it, and looks at every sum.
const UNPACK = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as z:
    assert z.testzip() is None, z.testzip()
    names = z.namelist()
    assert len(names) == len(set(names)), "a name is there twice"
    assert all(i.external_attr >> 16 == 0o100600 and i.flag_bits & 0x800 for i in z.infolist())
    z.extractall(sys.argv[2])
`;
/** Downloads and unpacks: every file by its name. */
async function unpacked(who) {
  const answer = await who.api("GET", "/users/me/export/file");
  assert.equal(answer.status, 200, answer.text.slice(0, 200));
  const dir = mkdtempSync(join(tmpdir(), "troupe-archive-"));
  try {
    writeFileSync(join(dir, "a.zip"), answer.bytes);
    execFileSync("python3", ["-c", UNPACK, join(dir, "a.zip"), join(dir, "out")]);
    const files = new Map();
    for (const name of readdirSync(join(dir, "out"), { recursive: true }).map(String)) {
      if (statSync(join(dir, "out", name)).isFile()) files.set(name, readFileSync(join(dir, "out", name)));
    }
    return files;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
const json = (files, name) => JSON.parse(files.get(name).toString("utf8"));
const find = (files, pattern) => [...files.keys()].filter((name) => pattern.test(name));

/** Files under a folder that hold one of the words. */
function holders(dir, words) {
  const found = [];
  for (const name of readdirSync(dir, { recursive: true }).map(String)) {
    const path = join(dir, name);
    let bytes;
    try { bytes = readFileSync(path); } catch { continue; } // a folder, or gone meanwhile
    for (const word of words) if (bytes.includes(word)) found.push(`${name}: ${word}`);
  }
  return found;
}
const exportsOf = (server) => (existsSync(join(server.dir, "exports")) ? readdirSync(join(server.dir, "exports")) : []);
const sql = (server, text) => execFileSync("sqlite3", ["-cmd", ".timeout 20000", join(server.dir, "troupe.db"), text]).toString().trim();

// --- everything about me -----------------------------------------------------------------------------------------------------

test("everything about a person is in one archive: account, characters with every version, conversations with every text, what was learnt", async () => {
  const mia = await person();
  const other = await person(t, "Otto");
  await other.api("POST", "/characters", { name: "Ottos Secret", description: "ottosecretword" });
  await mia.api("PATCH", "/users/me/preferences", { theme: "dark" });
  await mia.api("PUT", "/users/me/avatar", picture(11), { headers: { "content-type": "image/png" } });
  const persona = (await mia.api("POST", "/users/me/personas", { name: "Captain Mia", description: "A captain." })).json;
  const key = (await mia.api("POST", "/auth/api-keys", { name: "my script", scopes: ["read"] })).json;
  const liked = (await t.api("GET", "/characters?limit=1")).json.items[0];
  assert.ok([200, 201, 204].includes((await mia.api("POST", "/users/me/favorites", { character_id: liked.id })).status));
  const made = (await mia.api("POST", "/characters", { name: "Ada / Löwe", description: "The first version.", first_mes: "Good evening.", tags: ["sea"],
    character_book: { entries: [{ keys: ["clock"], content: "It ticks.", enabled: true, insertion_order: 1, extensions: {} }], extensions: {} } })).json;
  await mia.api("PUT", `/characters/${made.id}/avatar`, picture(12), { headers: { "content-type": "image/png" } });
  await mia.api("PATCH", `/characters/${made.id}`, { description: "The second version." });
  const trashed = (await mia.api("POST", "/characters", { name: "Thrown Away" })).json;
  await mia.api("DELETE", `/characters/${trashed.id}`);
  assert.equal((await mia.api("POST", `/characters/${made.id}/knowledge?name=harbour.md`, "# The harbour\n\nShips come at noon.", { headers: { "content-type": "text/markdown" } })).status, 201);

  const conversation = (await mia.api("POST", "/conversations", { character_ids: [made.id], title: "By the sea", persona_id: persona.id })).json;
  const at = `/conversations/${conversation.id}`;
  const said = (await mia.api("POST", `${at}/messages`, { content: "What I said first." })).json;
  await mia.api("POST", `${at}/messages/${said.reply.id}/regenerate`);
  const bare = (await mia.api("POST", `${at}/messages`, { content: "As it was before the edit.", reply: false })).json;
  assert.equal((await mia.api("PATCH", `${at}/messages/${bare.message.id}`, { content: "As it is after the edit." })).status, 200);
  const thrown = (await mia.api("POST", `${at}/messages`, { content: "A message in the trash.", reply: false })).json;
  await mia.api("DELETE", `${at}/messages/${thrown.message.id}`);
  const fact = (await mia.api("POST", `/memory/${conversation.id}/facts`, { text: "Mia is afraid of geese." })).json;
  await mia.api("PATCH", `/memory/${conversation.id}/summary`, { kind: "full", text: "They met by the sea." });

  const ready = await archive(mia);
  assert.ok(ready.bytes > 1000 && ready.url === "/api/v1/users/me/export/file" && ready.reason === null);
  assert.equal(Date.parse(ready.expires_at) - Date.parse(ready.made_at), DAY);
  const files = await unpacked(mia);
  assert.match(files.get("README.txt").toString(), /everything that this Troupe keeps about you/);
  const account = json(files, "account.json");
  assert.deepEqual([account.id, account.email, account.display_name, account.role, account.preferences.theme], [mia.user.id, mia.email, "Mia", "member", "dark"]);
  assert.equal(json(files, "sessions.json").length, 1);
  assert.deepEqual(json(files, "api_keys.json").map((row) => row.name), ["my script"]);
  assert.deepEqual(json(files, "personas.json").map((row) => [row.name, row.description]), [["Captain Mia", "A captain."]]);
  assert.deepEqual(json(files, "favourites.json").map((row) => row.character), [liked.name]);
  assert.ok(json(files, "usage.json").reduce((sum, row) => sum + row.calls, 0) >= 2);

  const folder = dirname(find(files, /^characters\/.*Löwe.*\/character\.json$/)[0]);
  assert.equal(folder, `characters/Ada - Löwe-${made.id}`, "what no file system takes is replaced");
  assert.equal(json(files, `${folder}/card.json`).spec, "chara_card_v3");
  assert.equal(json(files, `${folder}/card.json`).data.character_book.entries[0].content, "It ticks.");
  assert.deepEqual(json(files, `${folder}/revisions.json`).map((row) => row.card.description), ["The first version.", "The first version.", "The second version."]);
  assert.deepEqual(files.get(`${folder}/portrait.png`), picture(12));
  assert.match(files.get(find(files, /documents\/harbour/)[0]).toString(), /Ships come at noon\./);
  assert.ok(json(files, `characters/Thrown Away-${trashed.id}/character.json`).deleted_at, "what is in the trash is there, and says so");
  assert.deepEqual(files.get(`pictures/${account.picture}.png`), picture(11));

  const talk = json(files, `conversations/By the sea-${conversation.id}.json`);
  assert.deepEqual([talk.title, talk.persona, talk.characters[0].name], ["By the sea", "Captain Mia", "Ada / Löwe"]);
  const texts = talk.messages.map((message) => message.variants[message.chosen].content);
  assert.deepEqual([texts[0], texts[1]], ["Good evening.", "What I said first."]);
  const reply = talk.messages.find((message) => message.id === said.reply.id);
  assert.equal(reply.variants.length, 2);
  const edited = talk.messages.find((message) => message.id === bare.message.id);
  assert.deepEqual([edited.variants[0].content, edited.earlier_texts[0].content], ["As it is after the edit.", "As it was before the edit."]);
  assert.ok(talk.messages.find((message) => message.id === thrown.message.id).deleted_at);
  assert.deepEqual(talk.facts.map((row) => [row.id, row.text]), [[fact.id, "Mia is afraid of geese."]]);
  assert.deepEqual(talk.summaries.map((row) => row.text), ["They met by the sea."]);
  assert.ok(talk.branches.length >= 1 && talk.relationship);

  const everything = Buffer.concat([...files.values()]);
  for (const secret of [key.key, PASSWORD, "argon2", "ottosecretword", other.email]) assert.ok(!everything.includes(secret), `no ${secret}`);
  assert.ok((await t.api("GET", "/admin/stats")).json.storage.archives_bytes >= ready.bytes, "the house knows what archives take");
});

test("lorebooks that belong to no character are taken along with their entries", async () => {
  let server = await start();
  const mia = await person(server);
  await server.stop({ keep: true });
  // No route makes such a book yet; the table may hold them.
  sql(server, `INSERT INTO lorebook (id, owner_id, name, unknown, created_at, updated_at) VALUES (${idNumber(mia.user.id)}, ${idNumber(mia.user.id)}, 'The harbour', '{"odd":1}', 1, 1);
    INSERT INTO lore_entry (id, lorebook_id, place, keys, content) VALUES (1, ${idNumber(mia.user.id)}, 0, '["tide"]', 'It turns at noon.'), (2, ${idNumber(mia.user.id)}, 1, '["lamp"]', 'It is lit.')`);
  server = await serve({ dir: server.dir });
  try {
    const { token } = await server.login(mia.email);
    const again = { api: (method, path, body) => server.api(method, path, body, { token }) };
    await archive(again);
    const [book] = json(await unpacked(again), "lorebooks.json");
    assert.deepEqual([book.name, book.unknown, book.entries.map((entry) => [entry.keys, entry.content])], ["The harbour", { odd: 1 }, [[["tide"], "It turns at noon."], [["lamp"], "It is lit."]]]);
  } finally {
    await server.stop();
  }
});

// Of every table that has to do with a person: which of its columns are not in the archive, and why.
const SECRET = "a secret", REMADE = "made again from the rest", INNER = "how the house finds things", OTHERS = "holds cards of other people";
const LEFT_OUT = {
  user: { email_folded: INNER, must_verify: INNER, password_phc: SECRET, disabled_at: INNER, token_epoch: SECRET, revision: INNER, deleted_at: INNER, erase_at: INNER },
  persona: { user_id: INNER, revision: INNER },
  mail: { user_id: INNER, text_sealed: SECRET },
  session: { user_id: INNER }, api_key: { user_id: INNER, hint: SECRET, hash: SECRET }, invite: { code: SECRET, created_by: INNER },
  favourite: { user_id: INNER }, usage: { id: INNER, user_id: INNER, conversation_id: INNER, message_id: INNER, model_id: INNER, outcome: INNER, is_estimated: INNER, first_token_ms: INNER,
    total_ms: INNER, created_at: "as a day" },
  character: { owner_id: INNER, description: "card", personality: "card", scenario: "card", first_mes: "card", mes_example: "card", alternate_greetings: "card",
    group_only_greetings: "card", system_prompt: "card", post_history_instructions: "card", creator_notes: "card", tags: "card", creator: "card", character_version: "card",
    source: "card", extensions: "card", unknown: "card", vrm_id: INNER },
  character_revision: { character_id: INNER, saved_by: INNER },
  knowledge_document: { character_id: INNER, chunk_count: INNER, added_by: INNER }, knowledge_chunk: { id: INNER, document_id: INNER, character_id: INNER, place: INNER },
  lorebook: { owner_id: INNER, character_id: INNER }, lore_entry: { lorebook_id: INNER, place: INNER },
  conversation: { owner_id: INNER, last_line: REMADE, revision: INNER }, conversation_character: { conversation_id: INNER, place: INNER },
  branch: { conversation_id: INNER }, message: { conversation_id: INNER, variant_count: REMADE }, variant: { message_id: INNER },
  message_revision: { message_id: INNER, saved_by: INNER },
  memory_fact: { user_id: INNER, conversation_id: INNER, identity: REMADE, revision: INNER }, memory_source: { fact_id: INNER },
  memory_episode: { user_id: INNER, character_id: INNER, conversation_id: INNER, is_stale: INNER, revision: INNER },
  memory_summary: { conversation_id: INNER, is_stale: INNER, own_bytes: INNER, revision: INNER },
  memory_progress: { conversation_id: INNER, waiting: INNER, queued: INNER, learnt_to: INNER, summed_to: INNER, again_from: INNER, again_to: INNER },
};
const NOT_OF_A_PERSON = ["instance", "signing_key", "zeros", "export", "job", "idempotency", "login_failure", "setting", "model", "route", "encoder", "index_touch", "index_queue", "index_rebuild", // the house
  "refresh_token", "email_token", // secrets
  "mail_quota", // digests, for a day
  "character_tag", "memory_turn", "memory_forgotten", "memory_withheld", // made again, or digests
  "prompt", // OTHERS
  "audit"]; // its own columns, told as was_you

test("a column that the schema gets is in the archive, or is left out for a reason", () => {
  assert.ok(OTHERS);
  const source = readFileSync(fileURLToPath(new URL("../../src/person/export_store.c", import.meta.url)), "utf8");
  const tables = [...readFileSync(SCHEMA, "utf8").matchAll(/^CREATE TABLE (\w+) \(\n([\s\S]*?)^\)/gm)];
  assert.ok(tables.length > 35, `${tables.length} tables`);
  for (const [, name, body] of tables) {
    if (NOT_OF_A_PERSON.includes(name)) continue;
    assert.ok(LEFT_OUT[name], `the table ${name} is not known to the archive: add it to export_store.c, or to NOT_OF_A_PERSON with its reason`);
    const asked = [...source.matchAll(/"SELECT [\s\S]*?;\n/g)].map(([text]) => text).filter((text) => new RegExp(`(FROM|JOIN) ${name}\\b`).test(text)).join(" ");
    for (const [, column] of body.matchAll(/^ {4}(\w+) +(?:INTEGER|TEXT|REAL|BLOB)\b/gm)) {
      if (column in LEFT_OUT[name]) continue;
      assert.match(asked, new RegExp(`\\b${column}\\b`), `${name}.${column} is not in the archive`);
    }
  }
});

test("an archive is its owner's alone, one at a time, for a day; a key cannot ask for it", async () => {
  const server = await start();
  try {
    const mia = await person(server), otto = await person(server, "Otto");
    assert.deepEqual((await mia.api("GET", "/users/me/export")).json, { state: "none", job_id: null, progress: 0, total: null, bytes: null, made_at: null, expires_at: null, url: null, reason: null });
    assert.equal((await mia.api("GET", "/users/me/export/file")).status, 404);
    const key = (await mia.api("POST", "/auth/api-keys", { name: "k", scopes: ["read", "write", "chat"] })).json.key;
    for (const [method, path] of [["POST", "/users/me/export"], ["GET", "/users/me/export"], ["GET", "/users/me/export/file"], ["GET", "/users/me/data"], ["DELETE", "/users/me"]]) {
      assert.equal((await server.api(method, path, method === "DELETE" ? { password: PASSWORD } : undefined, { token: key })).status, 403, `${method} ${path}`);
      assert.equal((await server.api(method, path, method === "DELETE" ? { password: PASSWORD } : undefined, { token: null })).status, 401, `${method} ${path}`);
    }
    assert.equal((await importTalk(mia, "Ada", 3000)).status, 201);
    await Promise.all([mia.api("GET", "/users/me"), mia.api("GET", "/users/me")]); // two connections are open: what is asked next arrives together
    const both = await Promise.all([mia.api("POST", "/users/me/export"), mia.api("POST", "/users/me/export")]);
    assert.deepEqual(both.map((answer) => answer.status).sort(), [202, 409]);
    const first = await until(async () => { const { json: state } = await mia.api("GET", "/users/me/export"); return state.state === "ready" && state; }, "the archive", 300000);
    const name = `${first.job_id}.zip`;
    assert.deepEqual(exportsOf(server), [name]);
    assert.equal(statSync(join(server.dir, "exports", name)).mode & 0o777, 0o600);
    assert.equal(statSync(join(server.dir, "exports")).mode & 0o777, 0o700);
    const answer = await mia.api("GET", "/users/me/export/file");
    assert.deepEqual([answer.headers.get("content-type"), answer.headers.get("content-disposition"), Number(answer.headers.get("content-length")), answer.headers.get("cache-control")],
      ["application/zip", 'attachment; filename="troupe-about-me.zip"', first.bytes, "no-store"]);
    assert.equal(answer.bytes.length, first.bytes);
    assert.equal((await otto.api("GET", "/users/me/export/file")).status, 404);
    assert.equal((await otto.api("GET", "/users/me/export")).json.state, "none");
    const second = await archive(mia);
    assert.notEqual(second.job_id, first.job_id);
    await until(() => exportsOf(server).join() === `${second.job_id}.zip`, "the one before it is removed");
    server.moveClock(DAY + 1000);
    mia.token = (await server.login(mia.email)).token;
    const later = (method, path) => server.api(method, path, undefined, { token: mia.token });
    assert.equal((await later("GET", "/users/me/export")).json.state, "none");
    assert.equal((await later("GET", "/users/me/export/file")).status, 404, "nobody waits for the sweep");
    await until(() => exportsOf(server).length === 0, "and then the file goes");
  } finally {
    await server.stop();
  }
});

test("after thirty days in the trash a message has no text left: no variant, no earlier text, no prompt, though others follow it", async () => {
  const server = await start();
  try {
    const mia = await person(server);
    const made = (await mia.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
    const at = `/conversations/${(await mia.api("POST", "/conversations", { character_ids: [made.id] })).json.id}/messages`;
    const said = (await mia.api("POST", at, { content: "The zanzibarquokka sleeps." })).json;
    assert.equal((await mia.api("PATCH", `${at}/${said.message.id}`, { content: "Nothing sleeps." })).status, 200);
    await mia.api("POST", at, { content: "And the sea?" });
    for (const id of [said.message.id, said.reply.id]) assert.equal((await mia.api("DELETE", `${at}/${id}`)).json.deleted, 1);
    const left = () => sql(server, `SELECT count(*), (SELECT count(*) FROM variant v WHERE v.message_id IN (SELECT id FROM message WHERE deleted_at > 0)),
      (SELECT count(*) FROM message_revision r WHERE r.message_id IN (SELECT id FROM message WHERE deleted_at > 0)),
      (SELECT count(*) FROM prompt p WHERE p.message_id IN (SELECT id FROM message WHERE deleted_at > 0)) FROM message WHERE deleted_at > 0`);
    assert.equal(left(), "2|2|1|1");
    server.moveClock(31 * DAY);
    await until(() => left() === "2|0|0|0", "the sweep of the trash, which leaves empty rows that the path needs");
  } finally {
    await server.stop();
  }
});

test("files that no row names go, however many there are; what has another name stays", async () => {
  const mia = await person();
  const ready = await archive(mia);
  const orphans = Array.from({ length: 300 }, (_, i) => `0${String(i + 1).padStart(12, "0")}.${i % 2 ? "zip" : "part"}`);
  for (const name of [...orphans, "notes.txt"]) writeFileSync(join(t.dir, "exports", name), "x");
  const other = await archive(await person(t, "Otto"));
  await until(() => !exportsOf(t).some((name) => orphans.includes(name)), "the sweep");
  for (const name of [`${ready.job_id}.zip`, `${other.job_id}.zip`, "notes.txt"]) assert.ok(exportsOf(t).includes(name), name);
});

test("an archive in the making tells how far it is, can be called off, and leaves no file then", async () => {
  const server = await start();
  try {
    const mia = await person(server);
    assert.equal((await importTalk(mia, "Ada", 20000)).status, 201);
    const asked = (await mia.api("POST", "/users/me/export")).json;
    const seen = await until(async () => { const { json: now } = await mia.api("GET", "/users/me/export"); return now.progress > 0 && now; }, "progress");
    assert.equal(seen.state, "preparing");
    assert.ok(seen.total >= 20000 && seen.progress < seen.total);
    assert.ok((await mia.api("GET", "/jobs")).json.items.some((job) => job.id === asked.job_id && job.kind === "person.export"));
    assert.equal((await mia.api("GET", "/users/me/export/file")).status, 404, "a half file is never served");
    assert.equal((await mia.api("POST", `/jobs/${asked.job_id}/cancel`)).status, 200);
    await until(() => exportsOf(server).length === 0, "no file is left");
    await until(async () => (await mia.api("GET", "/users/me/export")).json.state === "none", "it is over");
    const again = await archive(mia);
    assert.ok(again.bytes > 100000);
  } finally {
    await server.stop();
  }
});

test("kill -9 in the middle of an archive: it is made again, and what is downloaded is whole", async () => {
  let server = await start();
  const mia = await person(server);
  assert.equal((await importTalk(mia, "Ada", 20000)).status, 201);
  await mia.api("POST", "/users/me/export");
  await until(() => exportsOf(server).some((name) => name.endsWith(".part") && statSync(join(server.dir, "exports", name)).size > 65536), "it is being written");
  await server.kill();
  assert.ok(exportsOf(server).every((name) => name.endsWith(".part")));
  server = await serve({ dir: server.dir, settings: { "understudy.tokens_per_second": 0 } });
  try {
    server.moveClock(60000); // the lease of a job whose process died is over
    const { token } = await server.login(mia.email);
    const again = { api: (method, path, body) => server.api(method, path, body, { token }) };
    await until(async () => (await again.api("GET", "/users/me/export")).json.state === "ready", "it is made again", 300000);
    const files = await unpacked(again);
    assert.equal(json(files, find(files, /^conversations\//)[0]).messages.length, 20000);
    assert.ok(exportsOf(server).every((name) => name.endsWith(".zip")));
  } finally {
    await server.stop();
  }
});

test("a hundred thousand messages are taken along with a few megabytes of memory, while others talk on", async () => {
  const server = await start({ settings: { "memory.learns": "false" } });
  try {
    const mia = await person(server);
    for (let part = 0; part < 5; part++) assert.equal((await importTalk(mia, `Ada${part}`, 20000)).status, 201);
    const memory = (name) => Number(readFileSync(`/proc/${server.child.pid}/status`, "utf8").match(new RegExp(`${name}:\\s+(\\d+) kB`))[1]) / 1024;
    await until(async () => { const before = memory("RssAnon"); await new Promise((resolve) => setTimeout(resolve, 200)); return memory("RssAnon") <= before + 1; }, "the import's memory is given back");
    const before = memory("RssAnon");
    let most = before, slowest = 0;
    const asked = Date.now();
    await mia.api("POST", "/users/me/export");
    let state;
    do {
      const began = performance.now();
      state = (await mia.api("GET", "/users/me/export")).json;
      slowest = Math.max(slowest, performance.now() - began);
      most = Math.max(most, memory("RssAnon"));
      assert.ok(Date.now() - asked < 600000, "it takes for ever");
    } while (state.state === "preparing");
    assert.equal(state.state, "ready", state.reason);
    console.log(`# 100,000 messages: ${Math.round(state.bytes / 1024)} KB in ${Date.now() - asked} ms, ${(most - before).toFixed(1)} MB more memory, slowest answer meanwhile ${slowest.toFixed(0)} ms`);
    assert.ok(isSanitized || most - before < 24, `${most - before} MB more`);
    const files = await unpacked(mia);
    assert.equal(find(files, /^conversations\//).reduce((sum, name) => sum + json(files, name).messages.length, 0), 100000);
    assert.ok(isSanitized || memory("RssAnon") - before < 24, "nor does sending it cost memory");
  } finally {
    await server.stop();
  }
});

// --- nothing about me --------------------------------------------------------------------------------------------------------

test("before somebody leaves, it is said what will be lost", async () => {
  const mia = await person();
  const ada = (await mia.api("POST", "/characters", { name: "Ada", first_mes: "Good evening.", visibility: "public" })).json;
  const talk = (await mia.api("POST", "/conversations", { character_ids: [ada.id] })).json;
  await mia.api("POST", `/conversations/${talk.id}/messages`, { content: "12345", reply: false });
  await mia.api("POST", `/memory/${talk.id}/facts`, { text: "Mia is afraid of geese." });
  await t.api("POST", "/conversations", { character_ids: [ada.id] });
  assert.deepEqual((await mia.api("GET", "/users/me/data")).json, { characters: 1, documents: 0, personas: 0, conversations: 1, messages: 2, facts: 1,
    bytes: "Good evening.".length + 5, talks_of_others: 1, may_leave: true, undo_days: 7 });
  assert.equal((await t.api("GET", "/users/me/data")).json.may_leave, false);
});

test("leaving asks for the password, and the owner cannot", async () => {
  const mia = await person();
  assert.deepEqual((await mia.api("DELETE", "/users/me", {})).json.errors[0].field, "password");
  const wrong = await mia.api("DELETE", "/users/me", { password: "not it" });
  assert.deepEqual([wrong.status, wrong.json.errors[0].field], [422, "password"]);
  assert.equal((await mia.api("GET", "/users/me")).status, 200, "nothing happened");
  for (let i = 0; i < 10; i++) assert.equal((await mia.api("DELETE", "/users/me", { password: `guess ${i}` })).status, 422);
  await lockedOut(t, () => mia.api("DELETE", "/users/me", { password: "one more guess" }));
  const slower = await mia.api("DELETE", "/users/me", { password: PASSWORD });
  assert.equal(slower.status, 429, "whoever found a token cannot try words without end");
  assert.equal((await t.api("POST", "/auth/login", { email: mia.email, password: PASSWORD }, { token: null })).status, 429, "as at the door");
  const owner = await t.api("DELETE", "/users/me", { password: PASSWORD });
  assert.equal(owner.status, 409);
  assert.match(owner.json.detail, /owner/);
  assert.equal((await t.api("GET", "/users/me")).status, 200);
});

test("whoever leaves is gone for everybody at once; signing in within seven days brings all of it back", async () => {
  const mia = await person();
  const key = (await mia.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] })).json.key;
  const other = await t.login(mia.email);
  const ada = (await mia.api("POST", "/characters", { name: "Ada of Mia", first_mes: "Good evening.", visibility: "public" })).json;
  const old = (await mia.api("POST", "/characters", { name: "Old Trash" })).json;
  await mia.api("DELETE", `/characters/${old.id}`);
  const talk = (await mia.api("POST", "/conversations", { character_ids: [ada.id] })).json;
  await mia.api("POST", `/conversations/${talk.id}/messages`, { content: "I was here.", reply: false });
  const mine = (await t.api("POST", "/conversations", { character_ids: [ada.id] })).json;
  await t.api("POST", `/conversations/${mine.id}/messages`, { content: "My words to Ada.", reply: false });
  const socket = new WebSocket(`${t.url.replace("http", "ws")}/ws`, ["troupe.v1"]);
  const closed = new Promise((resolve) => { socket.onclose = (event) => resolve(event.code); });
  await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
  socket.send(JSON.stringify({ type: "auth", token: mia.token }));
  await new Promise((resolve) => { socket.onmessage = resolve; socket.send(JSON.stringify({ type: "ping" })); });

  const left = await mia.api("DELETE", "/users/me", { password: PASSWORD });
  assert.equal(left.status, 200, left.text);
  assert.ok(Math.abs(Date.parse(left.json.erase_at) - Date.now() - 7 * DAY) < DAY / 2);
  assert.match(left.headers.getSetCookie().join(), /troupe_refresh=;.*Max-Age=0/);
  assert.equal(await closed, 4401, "sockets are closed");
  for (const token of [mia.token, other.token, key]) assert.equal((await t.api("GET", "/users/me", undefined, { token })).status, 401, "no token of theirs is worth anything");
  assert.equal((await t.api("POST", "/auth/refresh", undefined, { token: null, headers: { cookie: other.cookie, "x-troupe-request": "1" } })).status, 401);
  assert.equal((await t.api("GET", `/users/${mia.user.id}`)).status, 404);
  assert.ok(!(await t.api("GET", "/admin/users?limit=100")).json.items.some((user) => user.id === mia.user.id));
  assert.equal((await t.api("GET", `/characters/${ada.id}`)).status, 404, "what they had put on the stage is gone");
  assert.ok(!(await t.api("GET", "/characters?limit=100")).json.items.some((item) => item.id === ada.id));
  const still = (await t.api("GET", `/conversations/${mine.id}/messages`)).json.items;
  assert.deepEqual(still.map((message) => message.content).sort(), ["Good evening.", "My words to Ada."], "what others talked about with it stays theirs");
  assert.equal((await t.api("GET", `/conversations/${mine.id}`)).json.characters[0].name, "Ada of Mia");
  const invite = (await t.api("POST", "/admin/invites", {})).json.code;
  assert.equal((await t.api("POST", "/auth/register", { email: mia.email, password: PASSWORD, display_name: "Thief", invite_code: invite }, { token: null })).status, 409, "nobody takes the address meanwhile");
  assert.equal((await t.api("POST", "/auth/login", { email: mia.email, password: "not it at all" }, { token: null })).status, 401, "only the right password opens it");

  const back = await t.api("POST", "/auth/login", { email: mia.email, password: PASSWORD }, { token: null });
  assert.deepEqual([back.status, back.json.has_returned], [200, true]);
  const token = back.json.access_token;
  assert.equal((await t.api("GET", `/conversations/${talk.id}/messages`, undefined, { token })).json.items.at(-1).content.length > 0, true);
  assert.equal((await t.api("GET", `/characters/${ada.id}`)).status, 200, "the character is back on the stage");
  assert.deepEqual((await t.api("GET", "/characters?trash=true", undefined, { token })).json.items.map((item) => item.name), ["Old Trash"], "and what had been thrown away before stays there");
  assert.equal((await t.api("GET", "/users/me", undefined, { token: key })).status, 200);
  assert.equal((await t.login(mia.email)).user.id, mia.user.id);
  const audit = (await t.api("GET", "/admin/audit?action=user.")).json.items.filter((entry) => entry.target_id === mia.user.id).map((entry) => entry.action);
  assert.deepEqual(audit, ["user.return", "user.leave"]);
});

// Under a sanitizer a sentence takes the encoder fifty times as long.
/** Somebody who has said, edited, streamed, learnt, drawn and uploaded secrets; the words that must be nowhere later. */
async function secretive(server) {
  const mia = await person(server, "Miaquokkaname");
  const words = ["zanzibarquokka", "xylorimba", "grunchling", "wobbledook", "Miaquokkaname", "miaquokkaname", "personaquokka", "documentquokka", "cardquokka", "depictquokka", "lorequokka", "titlequokka"];
  await mia.api("POST", "/users/me/personas", { name: "personaquokka", description: "A personaquokka." });
  await mia.api("PUT", "/users/me/avatar", picture(31), { headers: { "content-type": "image/png" } });
  const ada = (await mia.api("POST", "/characters", { name: "Ada cardquokka", description: "The depictquokka of depictquokkas.", first_mes: "Good evening.", visibility: "public", tags: ["cardquokka"],
    character_book: { entries: [{ keys: ["clock"], content: "A lorequokka ticks.", enabled: true, insertion_order: 1, extensions: {} }], extensions: {} } })).json;
  const portrait = (await mia.api("PUT", `/characters/${ada.id}/avatar`, picture(32), { headers: { "content-type": "image/png" } })).json.avatar_url;
  await mia.api("POST", `/characters/${ada.id}/knowledge?name=documentquokka.md`, "# A documentquokka\n\nThe documentquokka sleeps.", { headers: { "content-type": "text/markdown" } });
  const talk = (await mia.api("POST", "/conversations", { character_ids: [ada.id], title: "titlequokka" })).json;
  const at = `/conversations/${talk.id}`;
  for (let i = 0; i < 12; i++) {
    const long = `I hid the zanzibarquokka number ${i} behind the xylorimba, ${"and so it goes on about the xylorimba, ".repeat(i * 20)}`;
    const said = (await mia.api("POST", `${at}/messages`, { content: long }, { headers: { "idempotency-key": `k${i}` } })).json;
    if (i % 4 === 0) await mia.api("POST", `${at}/messages/${said.reply.id}/regenerate`);
    if (i % 3 === 0) await mia.api("PATCH", `${at}/messages/${said.message.id}`, { content: `Now it is a grunchling of ${i}.` });
    if (i % 5 === 0) await mia.api("DELETE", `${at}/messages/${said.message.id}`);
  }
  await mia.api("POST", `/memory/${talk.id}/facts`, { text: "Mia keeps a wobbledook in the garden.", object: "wobbledook" });
  await mia.api("PATCH", `/memory/${talk.id}/summary`, { kind: "full", text: "It was all about the wobbledook." });
  const trashed = (await mia.api("POST", "/conversations", { character_ids: [ada.id] })).json;
  await mia.api("POST", `/conversations/${trashed.id}/messages`, { content: "Another zanzibarquokka.", reply: false });
  await mia.api("DELETE", `/conversations/${trashed.id}`);
  assert.equal((await importTalk(mia, "Bea", isSanitized ? 60 : 800, (i) => `Imported grunchling ${i}, ${"and so on ".repeat(i % 50)}.`)).status, 201);
  await archive(mia);
  await server.api("POST", "/auth/forgot-password", { email: mia.email }, { token: null });
  await until(async () => (await server.api("GET", "/admin/outbox")).json.items.some((row) => row.recipient === mia.email && row.state === "resting"), "a mail to her");
  const mail = mia.email.toLowerCase();
  return { mia, ada, talk, portrait, words: [...words, mail] };
}

/** The tables that have a row about this person. */
function rowsOf(server, id) {
  const tables = sql(server, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE '%_words%' AND name NOT LIKE '%_trigrams%' AND name NOT LIKE 'sqlite%'").split("\n");
  const number = idNumber(id);
  return tables.filter((name) => !["audit", "setting"].includes(name) && sql(server, `SELECT name FROM pragma_table_info('${name}')`).split("\n")
    .filter((column) => /^(user_id|owner_id|created_by|saved_by|added_by|author_id|speaker_id)$/.test(column) || (name === "user" && column === "id"))
    .some((column) => sql(server, `SELECT count(*) FROM "${name}" WHERE "${column}" = ${number}`) !== "0"));
}
const idNumber = (text) => [...text.toLowerCase()].reduce((sum, letter) => sum * 32n + BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(letter)), 0n);

test("what is deleted leaves no byte in any file: rows, words, vectors, pictures, archive, freed pages, the log", async () => {
  const server = await start();
  const bystander = await person(server, "Ben");
  const talk = (await importTalk(bystander, "Cleo", isSanitized ? 30 : 300)).json.conversation.id;
  const vectors = async () => { const { json: now } = await server.api("GET", "/admin/embedder"); return now.vectors_pending === 0 && now.words_pending === 0 ? now.vectors : NaN; };
  const others = await until(vectors, "everything of the others is embedded", EMBEDDING_MS);
  const { mia, ada, portrait, words } = await secretive(server);
  const before = await bystander.api("GET", `/conversations/${talk}/messages?limit=50`);
  const mine = (await server.api("POST", "/conversations", { character_ids: [ada.id], title: "Mine" })).json;
  assert.ok(holders(server.dir, words).length > 0, "it is somewhere to begin with");
  assert.ok(rowsOf(server, mia.user.id).length > 8);
  const blob = (url) => join(server.dir, "blobs", url.split("/").pop().slice(0, 2), url.split("/").pop().slice(2));
  assert.ok(existsSync(blob(portrait)));
  assert.ok((await until(vectors, "everything is embedded", EMBEDDING_MS)) > others + (isSanitized ? 60 : 800));

  assert.equal((await mia.api("DELETE", "/users/me", { password: PASSWORD })).status, 200);
  server.moveClock(7 * DAY + HOUR + 60000);
  server.owner = await server.login(server.owner.email);
  const tooLate = () => server.api("POST", "/auth/login", { email: mia.email, password: PASSWORD }, { token: null });
  assert.equal((await tooLate()).status, 401, "after seven days nobody comes back");
  // Others who keep what they said to the character keep its name, and nothing of its card or of the person.
  const gone = words.filter((word) => word !== "cardquokka");
  await until(() => rowsOf(server, mia.user.id).length === 0, "no row is left", ERASING_MS);
  await until(() => holders(server.dir, gone).length === 0, "nothing is left while the server runs", ERASING_MS).catch((error) => {
    throw new Error(`${error.message}: ${[...new Set(holders(server.dir, gone))]}`);
  });
  await until(async () => (await vectors()) <= others + 4, "their vectors are gone; the owner's talk has one or two", ERASING_MS);
  await until(() => !existsSync(blob(portrait)) && exportsOf(server).length === 0, "the portrait and the archive go after the rows that named them");
  assert.equal((await server.api("GET", `/conversations/${mine.id}`)).json.characters[0].name, "Ada cardquokka");
  const { token } = await server.login(bystander.email);
  const behind = await server.api("GET", `/conversations/${talk}/messages?limit=50`, undefined, { token });
  assert.deepEqual(behind.json.items.map((message) => message.content), before.json.items.map((message) => message.content), "nobody else lost anything");
  assert.ok((await server.api("GET", "/admin/audit?action=user.erase")).json.items.some((entry) => entry.target_id === mia.user.id && entry.actor.id === null));
  await server.stop({ keep: true });
  assert.deepEqual([...new Set(holders(server.dir, gone))], [], "nor after it has ended");
  assert.equal(sql(server, "PRAGMA integrity_check; PRAGMA foreign_key_check"), "ok");
  sql(server, "INSERT INTO memory_words (memory_words) VALUES ('integrity-check')");
  const again = await serve({ dir: server.dir });
  const owner = await again.login(server.owner.email);
  const { json: invite } = await again.api("POST", "/admin/invites", {}, { token: owner.token });
  const newcomer = { email: mia.email, password: PASSWORD, display_name: "Somebody new", invite_code: invite.code };
  assert.equal((await again.api("POST", "/auth/register", newcomer, { token: null })).status, 201, "the address is free again");
  await again.stop();
});

test("at once means at once; killed again and again in between, it is done", async () => {
  let server = await start();
  const { mia, ada, talk, words } = await secretive(server);
  const left = await mia.api("DELETE", "/users/me", { password: PASSWORD, at_once: true });
  assert.equal(left.status, 200);
  assert.ok(Date.parse(left.json.erase_at) <= Date.now() + 1000);
  assert.equal((await server.api("POST", "/auth/login", { email: mia.email, password: PASSWORD }, { token: null })).status, 401);
  const ownerEmail = server.owner.email;
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 15 * (round + 1))); // somewhere in between, each time somewhere else
    await server.kill();
    server = await serve({ dir: server.dir, settings: { "understudy.tokens_per_second": 0 } });
    server.moveClock((round + 1) * 2 * HOUR);
  }
  try {
    server.owner = await server.login(ownerEmail);
    await until(() => rowsOf(server, mia.user.id).length === 0, "no row is left", ERASING_MS);
    await until(() => holders(server.dir, words).length === 0, "nothing is left", ERASING_MS).catch((error) => {
      throw new Error(`${error.message}: ${[...new Set(holders(server.dir, words))]}`);
    });
    assert.equal((await server.api("GET", `/characters/${ada.id}`)).status, 404);
    assert.equal(sql(server, `SELECT count(*) FROM message WHERE conversation_id = ${idNumber(talk.id)}`), "0");
  } finally {
    await server.stop();
  }
});

test("a reply under way does not keep an account alive, and nothing fails because of it", async () => {
  const server = await start({ settings: { "understudy.tokens_per_second": 5 } });
  try {
    const mia = await person(server);
    const ada = (await mia.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
    const talk = (await mia.api("POST", "/conversations", { character_ids: [ada.id] })).json;
    assert.equal((await mia.api("POST", `/conversations/${talk.id}/messages?wait=false`, { content: "Tell me a very long story." })).status, 202);
    await until(async () => (await server.api("GET", "/admin/stats")).json.turns_running === 1, "a reply is spoken");
    assert.equal((await mia.api("DELETE", "/users/me", { password: PASSWORD, at_once: true })).status, 200);
    await until(() => rowsOf(server, mia.user.id).length === 0, "it is gone", ERASING_MS);
    assert.equal((await server.api("GET", "/admin/stats")).json.turns_running, 0);
    assert.equal((await server.api("GET", "/readyz", undefined, { token: null })).status, 200);
    assert.doesNotMatch(server.logText(), /"level":"error"/);
  } finally {
    await server.stop();
  }
});
