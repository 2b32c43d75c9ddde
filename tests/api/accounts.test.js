// Accounts: set-up, registration, sign-in, sessions, lockout, roles, profile and personas (FIRST-2, ACCT-1, ACCT-2, ACCT-3, ACCT-7, ACCT-8, ACCT-10).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, createPublicKey, verify } from "node:crypto";
import { join } from "node:path";
import WebSocket from "ws";
import { cookieOf, lockedOut, PASSWORD, run, serve, start, until } from "./harness.js";

let t;
before(async () => { t = await start(); });
after(() => t.stop());

const refresh = (server, cookie, headers = {}) =>
  server.api("POST", "/auth/refresh", undefined, { token: null, headers: { cookie, "x-troupe-request": "1", ...headers } });

test("set-up: only with the code of this start, only once", async () => {
  const fresh = await serve();
  assert.deepEqual((await fresh.api("GET", "/setup", undefined, { token: null })).json.needed, true);
  const body = { email: "o@example.com", password: PASSWORD, display_name: "O" };
  assert.equal((await fresh.api("POST", "/setup", { ...body, code: "wrong" }, { token: null })).status, 403);
  assert.equal((await fresh.api("POST", "/auth/register", body, { token: null })).status, 403, "nobody before the owner");
  const code = new URL(fresh.setupLink).searchParams.get("code");
  const short = await fresh.api("POST", "/setup", { ...body, code, password: "short" }, { token: null });
  assert.deepEqual([short.status, short.json.errors[0].field], [422, "password"]);
  const made = await fresh.api("POST", "/setup", { ...body, code }, { token: null });
  assert.equal(made.status, 201, made.text);
  assert.equal(made.json.user.role, "owner");
  assert.equal((await fresh.api("POST", "/setup", { ...body, code, email: "p@example.com" }, { token: null })).status, 409);
  assert.equal((await fresh.api("GET", "/setup", undefined, { token: null })).json.needed, false);
  const stage = await fresh.api("GET", "/characters?limit=100", undefined, { token: made.json.access_token });
  assert.ok(stage.json.items.length >= 6, "the starter cast is on the stage");
  assert.ok(stage.json.items.every((character) => character.content_tier === "all_ages" && character.avatar_url));
  await fresh.stop();
});

test("before there is an owner it listens on this machine only", async () => {
  const other = await run(["serve", "--data", `${t.dir}/elsewhere`, "--listen", "0.0.0.0:0"]);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /no owner/);
});

test("registration: invite, its uses, closed, open", async () => {
  const body = (name) => ({ email: `${name}@example.com`, password: PASSWORD, display_name: name });
  const register = (server, more) => server.api("POST", "/auth/register", more, { token: null });
  assert.equal((await register(t, body("a1"))).json.errors[0].field, "invite_code");
  const invite = (await t.api("POST", "/admin/invites", { role: "creator", uses: 1 })).json;
  const first = await register(t, { ...body("a2"), invite_code: invite.code });
  assert.equal(first.status, 201, first.text);
  assert.equal(first.json.user.role, "creator");
  assert.equal((await register(t, { ...body("a3"), invite_code: invite.code })).status, 422, "used up");
  const spare = (await t.api("POST", "/admin/invites", { uses: 1 })).json;
  assert.equal((await register(t, { ...body("A2"), invite_code: spare.code })).status, 409, "one address, one account, whatever its case");
  assert.equal((await register(t, { ...body("a4"), invite_code: spare.code })).status, 201, "the refused try cost no use");
  const hundred = (await t.api("POST", "/admin/invites", { uses: 3 })).json;
  const many = await Promise.all(Array.from({ length: 12 }, (_, i) => register(t, { ...body(`crowd${i}`), invite_code: hundred.code })));
  assert.equal(many.filter((answer) => answer.status === 201).length, 3, "no more come in than the code allows");
  const open = await start({ settings: { "accounts.registration": "open" } });
  assert.equal((await register(open, body("b1"))).status, 201);
  await open.stop();
  const closed = await start({ settings: { "accounts.registration": "closed" } });
  assert.equal((await register(closed, body("c1"))).status, 403);
  await closed.stop();
});

test("a sign-in gives a token that our key signed; the wrong password and the unknown address sound the same", async () => {
  const good = await t.api("POST", "/auth/login", { email: t.owner.email.toUpperCase(), password: PASSWORD }, { token: null });
  assert.equal(good.status, 200);
  assert.equal(good.json.expires_in, 900);
  const [head, payload, signature] = good.json.access_token.split(".");
  const header = JSON.parse(Buffer.from(head, "base64url"));
  const jwks = (await t.api("GET", "/.well-known/jwks.json", undefined, { token: null })).json;
  const key = createPublicKey({ key: jwks.keys.find((item) => item.kid === header.kid), format: "jwk" });
  assert.ok(verify("sha256", Buffer.from(`${head}.${payload}`), { key, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url")));
  const cookie = good.headers.getSetCookie()[0];
  assert.match(cookie, /HttpOnly/);
  assert.match(cookie, /SameSite=Strict/);
  const wrong = await t.api("POST", "/auth/login", { email: t.owner.email, password: "not the password" }, { token: null });
  const unknown = await t.api("POST", "/auth/login", { email: "nobody@example.com", password: "not the password" }, { token: null });
  assert.deepEqual([wrong.status, wrong.json.detail], [unknown.status, unknown.json.detail]);
  assert.equal(wrong.status, 401);
});

test("forged tokens are refused", async () => {
  const [head, payload, signature] = t.owner.token.split(".");
  const enc = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = JSON.parse(Buffer.from(payload, "base64url"));
  const rows = {
    none: `${enc({ alg: "none", typ: "at+jwt" })}.${payload}.`, unsigned: `${head}.${payload}.`,
    "another person": `${head}.${enc({ ...claims, sub: "0000000000001" })}.${signature}`, longer: `${head}.${enc({ ...claims, exp: claims.exp + 9e5 })}.${signature}`,
    zero: `${head}.${payload}.${Buffer.alloc(64).toString("base64url")}`, cut: t.owner.token.slice(0, -2), junk: "x".repeat(3000), key: "tk_AAAA",
  };
  for (const [why, token] of Object.entries(rows)) assert.equal((await t.api("GET", "/users/me", undefined, { token })).status, 401, why);
});

test("refresh rotates; a used token ends the family, save for two tabs at once", async () => {
  const me = await t.login(t.owner.email);
  const second = await refresh(t, me.cookie);
  assert.equal(second.status, 200, second.text);
  assert.notEqual(cookieOf(second), me.cookie);
  const tab = await refresh(t, me.cookie);
  assert.equal(tab.status, 200, "the other tab, a moment later");
  const third = await refresh(t, cookieOf(second));
  assert.equal(third.status, 200);
  t.moveClock(60000);
  const reuse = await refresh(t, me.cookie);
  assert.equal(reuse.status, 401, "shown again a minute later: somebody copied it");
  assert.equal((await refresh(t, cookieOf(third))).status, 401, "the whole family has ended");
  assert.equal((await t.api("GET", "/users/me", undefined, { token: third.json.access_token })).status, 401, "with its access tokens");
  assert.equal((await refresh(t, "")).status, 401);
  const fresh = await t.login(t.owner.email);
  assert.equal((await refresh(t, fresh.cookie, { origin: "https://evil.example", "sec-fetch-site": "cross-site" })).status, 403, "not from another site");
  assert.equal((await refresh(t, fresh.cookie)).status, 200, "and that cost nothing");
});

/** A signed-in socket: {closed: code of its end, or null}. */
async function socketOf(server, token) {
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${token}` } });
  const state = { socket, closed: null, heard: [] };
  socket.on("message", (bytes) => state.heard.push(JSON.parse(bytes)));
  socket.on("close", (code) => { state.closed = code; });
  await until(() => state.heard.some((frame) => frame.type === "auth:ok"), "auth:ok");
  return state;
}

test("ending all other sessions leaves the one that asks alone, with its sockets and those of keys", async () => {
  const user = await t.newUser({ name: "Otto" });
  const here = await t.login(user.email), there = await t.login(user.email);
  const key = (await t.api("POST", "/auth/api-keys", { name: "bot", scopes: ["read"] }, { token: here.token })).json.key;
  const mine = await socketOf(t, here.token), other = await socketOf(t, there.token), bot = await socketOf(t, key);
  assert.equal((await t.api("DELETE", "/auth/sessions", undefined, { token: here.token })).status, 204);
  await until(() => other.closed !== null, "the other session's socket ends");
  assert.equal(other.closed, 4401);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: there.token })).status, 401);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: user.token })).status, 401);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: here.token })).status, 200);
  for (const open of [mine, bot]) {
    open.socket.send(JSON.stringify({ type: "ping", data: { n: 1 } }));
    await until(() => open.heard.some((frame) => frame.type === "pong"), "it still answers");
    assert.equal(open.closed, null);
    open.socket.terminate();
  }
});

test("wrong tokens make their address wait before they are looked at; who is known is let in", async () => {
  const guarded = await start({ settings: { "limits.bad_tokens_per_minute": 10 } });
  const other = await guarded.login(guarded.owner.email);
  assert.equal((await guarded.api("GET", "/users/me")).status, 200);
  const [head, payload] = guarded.owner.token.split(".");
  const forged = `${head}.${payload}.${Buffer.alloc(64, 7).toString("base64url")}`;
  const tries = [];
  for (let i = 0; i < 14; i++) tries.push(await guarded.api("GET", "/users/me", undefined, { token: i % 2 ? forged : `tk_${i}` }));
  assert.deepEqual(tries.map((answer) => answer.status), [...Array(10).fill(401), ...Array(4).fill(429)]);
  assert.ok(Number(tries[13].headers.get("retry-after")) >= 1);
  assert.equal((await guarded.api("GET", "/users/me")).status, 200, "known before");
  assert.equal((await guarded.api("GET", "/users/me", undefined, { token: other.token })).status, 429, "not seen before: it waits with the others");
  guarded.moveClock(40000); // longer than the memory of callers is fresh
  for (let i = 0; i < 10; i++) await guarded.api("GET", "/users/me", undefined, { token: forged });
  assert.equal((await guarded.api("GET", "/users/me", undefined, { token: forged })).status, 429);
  assert.equal((await guarded.api("GET", "/users/me")).status, 200, "known, though it must be asked again");
  guarded.moveClock(60000);
  assert.equal((await guarded.api("GET", "/users/me", undefined, { token: other.token })).status, 200);
  await guarded.stop();
});

test("tokens end in time, sessions can be listed and ended", async () => {
  const a = await t.login(t.owner.email), b = await t.login(t.owner.email);
  const sessions = (await t.api("GET", "/auth/sessions", undefined, { token: a.token })).json.items;
  assert.equal(sessions.filter((session) => session.is_current).length, 1);
  assert.ok(sessions.length >= 2 && sessions[0].device);
  const bSession = (await t.api("GET", "/auth/sessions", undefined, { token: b.token })).json.items.find((session) => session.is_current);
  assert.equal((await t.api("DELETE", `/auth/sessions/${bSession.id}`, undefined, { token: a.token })).status, 204);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: b.token })).status, 401, "at once");
  assert.equal((await refresh(t, b.cookie)).status, 401);
  assert.equal((await t.api("POST", "/auth/logout", undefined, { token: a.token, headers: { cookie: a.cookie, "x-troupe-request": "1" } })).status, 204);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: a.token })).status, 401);
  const c = await t.login(t.owner.email);
  t.moveClock(16 * 60000);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: c.token })).status, 401, "15 minutes");
  assert.equal((await refresh(t, c.cookie)).status, 200);
  const d = await t.login(t.owner.email);
  t.moveClock(31 * 24 * 3600000);
  assert.equal((await refresh(t, d.cookie)).status, 401, "30 days unused");
  t.owner = await t.login(t.owner.email);
});

test("whoever holds a token does not try passwords without end", async (context) => {
  const house = await start();
  context.after(() => house.stop());
  const change = (current_password) => house.api("POST", "/auth/password", { current_password, new_password: "another long pass phrase" });
  const wrong = await change("wrong wrong wrong");
  assert.deepEqual([wrong.status, wrong.json.errors[0].field], [422, "current_password"]);
  await lockedOut(house, () => change("wrong wrong wrong"));
  assert.equal((await change(PASSWORD)).status, 429, "also with the right one");
  house.moveClock(61000);
  assert.equal((await change(PASSWORD)).status, 204, "a minute at the most");
});

test("too many wrong tries make the next ones wait, for known and unknown alike, and not for good", async () => {
  const locked = await start();
  const fail = (email) => locked.api("POST", "/auth/login", { email, password: "wrong wrong wrong" }, { token: null });
  for (const email of [locked.owner.email, "ghost@example.com"]) {
    await lockedOut(locked, () => fail(email));
    assert.equal((await locked.api("POST", "/auth/login", { email, password: PASSWORD }, { token: null })).status, 429, "also with the right password");
  }
  locked.moveClock(61000);
  assert.equal((await locked.api("POST", "/auth/login", { email: locked.owner.email, password: PASSWORD }, { token: null })).status, 200, "a minute at the most");
  await locked.stop();
});

test("roles: nobody gives or takes what is not below them; a disabled account is out at once", async () => {
  const admin = await t.newUser({ role: "admin", name: "Adrian" }), member = await t.newUser({ name: "Mia" });
  const patch = (id, body, token) => t.api("PATCH", `/admin/users/${id}`, body, { token });
  assert.equal((await patch(t.owner.user.id, { disabled: true }, admin.token)).status, 403);
  assert.equal((await patch(admin.user.id, { role: "member" }, admin.token)).status, 403, "not oneself");
  assert.equal((await patch(member.user.id, { role: "admin" }, admin.token)).status, 422);
  assert.equal((await patch(member.user.id, { role: "moderator" }, admin.token)).json.role, "moderator");
  assert.equal((await t.api("POST", "/admin/invites", { role: "admin" }, { token: admin.token })).status, 422);
  const [above, below] = (await Promise.all(["admin", "member"].map((role) => t.api("POST", "/admin/invites", { role })))).map((answer) => answer.json);
  const seen = (await t.api("GET", "/admin/invites?limit=100", undefined, { token: admin.token })).json.items.map((item) => item.id);
  assert.ok(seen.includes(below.id) && !seen.includes(above.id), "a code that makes an equal of them is not shown to them");
  assert.equal((await t.api("DELETE", `/admin/invites/${above.id}`, undefined, { token: admin.token })).status, 404);
  assert.equal((await t.api("DELETE", `/admin/invites/${below.id}`, undefined, { token: admin.token })).status, 204);
  assert.ok((await t.api("GET", "/admin/invites?limit=100")).json.items.some((item) => item.id === above.id), "the owner sees it still");
  assert.equal((await patch(member.user.id, { disabled: true }, admin.token)).status, 200);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: member.token })).status, 401);
  assert.equal((await t.api("POST", "/auth/login", { email: member.email, password: PASSWORD }, { token: null })).status, 401);
  assert.equal((await patch(member.user.id, { disabled: false }, admin.token)).status, 200);
  await t.login(member.email);
});

test("the first moment of 1970 is a moment that has passed, not \"never\"", async () => {
  const at = { expires_at: "1970-01-01T00:00:00Z" };
  for (const [path, body] of [["/auth/api-keys", { name: "k", scopes: ["read"], ...at }], ["/admin/invites", { role: "member", uses: 1, ...at }]]) {
    const refused = await t.api("POST", path, body);
    assert.deepEqual([refused.status, refused.json.errors?.[0].field], [422, "expires_at"], path);
  }
});

test("a new password ends the other sessions, and leaves keys to programs", async () => {
  const user = await t.newUser({ name: "Pat" });
  const { key } = (await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] }, { token: user.token })).json;
  const elsewhere = await t.login(user.email);
  const change = (current_password, new_password) => t.api("POST", "/auth/password", { current_password, new_password }, { token: user.token });
  assert.equal((await change("not it at all", "another long pass phrase")).json.errors[0].field, "current_password");
  assert.equal((await change(PASSWORD, "password123")).json.errors[0].field, "new_password", "one that everybody tries");
  assert.equal((await change(PASSWORD, "another long pass phrase")).status, 204);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: elsewhere.token })).status, 401);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: user.token })).status, 200, "the one that changed it stays");
  assert.equal((await t.api("GET", "/users/me", undefined, { token: key })).status, 200, "who knew the old one knows their keys");
  await t.login(user.email, "another long pass phrase");
});

test("a persona that is changed twice at the same moment keeps both; of two who read the same, one is told", async () => {
  const user = await t.newUser({ name: "Uma" });
  const as = (method, path, body, more = {}) => t.api(method, path, body, { token: user.token, ...more });
  const at = `/users/me/personas/${(await as("POST", "/users/me/personas", { name: "Captain", description: "At sea." })).json.id}`;
  const both = await Promise.all([as("PATCH", at, { name: "Admiral" }), as("PATCH", at, { description: "On land." })]);
  assert.deepEqual(both.map((answer) => answer.status), [200, 200]);
  const read = await as("GET", at);
  assert.deepEqual([read.json.name, read.json.description], ["Admiral", "On land."]);
  const headers = { "if-match": read.headers.get("etag") };
  const two = await Promise.all(["One", "Two"].map((name) => as("PATCH", at, { name }, { headers })));
  assert.deepEqual(two.map((answer) => answer.status).sort(), [200, 412]);
});

test("profile, preferences, personas, picture", async () => {
  const user = await t.newUser({ name: "Quinn" });
  const as = (method, path, body, more = {}) => t.api(method, path, body, { token: user.token, ...more });
  assert.equal((await as("PATCH", "/users/me", { display_name: "Quinn the Second" })).json.display_name, "Quinn the Second");
  assert.equal((await as("GET", "/users/me/preferences")).json.theme, "system");
  assert.equal((await as("PATCH", "/users/me/preferences", { theme: "dark" })).json.theme, "dark");
  assert.equal((await as("PATCH", "/users/me/preferences", { font_percent: 120 })).json.theme, "dark", "the others stay");
  assert.equal((await as("PATCH", "/users/me/preferences", { content_tier: "adult" })).status, 422, "not before an adult age is declared");
  assert.equal((await as("PATCH", "/users/me/preferences", { colour: "red" })).json.errors[0].field, "colour");
  const first = (await as("POST", "/users/me/personas", { name: "One", is_default: true })).json;
  const second = (await as("POST", "/users/me/personas", { name: "Two", is_default: true })).json;
  const list = (await as("GET", "/users/me/personas")).json.items;
  assert.deepEqual(list.map((p) => [p.id, p.is_default]), [[first.id, false], [second.id, true]], "one default");
  assert.equal((await as("PATCH", `/users/me/personas/${first.id}`, { description: "Tall." })).json.description, "Tall.");
  assert.equal((await as("DELETE", `/users/me/personas/${second.id}`)).status, 204);
  assert.equal((await as("DELETE", `/users/me/personas/${second.id}`)).status, 404);
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  const me = await as("PUT", "/users/me/avatar", png, { headers: { "content-type": "image/png" } });
  assert.equal(me.status, 200, me.text);
  const picture = await t.api("GET", me.json.avatar_url, undefined, { token: null });
  assert.equal(picture.status, 200);
  assert.deepEqual(picture.bytes, png);
  assert.equal((await as("PUT", "/users/me/avatar", Buffer.from("<svg onload=alert(1)>"), { headers: { "content-type": "image/png" } })).status, 415);
  assert.deepEqual(Object.keys((await t.api("GET", `/users/${user.user.id}`)).json).sort(), ["avatar_url", "display_name", "id"]);
});

/** A JPEG whose EXIF says where and with what it was taken, and how it is to be turned. */
function jpegWithPlace(width = 1) {
  const exif = Buffer.concat([
    Buffer.from("Exif\0\0MM\0*\0\0\0\x08", "latin1"),
    Buffer.from([0, 3, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0, // Orientation 6
      0x88, 0x25, 0, 4, 0, 0, 0, 1, 0, 0, 0, 50, // the GPS directory
      0x01, 0x0f, 0, 2, 0, 0, 0, 4, 65, 67, 77, 0, 0, 0, 0, 0]), // Make
    Buffer.from([0, 1, 0, 1, 0, 2, 0, 0, 0, 2, 78, 0, 0, 0, 0, 0, 0, 0]), Buffer.from("GPS 52.5163 N 13.3777 E"),
  ]);
  const segment = (marker, data) => Buffer.concat([Buffer.from([0xff, marker, (data.length + 2) >> 8, (data.length + 2) & 255]), data]);
  return Buffer.concat([
    Buffer.from([0xff, 0xd8]), segment(0xe1, exif), segment(0xfe, Buffer.from("taken at home")),
    segment(0xc0, Buffer.from([8, 0, 1, width >> 8, width & 255, 1, 1, 0x11, 0])), segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])),
    Buffer.from([0x12, 0x34, 0xff, 0xd9]), Buffer.from("bytes behind the end"),
  ]);
}

test("pictures of people and personas lose where they were taken, and are checked like portraits", async () => {
  const user = await t.newUser({ name: "Petra" });
  const as = (method, path, body, more = {}) => t.api(method, path, body, { token: user.token, ...more });
  const persona = (await as("POST", "/users/me/personas", { name: "One" })).json;
  const jpeg = jpegWithPlace(), png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  for (const path of ["/users/me/avatar", `/users/me/personas/${persona.id}/avatar`]) {
    const put = await as("PUT", path, jpeg, { headers: { "content-type": "image/jpeg" } });
    assert.equal(put.status, 200, put.text);
    const kept = (await as("GET", put.json.avatar_url)).bytes;
    for (const gone of ["GPS", "52.5163", "ACM", "taken at home", "behind the end", "\x88\x25"]) assert.ok(!kept.includes(Buffer.from(gone, "latin1")), gone);
    assert.ok(kept.includes(Buffer.from([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6])), "how to turn it stays");
    assert.ok(kept.includes(Buffer.from([0x12, 0x34, 0xff, 0xd9])), "and the picture");
    assert.equal((await as("PUT", path, jpeg.subarray(0, 70))).status, 422, "cut off");
    assert.equal((await as("PUT", path, png.subarray(0, 40))).status, 422, "no picture behind the head");
    assert.equal((await as("PUT", path, jpegWithPlace(20000))).status, 413, "20,000 pixels wide");
    assert.equal((await as("GET", path.replace("/avatar", ""))).json.avatar_url, put.json.avatar_url, "what was refused changed nothing");
  }
});

test("the age gate stores only the result", async () => {
  const user = await t.newUser({ name: "Yael" });
  const declare = (body) => t.api("POST", "/auth/verify-age", body, { token: user.token });
  assert.equal((await declare({})).status, 422);
  assert.equal((await declare({ birth_date: "2026-13-40" })).status, 422);
  const year = new Date().getUTCFullYear();
  assert.equal((await declare({ birth_date: `${year - 10}-01-01` })).json.is_adult, false);
  assert.equal((await declare({ birth_date: `${year - 30}-01-01` })).json.is_adult, true);
  assert.equal((await t.api("PATCH", "/users/me/preferences", { content_tier: "adult" }, { token: user.token })).status, 200);
});

test("the command line: user add, list, reset-password, beside a running server", async () => {
  const data = ["--data", t.dir];
  const added = await run(["user", "add", "cli@example.com", "--name", "Cli", "--role", "moderator", "--password-stdin", ...data], { input: "from the command line\n" });
  assert.equal(added.code, 0, added.stderr);
  const cli = await t.login("cli@example.com", "from the command line");
  assert.equal(cli.user.role, "moderator");
  const listed = await run(["user", "list", ...data]);
  assert.match(listed.stdout, /moderator.*cli@example.com/);
  const { key } = (await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] }, { token: cli.token })).json;
  assert.equal((await t.api("GET", "/users/me", undefined, { token: cli.token })).status, 200); // from now on the server knows the token for half a minute
  const reset = await run(["user", "reset-password", "cli@example.com", ...data]);
  const password = reset.stdout.match(/password: (\S+)/)[1];
  assert.equal((await refresh(t, cli.cookie)).status, 401, "its sessions have ended");
  assert.equal((await t.api("GET", "/users/me", undefined, { token: key })).status, 401, "and its keys");
  assert.equal((await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] }, { token: cli.token })).status, 401, "and whoever is still known makes no new one");
  assert.equal((await t.api("POST", "/auth/password", { current_password: password, new_password: "what somebody else would like" }, { token: cli.token })).status, 401, "nor another password");
  await t.login("cli@example.com", password);
  assert.equal((await run(["user", "add", "cli@example.com", ...data])).code, 1, "taken");
  assert.equal((await run(["user", "add", "not-an-address", ...data])).code, 2);
  assert.equal((await run(["user", "add", "o2@example.com", "--role", "owner", ...data])).code, 1, "one owner");
});

test("whoever signs in with the old password while it is replaced gets no session that outlives it", async (context) => {
  const house = await start(); // whose doors then wait for this address
  context.after(() => house.stop());
  const user = await house.newUser({ name: "Rae" });
  const sign = () => house.api("POST", "/auth/login", { email: user.email, password: PASSWORD }, { token: null });
  const answers = [await sign()];
  assert.equal(answers[0].status, 200);
  let isOver = false;
  const reset = run(["user", "reset-password", user.email, "--data", house.dir]).then((answer) => { isOver = true; return answer; });
  while (!isOver) answers.push(...await Promise.all(Array.from({ length: 24 }, sign))); // they stand in line for the hash, and were let in by what was stored before
  assert.equal((await reset).code, 0);
  const tokens = answers.filter((answer) => answer.status === 200).map((answer) => answer.json.access_token);
  const alive = (await Promise.all(tokens.map((token) => house.api("GET", "/users/me", undefined, { token })))).filter((answer) => answer.status !== 401);
  assert.equal(alive.length, 0, `of ${tokens.length}`);
});

test("no secret reaches the log or the database", async () => {
  const log = t.logText();
  for (const secret of [PASSWORD, t.owner.token, t.owner.cookie.split("=")[1], t.owner.email]) assert.ok(!log.includes(secret));
});

test("what is kept for repeats tells nothing: not a key that was made, not a token, not a password that was sent", async () => {
  const user = await t.newUser({ name: "Rea" });
  const post = (path, body, key) => t.api("POST", path, body, { token: user.token, headers: { "idempotency-key": key } });
  const made = await post("/auth/api-keys", { name: "once", scopes: ["read"] }, "make");
  assert.equal(made.status, 201, made.text);
  const again = await post("/auth/api-keys", { name: "once", scopes: ["read"] }, "make");
  assert.equal(again.status, 409, again.text);
  assert.match(again.json.detail, /shown once/);
  assert.ok(!again.text.includes(made.json.key));
  assert.equal((await t.api("GET", "/auth/api-keys", undefined, { token: user.token })).json.items.length, 1, "and not made twice");
  assert.equal((await t.api("GET", "/users/me", undefined, { token: made.json.key })).status, 200);
  const signedIn = await post("/auth/login", { email: user.user.email, password: PASSWORD }, "in");
  assert.equal(signedIn.status, 200, signedIn.text);
  const change = { current_password: PASSWORD, new_password: "nine quiet numbats" };
  assert.equal((await post("/auth/password", change, "change")).status, 204);
  assert.equal((await post("/auth/password", change, "change")).status, 204, "the first answer to a repeat, where it tells nothing");
  assert.equal((await post("/auth/password", { ...change, new_password: "ten quiet numbats" }, "change")).status, 422);
  const rows = execFileSync("sqlite3", ["-readonly", "-cmd", ".timeout 20000", join(t.dir, "troupe.db"), "SELECT hex(fingerprint) || ' ' || coalesce(CAST(body AS TEXT), '') FROM idempotency"]).toString();
  for (const secret of [made.json.key, signedIn.json.access_token]) assert.ok(!rows.includes(secret));
  const guess = createHash("sha256").update(`2 /api/v1/auth/password\n${JSON.stringify(change)}`).digest("hex").toUpperCase();
  assert.ok(!rows.includes(guess), "a digest that anybody could make of a guessed password");
});
