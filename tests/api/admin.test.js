// What admins see and do: settings in the running house, jobs, numbers, the doctor, the audit log, the people (WEB-2, WEB-3).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import WebSocket from "ws";
import { run, serve, start, until } from "./harness.js";

let t;
before(async () => { t = await start(); });
after(() => t.stop());

const settings = async (server = t) => Object.fromEntries((await server.api("GET", "/admin/settings")).json.items.map((item) => [item.name, item]));
const change = (body, server = t) => server.api("PATCH", "/admin/settings", body);
const sql = (server, text) => execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(server.dir, "troupe.db"), text], { encoding: "utf8" }).trim();

test("every setting is listed with its kind, bounds, default and origin", async () => {
  const all = await settings();
  assert.ok(Object.keys(all).length >= 20);
  const age = all["accounts.access_token_s"];
  assert.deepEqual({ ...age, help: "" }, { name: "accounts.access_token_s", type: "int", value: 900, default: 900, stored: null, source: "default", min: 60, max: 86400,
    unit: "s", help: "", needs_restart: false, is_secret: false, is_owners: false });
  assert.deepEqual([all["accounts.registration"].type, all["accounts.registration"].value, all["accounts.registration"].source], ["choice", "invite", "flag"]);
  assert.deepEqual(all["accounts.registration"].choices, ["closed", "invite", "open"]);
  assert.ok(Object.values(all).every((item) => item.help.length > 10 && !(item.is_secret && item.value !== null)));
  const example = execFileSync(process.env.TROUPE_BINARY ?? "../build/release/troupe", ["config", "example"], { encoding: "utf8" });
  assert.equal((example.match(/^;\w+ =/gm) ?? []).length, Object.keys(all).length, "the same rows as the example file");
});

test("a change takes effect at once, survives a restart, and can be taken back", async () => {
  const server = await serve();
  await server.setUp();
  assert.equal((await server.api("POST", "/auth/register", { email: "a@example.com", password: "a long enough pass phrase", display_name: "A" }, { token: null })).status, 422, "by invite");
  const changed = await change({ "accounts.registration": "open", "accounts.password_min": 20 }, server);
  assert.equal(changed.status, 200, changed.text);
  assert.deepEqual(changed.json.items.filter((item) => item.source === "stored").map((item) => [item.name, item.value]), [["accounts.registration", "open"], ["accounts.password_min", 20]]);
  const register = (email, password) => server.api("POST", "/auth/register", { email, password, display_name: "B" }, { token: null });
  assert.equal((await register("b@example.com", "a long enough pass phrase")).status, 201);
  assert.equal((await register("c@example.com", "nineteen characters")).json.errors[0].field, "password");
  assert.equal((await change({ "net.public_url": "https://troupe.example" }, server)).status, 200);
  assert.equal((await change({ "accounts.session_days": null }, server)).status, 200, "what was never stored may be taken back");
  const { dir } = server, before = await settings(server);
  await server.stop({ keep: true });

  const again = await serve({ dir });
  Object.assign(again, { owner: await again.login("owner@example.com") });
  const after = await settings(again);
  for (const name of ["accounts.registration", "accounts.password_min", "net.public_url"]) assert.deepEqual([after[name].value, after[name].source], [before[name].value, "stored"], name);
  assert.equal((await change({ "accounts.registration": null, "accounts.password_min": null }, again)).status, 200);
  assert.deepEqual((({ value, source, stored }) => [value, source, stored])((await settings(again))["accounts.registration"]), ["invite", "default", null]);
  assert.equal((await again.api("POST", "/auth/register", { email: "d@example.com", password: "a long enough pass phrase", display_name: "D" }, { token: null })).status, 422);
  await again.stop();
});

test("flags and environment win over what is stored, what is stored over the file", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "troupe-ini-")), "troupe.ini");
  writeFileSync(file, "[accounts]\nidle_days = 7\nsession_days = 70\n");
  const env = { TROUPE_ACCOUNTS_PASSWORD_MIN: "12" };
  const server = await serve({ env, config: file });
  await server.setUp();
  assert.equal((await change({ "accounts.session_days": 50, "accounts.access_token_s": 600 }, server)).status, 200);
  for (const [body, field, text] of [
    [{ "accounts.password_min": 9 }, "accounts.password_min", /environment/],
    [{ "limits.costly_per_minute": 5 }, "limits.costly_per_minute", /flag/],
  ]) {
    const refused = await change(body, server);
    assert.deepEqual([refused.status, refused.json.errors[0].field], [422, field]);
    assert.match(refused.json.errors[0].message, text);
  }
  const { dir } = server;
  await server.stop({ keep: true });
  const again = await serve({ dir, env, config: file, settings: { "accounts.access_token_s": 700 } });
  again.owner = await again.login("owner@example.com");
  const all = await settings(again);
  assert.deepEqual([all["accounts.access_token_s"].value, all["accounts.access_token_s"].source, all["accounts.access_token_s"].stored], [700, "flag", "600"]);
  assert.deepEqual([all["accounts.session_days"].value, all["accounts.session_days"].source], [50, "stored"]);
  assert.deepEqual([all["accounts.idle_days"].value, all["accounts.idle_days"].source], [7, "file"]);
  assert.deepEqual([all["accounts.password_min"].value, all["accounts.password_min"].source], [12, "environment"]);
  await again.stop();
});

test("a wrong value is named and changes nothing, a wrong name too", async () => {
  for (const [body, field, text] of [
    [{ "accounts.idle_days": 0 }, "accounts.idle_days", /^must be between 1 and 3650/],
    [{ "accounts.idle_days": "many" }, "accounts.idle_days", /^must be a whole number/],
    [{ "accounts.idle_days": 1.5 }, "accounts.idle_days", /^must be a whole number/],
    [{ "accounts.idle_days": true }, "accounts.idle_days", /^must be a whole number/],
    [{ "accounts.idle_days": [1] }, "accounts.idle_days", /^must be a whole number/],
    [{ "log.level": "loud" }, "log.level", /one of: debug/],
    [{ "accounts.session_days": 10, "accounts.idle_dayz": 5 }, "accounts.idle_dayz", /did you mean accounts.idle_days/],
    [{ "nothing.like_it": 5 }, "nothing.like_it", /no setting/],
  ]) {
    const answer = await change(body);
    assert.deepEqual([answer.status, answer.json.errors?.[0].field], [422, field], answer.text);
    assert.match(answer.json.errors[0].message, text);
  }
  const all = await settings();
  assert.deepEqual([all["accounts.idle_days"].value, all["accounts.session_days"].value], [30, 90]);
  assert.equal((await change([])).status, 422);
  assert.equal((await change({})).status, 200);
});

test("a setting that needs a restart waits for it, and says so", async () => {
  const server = await serve();
  await server.setUp();
  const waiting = Object.values(await settings(server)).find((item) => item.needs_restart && item.type === "int" && item.source === "default") ??
    Object.values(await settings(server)).find((item) => item.needs_restart && item.source === "default");
  const value = waiting.type === "int" ? waiting.value + 1 : waiting.type === "bool" ? !waiting.value : waiting.type === "choice" ? waiting.choices.find((c) => c !== waiting.value) : "127.0.0.1:0";
  assert.equal((await change({ [waiting.name]: value }, server)).status, 200);
  let now = (await settings(server))[waiting.name];
  assert.deepEqual([now.value, now.source, now.stored], [waiting.value, "default", String(value)]);
  const { dir } = server;
  await server.stop({ keep: true });
  const again = await serve({ dir });
  again.owner = await again.login("owner@example.com");
  now = (await settings(again))[waiting.name];
  assert.deepEqual([now.value, now.source], [value, "stored"]);
  await again.stop();
});

test("what staff does is in the audit log, which nobody can rewrite", async () => {
  const admin = await t.newUser({ role: "admin", name: "Adele" }), member = await t.newUser({ name: "Milo" });
  const as = (method, path, body) => t.api(method, path, body, { token: admin.token });
  const log = async (query = "") => (await t.api("GET", `/admin/audit?limit=100${query}`)).json;
  const before = (await log()).items.length;
  assert.equal((await as("PATCH", `/admin/users/${member.user.id}`, { role: "creator" })).status, 200);
  assert.equal((await as("PATCH", `/admin/users/${member.user.id}`, { disabled: true })).status, 200);
  assert.equal((await as("PATCH", `/admin/users/${member.user.id}`, { disabled: false })).status, 200);
  assert.equal((await as("PATCH", "/admin/settings", { "accounts.idle_days": 29 })).status, 200);
  const invite = (await as("POST", "/admin/invites", { role: "member" })).json;
  assert.equal((await as("DELETE", `/admin/invites/${invite.id}`)).status, 204);
  const model = (await as("POST", "/admin/models", { name: "Audited", provider: "openai", base_url: "http://127.0.0.1:9/v1", model: "m", api_key: "sk-very-secret" })).json;
  assert.equal((await as("PATCH", `/admin/models/${model.id}`, { is_enabled: false })).status, 200);
  assert.equal((await as("PUT", "/admin/routes", { routes: [{ name: "quick", model_ids: [model.id] }] })).status, 200);
  assert.equal((await as("DELETE", `/admin/models/${model.id}`)).status, 204);
  assert.equal((await as("PATCH", `/admin/users/${t.owner.user.id}`, { disabled: true })).status, 403);
  assert.equal((await as("PATCH", "/admin/settings", { "accounts.idle_days": 0 })).status, 422);
  const items = (await log()).items.slice(0, -before || undefined);
  assert.deepEqual(items.map((item) => item.action).reverse(),
    ["user.role", "user.disable", "user.enable", "settings.change", "invite.create", "invite.revoke", "model.create", "model.change", "routes.change", "model.delete"], "done, and nothing refused");
  assert.ok(items.every((item) => item.actor.id === admin.user.id && item.actor.name === "Adele"));
  const role = items.at(-1);
  assert.deepEqual([role.target_kind, role.target_id, role.detail], ["user", member.user.id, { what: "role", from: "member", to: "creator" }]);
  assert.deepEqual(items.find((item) => item.action === "settings.change").detail, { what: "accounts.idle_days", from: null, to: "29" });
  assert.ok(!JSON.stringify(items).includes("very-secret"));
  assert.deepEqual((await log("&action=user.")).items.slice(0, 3).map((item) => item.action), ["user.enable", "user.disable", "user.role"]);
  assert.equal((await log(`&actor_id=${member.user.id}`)).items.length, 0);
  const page = (await t.api("GET", "/admin/audit?limit=4")).json;
  const next = (await t.api("GET", `/admin/audit?limit=4&cursor=${page.next_cursor}`)).json;
  assert.deepEqual([...page.items, ...next.items].map((item) => item.id), items.slice(0, 8).map((item) => item.id));
  for (const text of ["UPDATE audit SET action = 'x'", "DELETE FROM audit"]) assert.throws(() => sql(t, text), /audit log is never/);
});

test("what the command line does stands there too, as nobody's", async () => {
  const data = ["--data", t.dir];
  assert.equal((await run(["user", "add", "by-command@example.com", "--role", "moderator", "--password-stdin", ...data], { input: "from the command line\n" })).code, 0);
  assert.equal((await run(["user", "reset-password", "by-command@example.com", ...data])).code, 0);
  const [reset, added] = (await t.api("GET", "/admin/audit?limit=2")).json.items;
  assert.deepEqual([added.action, added.actor, added.detail.to], ["user.create", { id: null, name: null }, "moderator"]);
  assert.deepEqual([reset.action, reset.target_id], ["user.password", added.target_id]);
});

test("people are found by a part of their name or address, and paged", async () => {
  for (const name of ["Åsa", "Åke", "Zoë"]) await t.newUser({ name, email: `${{ Åsa: "asa.lind", Åke: "ake", Zoë: "zoe" }[name]}@find.example` });
  const found = async (query) => (await t.api("GET", `/admin/users?${query}`)).json.items.map((user) => user.display_name);
  assert.deepEqual(await found("q=%C3%A5"), ["Åsa", "Åke"], "whatever its case");
  assert.deepEqual(await found("q=LIND"), ["Åsa"]);
  assert.deepEqual(await found("q=find.example"), ["Åsa", "Åke", "Zoë"]);
  assert.deepEqual(await found("q=%25"), [], "no pattern");
  assert.deepEqual(await found("role=owner"), ["Olive"]);
  const first = (await t.api("GET", "/admin/users?q=find.example&limit=2")).json;
  assert.deepEqual(first.items.map((user) => user.display_name), ["Åsa", "Åke"]);
  const rest = (await t.api("GET", `/admin/users?q=find.example&limit=2&cursor=${first.next_cursor}`)).json;
  assert.deepEqual([rest.items.map((user) => user.display_name), rest.next_cursor], [["Zoë"], null]);
});

test("the house in numbers, and what it takes on the disk", async () => {
  const server = await start();
  const before = (await server.api("GET", "/admin/stats")).json;
  assert.deepEqual([before.people, before.messages, before.turns_running, before.sockets], [1, 0, 0, 0]);
  assert.ok(before.characters >= 6 && before.storage.blobs >= 6 && before.storage.blobs_bytes > 10000 && before.jobs_waiting >= 3);
  const character = (await server.api("POST", "/characters", { name: "Ada", first_mes: "Hello." })).json;
  const conversation = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json;
  await server.api("POST", `/conversations/${conversation.id}/messages`, { content: "Hi." });
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${server.owner.token}` } });
  await new Promise((resolve) => socket.on("open", resolve));
  const now = (await server.api("GET", "/admin/stats")).json;
  assert.deepEqual([now.characters, now.conversations, now.messages, now.sockets], [before.characters + 1, 1, 3, 1]);
  assert.deepEqual([now.last_24_hours.messages, now.last_24_hours.replies], [3, 2], "a greeting, a message, a reply");
  assert.ok(now.last_24_hours.prompt_tokens > 0 && now.last_24_hours.reply_tokens > 0);
  const storage = (await server.api("GET", "/admin/storage")).json;
  assert.ok(storage.database_bytes + storage.wal_bytes >= 100000 && storage.disk_bytes > storage.disk_free_bytes && storage.disk_free_bytes > 0);
  assert.equal(storage.blobs, before.storage.blobs);
  socket.terminate();
  server.moveClock(25 * 3600000);
  server.owner = await server.login(server.owner.email);
  const later = (await server.api("GET", "/admin/stats")).json;
  assert.deepEqual([later.messages, later.last_24_hours.messages, later.last_24_hours.reply_tokens], [3, 0, 0]);
  await server.stop();
});

test("the doctor of the running house: the rows of the command, with every model that is on", async () => {
  const well = (await t.api("GET", "/admin/doctor")).json;
  assert.equal(well.ok, true, JSON.stringify(well));
  const what = well.items.map((item) => item.what);
  for (const name of ["settings", "clock", "data", "key", "disk", "database", "owner", "model"]) assert.ok(what.includes(name), name);
  const model = (await t.api("POST", "/admin/models", { name: "Broken", provider: "openai", base_url: "http://127.0.0.1:9/v1", model: "m" })).json;
  const ill = (await t.api("GET", "/admin/doctor")).json;
  assert.equal(ill.ok, false);
  const finding = ill.items.find((item) => item.what === "model");
  assert.equal(finding.level, "fail");
  assert.match(finding.text, /^Broken \(http:\/\/127\.0\.0\.1:9\/v1\): /);
  assert.equal((await t.api("DELETE", `/admin/models/${model.id}`)).status, 204);
});

test("jobs: admins see, retry and cancel all, people their own", async () => {
  const user = await t.newUser({ name: "Jo" }), other = await t.newUser({ name: "Jim" });
  const list = async (query = "", token = t.owner.token) => (await t.api("GET", `/admin/jobs?limit=100${query}`, undefined, { token })).json.items;
  const sweep = (await list("&kind=blob.sweep"))[0];
  assert.deepEqual([sweep.is_standing, sweep.user_id, sweep.state], [true, null, "queued"]);
  assert.equal((await t.api("POST", `/admin/jobs/${sweep.id}/cancel`)).status, 409, "a standing job");
  const ran = (await t.api("POST", `/admin/jobs/${sweep.id}/retry`)).json;
  assert.ok(Date.parse(ran.run_at) < Date.parse(sweep.run_at), "now and not in hours");
  await until(async () => Date.parse((await list("&kind=blob.sweep"))[0].run_at) > Date.parse(ran.run_at) + 3600000, "it ran, and waits again");
  // Work of a kind that this version does not know lies still: made by hand, as a later version would leave it behind.
  const idOf = (text) => [...text].reduce((id, letter) => id * 32n + BigInt("0123456789abcdefghjkmnpqrstvwxyz".indexOf(letter.toLowerCase())), 0n);
  const [dead, waiting] = [idOf(user.user.id) + 1n, idOf(user.user.id) + 2n], now = Date.now();
  for (const [id, state] of [[dead, "dead"], [waiting, "queued"]])
    sql(t, `INSERT INTO job (id, kind, user_id, state, run_at, reason, attempts, progress, total, created_at, updated_at) VALUES (${id}, 'of.tomorrow', ${idOf(user.user.id)}, '${state}', ${now}, 'broke', 5, 3, 10, ${now}, ${now})`);
  const mine = (await t.api("GET", "/jobs", undefined, { token: user.token })).json.items;
  assert.deepEqual(mine.map((job) => [job.kind, job.state, job.progress, job.total, job.reason]), [["of.tomorrow", "queued", 3, 10, "broke"], ["of.tomorrow", "dead", 3, 10, "broke"]]);
  assert.equal((await t.api("GET", "/jobs", undefined, { token: other.token })).json.items.length, 0);
  assert.deepEqual((await list("&state=dead")).map((job) => job.id), [mine[1].id]);
  assert.equal((await t.api("POST", `/jobs/${mine[0].id}/cancel`, undefined, { token: other.token })).status, 404);
  assert.equal((await t.api("POST", `/jobs/${sweep.id}/cancel`, undefined, { token: user.token })).status, 404);
  const retried = await t.api("POST", `/admin/jobs/${mine[1].id}/retry`);
  assert.deepEqual([retried.status, retried.json.state, retried.json.attempts, retried.json.progress, retried.json.reason], [200, "queued", 0, 0, null]);

  const socket = new WebSocket(`${t.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${user.token}` } });
  const stranger = new WebSocket(`${t.url.replace("http", "ws")}/ws`, ["troupe.v1"], { headers: { authorization: `Bearer ${other.token}` } });
  const heard = [], overheard = [];
  socket.on("message", (bytes) => heard.push(JSON.parse(bytes)));
  stranger.on("message", (bytes) => overheard.push(JSON.parse(bytes)));
  await until(() => heard.length && overheard.length, "both are signed in");
  const cancelled = await t.api("POST", `/jobs/${mine[0].id}/cancel`, undefined, { token: user.token });
  assert.deepEqual([cancelled.status, cancelled.json.state], [200, "cancelled"]);
  await until(() => heard.some((frame) => frame.type === "job:progress"), "the person is told");
  assert.deepEqual(heard.find((frame) => frame.type === "job:progress").data, { id: mine[0].id, kind: "of.tomorrow", state: "cancelled", progress: 3, total: 10, reason: null });
  assert.ok(!overheard.some((frame) => frame.type === "job:progress"), "and nobody else");
  socket.terminate();
  stranger.terminate();
  assert.equal((await t.api("POST", `/jobs/${mine[0].id}/cancel`, undefined, { token: user.token })).status, 409, "over already");
  assert.equal((await t.api("POST", `/admin/jobs/${mine[1].id}/cancel`)).json.state, "cancelled");
  assert.equal((await t.api("POST", "/admin/jobs/0000000000001/retry")).status, 404);
  assert.deepEqual((await t.api("GET", "/admin/audit?action=job.&limit=3")).json.items.map((item) => [item.action, item.target_id]),
    [["job.cancel", mine[1].id], ["job.retry", mine[1].id], ["job.retry", sweep.id]]);
});
