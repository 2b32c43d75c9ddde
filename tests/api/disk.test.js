// A disk that is full or fails under the running server (OPS-5): what cannot be stored is refused with 507 and leaves nothing behind, reads go on, the process lives,
// nothing that was acknowledged is lost, and when there is room again all goes on by itself.
//
// The shipped binary runs with tests/fakes/failing_disk.c between it and its files.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { constants } from "node:os";
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, readSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { binary, run, serve, until } from "./harness.js";
import { picture } from "./picture.js";

const { ENOSPC, EIO } = constants.errno;
const ROOM = 1, LAST = 2, NAMES = 4;
const library = join(dirname(binary), "libfailing_disk.so");
const isSanitized = readFileSync(binary).includes("__asan_init");

/** A folder whose disk does as it is told. */
function disk() {
  const dir = mkdtempSync(join(tmpdir(), "troupe-disk-")), file = `${dir}.control`;
  writeFileSync(file, Buffer.alloc(40));
  const fd = openSync(file, "r+");
  const put = (at, value) => { const bytes = Buffer.alloc(8); bytes.writeBigInt64LE(BigInt(value)); writeSync(fd, bytes, 0, 8, 8 * at); };
  const get = (at) => { const bytes = Buffer.alloc(8); readSync(fd, bytes, 0, 8, 8 * at); return Number(bytes.readBigInt64LE()); };
  return {
    dir,
    env: { LD_PRELOAD: library, FAILING_DISK: file, FAILING_DISK_FOLDER: dir, ...(isSanitized ? { ASAN_OPTIONS: "verify_asan_link_order=0" } : {}) },
    /** From now on every such call fails, or the n-th of them. */
    fail(kinds, error, n = -1) { put(2, 0); put(0, kinds); put(1, error); put(4, 0); put(2, n); },
    heal() { put(2, 0); },
    failures: () => get(4),
    remove() { rmSync(dir, { recursive: true, force: true }); rmSync(file, { force: true }); },
  };
}

const quiet = { "understudy.tokens_per_second": 0, "embedder.weights": "/none", "accounts.registration": "invite" };

async function open(d, settings = {}) {
  assert.ok(existsSync(library), `${library} is missing: cmake --build build/release --target failing_disk`);
  const t = await serve({ dir: d.dir, env: d.env, settings: { ...quiet, ...settings } });
  if (t.setupLink) await t.setUp();
  return t;
}

async function beginTalk(t) {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening.", description: "A clockmaker." })).json;
  return { character, talk: (await t.api("POST", "/conversations", { character_ids: [character.id] })).json };
}
const said = async (t, talk) => (await t.api("GET", `/conversations/${talk.id}/messages?limit=100`)).json.items.map((item) => item.content);
const say = (t, talk, content) => t.api("POST", `/conversations/${talk.id}/messages`, { content, reply: false });

const putPicture = (t, grey) => t.api("PUT", "/users/me/avatar", picture(grey), { headers: { "content-type": "image/png" } });

/** A problem that a person can read, of the kind that may be tried again. */
function isRefused(answer, what) {
  assert.equal(answer.status, 507, `${what}: ${answer.text}`);
  assert.match(answer.headers.get("content-type"), /^application\/problem\+json/, what);
  assert.match(answer.json.detail, /could not be stored|disk/, what);
}

/** The process is killed, and its folder is whole: every text of `kept` is there once, in this order, and none of `gone`. */
async function isWholeAfterAKill(d, t, talk, kept, gone) {
  await t.kill();
  assert.equal(execFileSync("sqlite3", [join(d.dir, "troupe.db"), "PRAGMA integrity_check; PRAGMA foreign_key_check"], { encoding: "utf8" }), "ok\n");
  const back = await open(d);
  back.owner = await back.login(t.owner.email);
  const texts = await said(back, talk);
  assert.deepEqual(texts.filter((text) => kept.includes(text)), kept);
  for (const text of gone) assert.ok(!texts.includes(text), `refused, and yet there: ${text}`);
  await back.stop({ keep: true });
}

for (const [name, kinds, error] of [["a full disk", ROOM | NAMES, ENOSPC], ["a disk whose syncs fail", LAST, EIO], ["a disk that takes nothing", ROOM | LAST | NAMES, EIO]])
  test(`${name}: writes are refused and reads go on; with room again all goes on, and nothing acknowledged is lost`, async () => {
    const d = disk(), t = await open(d), { character, talk } = await beginTalk(t);
    const kept = [], gone = [];
    for (let i = 0; i < 5; i++) { assert.equal((await say(t, talk, `before ${i}`)).status, 201); kept.push(`before ${i}`); }
    d.fail(kinds, error);
    for (let i = 0; i < 5; i++) { isRefused(await say(t, talk, `meanwhile ${i}`), "a message"); gone.push(`meanwhile ${i}`); }
    const writes = [["POST", "/characters", { name: "Brief" }], ["PATCH", `/characters/${character.id}`, { name: "Eve" }], ["POST", "/conversations", { character_ids: [character.id] }],
      ["PATCH", "/users/me", { display_name: "Other" }], ["POST", "/users/me/personas", { name: "Other" }], ["POST", "/admin/invites", { role: "member", uses: 1 }],
      ["PATCH", "/admin/settings", { "limits.turns_per_user": 3 }], ["POST", "/users/me/export", {}], ["DELETE", `/conversations/${talk.id}`],
      ["POST", "/auth/login", { email: t.owner.email, password: "a long enough pass phrase" }]];
    for (const [method, path, body] of writes) isRefused(await t.api(method, path, body), `${method} ${path}`);
    assert.ok(d.failures() > 0);
    gone.push("and once more");
    await until(async () => { // a neighbour's write that changes nothing goes through, and says that all is well
      isRefused(await say(t, talk, "and once more"), "a message");
      return (await t.api("GET", "/readyz")).status === 503;
    }, "it is not ready");
    assert.equal((await t.api("GET", "/healthz")).status, 200);
    assert.deepEqual((await said(t, talk)).filter((text) => text !== "Good evening."), kept);
    assert.equal((await t.api("GET", `/characters/${character.id}`)).json.name, "Ada");
    assert.equal((await t.api("GET", "/users/me")).json.display_name, "Olive");
    d.heal();
    for (let i = 0; i < 5; i++) { const answer = await say(t, talk, `afterwards ${i}`); assert.equal(answer.status, 201, answer.text); kept.push(`afterwards ${i}`); }
    assert.equal((await t.api("GET", "/readyz")).status, 200);
    await isWholeAfterAKill(d, t, talk, kept, gone);
    d.remove();
  });

test("a reply that is spoken while the disk is full is kept when there is room again", async () => {
  const d = disk(), t = await open(d, { "understudy.tokens_per_second": 40 }), { talk } = await beginTalk(t);
  const answer = t.api("POST", `/conversations/${talk.id}/messages`, { content: "Tell me about the clocks in your workshop." });
  await until(async () => (await said(t, talk)).length === 3, "the message is stored and the reply has begun");
  d.fail(ROOM | NAMES, ENOSPC);
  await until(() => t.logText().includes("reply could not be stored, trying again"), "it has been spoken, and could not be kept");
  d.heal();
  const { status, json } = await answer;
  assert.equal(status, 201);
  assert.equal(json.reply.state, "complete");
  assert.equal((await said(t, talk)).at(-1), json.reply.content);
  await isWholeAfterAKill(d, t, talk, ["Tell me about the clocks in your workshop.", json.reply.content], []);
  d.remove();
});

test("the n-th call to the disk fails, n = 1, 2, 3 ... until all goes through: it is done whole or not at all", async () => {
  const d = disk(), t = await open(d), { talk } = await beginTalk(t);
  const kept = [], gone = [];
  let grey = 0, before;
  const avatar = async () => (await t.api("GET", "/users/me")).json.avatar_url;
  const names = async () => (await t.api("GET", "/characters?limit=100")).json.items.map((item) => item.name);
  const operations = {
    message: { ask: (name) => say(t, talk, name), check: (answer, name) => (answer.status === 201 ? kept : gone).push(name) },
    picture: {
      ask: () => putPicture(t, grey = (grey + 1) % 250),
      async check(answer) {
        if (answer.status >= 300) return assert.equal(await avatar(), before, "refused: the old one stays");
        before = await avatar();
        assert.equal((await t.api("GET", before)).status, 200);
      },
    },
    character: {
      ask: (name) => t.api("POST", "/characters", { name, description: "x".repeat(20000) }),
      async check(answer, name) {
        assert.equal((await names()).includes(name), answer.status === 201);
        if (answer.status === 201) assert.equal((await t.api("DELETE", `/characters/${answer.json.id}`)).status, 204);
      },
    },
  };
  before = await avatar();
  for (const [name, { ask, check }] of Object.entries(operations))
    for (const [kinds, error] of [[ROOM, ENOSPC], [LAST, EIO], [NAMES, EIO]]) {
      let refused = 0, rounds = 0;
      do for (let n = 1, failures = 1; failures > 0; n++) {
        assert.ok(n < 100, `${name} never goes through`);
        d.fail(kinds, error, n);
        const mark = `${name}, call ${n} of kind ${kinds}, round ${rounds}`, answer = await ask(mark);
        failures = d.failures(); // also those of a neighbour: the log that is given its size, the index
        d.heal();
        if (answer.status >= 300) isRefused(answer, mark);
        refused += answer.status >= 300;
        await check(answer, mark);
      } while (kinds !== NAMES && refused === 0 && ++rounds < 20); // a neighbour may have taken the only call that was to fail
      assert.ok(kinds === NAMES || refused > 0, `${name} writes and syncs`);
    }
  assert.equal((await t.api("GET", "/readyz")).status, 200);
  assert.deepEqual(readdirSync(join(d.dir, "blobs", "new")), [], "nothing half written lies about");
  await isWholeAfterAKill(d, t, talk, kept, gone);
  d.remove();
});

test("a shelf of pictures whose making could not be synced is made again by the next picture, not taken for made", async () => {
  const d = disk(), t = await open(d), shelves = () => readdirSync(join(d.dir, "blobs")).length;
  for (let grey = 0, isNew = false; !isNew; grey++) { // until the call that failed was the picture's and no neighbour's, and its shelf was not there
    assert.ok(grey < 256);
    const before = shelves();
    d.fail(LAST, EIO, 1);
    const answer = await putPicture(t, grey);
    d.heal();
    if (answer.status !== 507) continue;
    assert.equal(shelves(), before);
    assert.equal((await putPicture(t, grey)).status, 200);
    isNew = shelves() > before;
  }
  await t.stop({ keep: true });
  d.remove();
});

test("a start on a full disk says so and touches nothing; with room all is there", async () => {
  const d = disk(), t = await open(d), { talk } = await beginTalk(t);
  await say(t, talk, "before");
  await t.stop({ keep: true });
  const files = readdirSync(d.dir).sort();
  d.fail(ROOM, ENOSPC);
  const full = await run(["serve", "--data", d.dir, "--listen", "127.0.0.1:0"], { env: d.env });
  assert.equal(full.code, 1);
  assert.match(full.stderr, /"component":"store"[^\n]*(No space left on device|disk is full)/);
  d.heal();
  assert.deepEqual(readdirSync(d.dir).sort().filter((name) => !/-(wal|shm)$/.test(name)), files, "nothing was set aside");
  const back = await open(d);
  back.owner = await back.login(t.owner.email);
  assert.deepEqual(await said(back, talk), ["Good evening.", "before"]);
  await back.stop({ keep: true });
  d.remove();
});
