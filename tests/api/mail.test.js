// Links that come by mail: a new password, a confirmed address, the outbox without a relay and the relay with all its moods (ACCT-1, ACCT-6).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import WebSocket from "ws";
import { PASSWORD, run, start, until } from "./harness.js";
import { AUTHORITY, startSmtp } from "../fakes/smtp.js";

const HOUR = 3600 * 1000;
const OTHER = "quite another pass phrase";
let t;
before(async () => { t = await start(); });
after(() => t.stop());

const post = (server, path, body, options = {}) => server.api("POST", path, body, { token: null, ...options });
const forgot = (server, email, options) => post(server, "/auth/forgot-password", { email }, options);
const outbox = async (server, query = "") => (await server.api("GET", `/admin/outbox${query}`)).json.items;
const linkOf = (text) => text.split("\n").find((line) => /^https?:\/\/\S+$/.test(line));
const tokenOf = (text) => linkOf(text).split("#")[1];

/** The newest mail to this address that has come to rest in the state, with its text. */
async function mailTo(server, email, { kind, state = "resting" } = {}) {
  const row = await until(async () => (await outbox(server, "?limit=100")).find((mail) => mail.recipient === email && mail.state === state && (!kind || mail.kind === kind)), `a mail to ${email}`);
  return (await server.api("GET", `/admin/outbox/${row.id}`)).json;
}
const noJobsWait = (server) => until(async () => {
  const jobs = (await server.api("GET", "/admin/jobs?limit=100")).json.items;
  return jobs.every((job) => !job.kind.startsWith("mail.") || !["queued", "running"].includes(job.state));
}, "the jobs of mail to end");

test("forgotten: the link rests in the outbox, sets a new password once, and ends every session and key", async () => {
  const mia = await t.newUser({ name: "Mia" });
  const { key } = (await t.api("POST", "/auth/api-keys", { name: "somebody's", scopes: ["read"] }, { token: mia.token })).json;
  assert.equal((await t.api("GET", "/users/me", undefined, { token: key })).status, 200);
  const socket = new WebSocket(`${t.url.replace("http", "ws")}/ws`);
  const closed = new Promise((resolve) => socket.on("close", resolve));
  await new Promise((resolve) => socket.on("open", resolve));
  socket.send(JSON.stringify({ event: "authenticate", data: { token: mia.token } }));
  const asked = await forgot(t, mia.email.toUpperCase());
  assert.deepEqual([asked.status, asked.text], [202, ""]);
  const mail = await mailTo(t, mia.email);
  assert.deepEqual([mail.kind, mail.user_id, mail.attempts, mail.is_readable, mail.reason], ["reset", mia.user.id, 0, true, null]);
  assert.ok(linkOf(mail.text).startsWith(`${t.url}/reset#`), "the link leads to this house, wherever the request said it was sent to");
  const token = tokenOf(mail.text);
  assert.match(token, /^[\w-]{43}$/);
  const reset = (more) => post(t, "/auth/reset-password", { token, password: OTHER, ...more });
  assert.equal((await reset({ password: "short" })).json.errors[0].field, "password");
  assert.equal((await reset({ token: `${token.slice(0, 42)}${token[42] === "A" ? "B" : "A"}` })).json.errors[0].field, "token");
  assert.equal((await reset({ token: "x" })).json.errors[0].field, "token");
  assert.equal((await post(t, "/auth/verify-email", { token })).status, 422, "a token is good for one purpose");
  const [first, second] = await Promise.all([reset(), reset()]);
  assert.deepEqual([first.status, second.status].sort(), [204, 422], "used once, also when asked twice at once");
  assert.equal(first.headers.get("set-cookie"), null, "and nobody is signed in by it");
  await closed;
  assert.equal((await t.api("GET", "/users/me", undefined, { token: mia.token })).status, 401);
  assert.equal((await post(t, "/auth/login", { email: mia.email, password: PASSWORD })).status, 401);
  assert.equal((await t.api("GET", "/users/me", undefined, { token: key })).status, 401, "a key outlives no reset");
  const back = await t.login(mia.email, OTHER);
  assert.deepEqual((await t.api("GET", "/auth/api-keys", undefined, { token: back.token })).json.items, []);
  assert.equal(back.user.email_verified, true, "who read the mail has the address");
  const gone = (await t.api("GET", `/admin/outbox/${mail.id}`)).json;
  assert.deepEqual([gone.state, gone.text, gone.is_readable], ["expired", null, false], "a used link stays nowhere");
  const notice = await mailTo(t, mia.email, { kind: "changed" });
  assert.ok(!notice.text.includes("#"), "the notice carries no token");
  const audit = (await t.api("GET", "/admin/audit?action=user.password")).json.items;
  assert.deepEqual([audit[0].actor.id, audit[0].target_id], [mia.user.id, mia.user.id]);
});

test("a link ends after an hour, with a newer one, and when somebody is disabled", async () => {
  const noa = await t.newUser({ name: "Noa" });
  await forgot(t, noa.email);
  const first = await mailTo(t, noa.email);
  await forgot(t, noa.email);
  await until(async () => (await t.api("GET", `/admin/outbox/${first.id}`)).json.state === "expired", "the older mail to end");
  const second = await mailTo(t, noa.email);
  const reset = (mail) => post(t, "/auth/reset-password", { token: tokenOf(mail.text), password: OTHER });
  assert.equal((await reset(first)).status, 422, "the older one ended");
  await t.api("PATCH", `/admin/users/${noa.user.id}`, { disabled: true });
  assert.equal((await reset(second)).status, 422);
  const ivy = await t.newUser({ name: "Ivy" });
  await forgot(t, ivy.email);
  const idle = await mailTo(t, ivy.email);
  assert.equal((await t.api("POST", "/auth/password", { current_password: PASSWORD, new_password: OTHER }, { token: ivy.token })).status, 204);
  assert.equal((await reset(idle)).status, 422, "who knows the password again needs no link");
  assert.equal((await t.api("GET", `/admin/outbox/${idle.id}`)).json.state, "expired");
  await t.api("PATCH", `/admin/users/${noa.user.id}`, { disabled: false });
  t.moveClock(HOUR + 1000);
  t.owner = await t.login(t.owner.email);
  assert.equal((await reset(second)).status, 422, "an hour is over");
  assert.equal((await post(t, "/auth/login", { email: noa.email, password: PASSWORD })).status, 200, "nothing has changed");
});

test("asking tells nothing: the same answer and the same work for known, unknown and disabled; who asks too often waits", async () => {
  const pia = await t.newUser({ name: "Pia" });
  const off = await t.newUser({ name: "Off" });
  await t.api("PATCH", `/admin/users/${off.user.id}`, { disabled: true });
  const before = (await outbox(t, "?limit=100")).length;
  const answers = {};
  for (const email of [pia.email, off.email, "nobody@example.com"]) {
    const seen = [];
    for (let i = 0; i < 4; i++) {
      await noJobsWait(t);
      const answer = await forgot(t, email);
      seen.push([answer.status, answer.text.replace(/"request_id":"[^"]*"/, ""), [...answer.headers.keys()].filter((name) => !/^(date|ratelimit)/.test(name)).join()]);
    }
    answers[email] = seen;
    assert.deepEqual(seen.map(([status]) => status), [202, 202, 202, 429]);
  }
  assert.deepEqual(answers["nobody@example.com"], answers[pia.email]);
  assert.deepEqual(answers[off.email], answers[pia.email]);
  const limited = await forgot(t, pia.email);
  assert.ok(Number(limited.headers.get("retry-after")) > 3000, "the hour begins with the first");
  await noJobsWait(t);
  const written = (await outbox(t, "?limit=100")).slice(0, -before || undefined);
  assert.deepEqual(new Set(written.map((mail) => mail.recipient)), new Set([pia.email]), "only who is there gets mail");
  assert.equal((await post(t, "/auth/forgot-password", { email: "no address" })).json.errors[0].field, "email");
  const all = Array.from({ length: 24 }, (_, i) => forgot(t, `crowd${i}@example.com`));
  assert.ok((await Promise.all(all)).some((answer) => answer.status === 429), "one address asks for twenty at the most");
  t.moveClock(HOUR + 1000);
  t.owner = await t.login(t.owner.email);
  assert.equal((await forgot(t, pia.email)).status, 202, "and not for good");
});

test("nobody reads the mail of who is not below them, and readings are in the audit log", async () => {
  t.moveClock(HOUR + 1000);
  t.owner = await t.login(t.owner.email);
  const ada = await t.newUser({ role: "admin", name: "Ada" });
  const bob = await t.newUser({ role: "admin", name: "Bob" });
  const mia = await t.newUser({ name: "Mil" });
  for (const email of [t.owner.email, ada.email, bob.email, mia.email]) assert.equal((await forgot(t, email)).status, 202);
  const read = async (email, token) => {
    const mail = await until(async () => (await outbox(t, "?limit=100&state=resting")).find((row) => row.recipient === email && row.kind === "reset"), email);
    const answer = (await t.api("GET", `/admin/outbox/${mail.id}`, undefined, { token })).json;
    return [answer.is_readable, answer.is_sealed, answer.text !== null];
  };
  assert.deepEqual(await read(t.owner.email, ada.token), [false, true, false], "an admin does not get the owner's link");
  assert.deepEqual(await read(bob.email, ada.token), [false, true, false], "nor another admin's");
  assert.deepEqual(await read(ada.email, ada.token), [true, false, true]);
  assert.deepEqual(await read(mia.email, ada.token), [true, false, true]);
  assert.deepEqual(await read(ada.email, t.owner.token), [true, false, true]);
  const audit = (await t.api("GET", "/admin/audit?action=mail.read")).json.items;
  assert.deepEqual([audit[0].actor.id, audit[1].actor.id], [t.owner.user.id, ada.user.id]);
  assert.equal(audit.filter((row) => row.actor.id === ada.user.id).length, 1, "one's own mail is no matter of record");
  for (const item of await outbox(t)) assert.equal("text" in item, false, "no text in the list");
  const page = (await t.api("GET", "/admin/outbox?limit=2")).json;
  const next = (await t.api("GET", `/admin/outbox?limit=2&cursor=${page.next_cursor}`)).json;
  assert.ok(page.items[1].id > next.items[0].id, "newest first, page by page");
  for (const token of [mia.token, null])
    assert.ok([401, 403].includes((await t.api("GET", "/admin/outbox", undefined, { token })).status));
});

test("only the owner says where mail goes and where its links lead", async () => {
  const ada = await t.newUser({ role: "admin", name: "Eve" });
  for (const name of ["mail.smtp_url", "mail.smtp_user", "mail.smtp_tls", "mail.smtp_ca", "net.public_url"]) {
    const refused = await t.api("PATCH", "/admin/settings", { [name]: name === "mail.smtp_tls" ? "always" : "smtp://evil.test:25" }, { token: ada.token });
    assert.equal(refused.status, 422, name);
    assert.match(refused.json.errors[0].message, /owner/);
  }
  assert.equal((await t.api("PATCH", "/admin/settings", { "mail.smtp_url": null }, { token: ada.token })).status, 422, "nor takes it back");
  const password = (await t.api("PATCH", "/admin/settings", { "mail.smtp_password": "x" }));
  assert.match(password.json.errors[0].message, /secret/);
  assert.equal((await t.api("PATCH", "/admin/settings", { "net.public_url": "https://troupe.example/" })).status, 200);
  const lia = await t.newUser({ name: "Lia" });
  assert.equal((await forgot(t, lia.email, { headers: { "x-forwarded-host": "evil.test", "accept-language": "de-AT,de;q=0.9" } })).status, 202);
  const mail = await mailTo(t, lia.email);
  assert.ok(linkOf(mail.text).startsWith("https://troupe.example/reset#"));
  assert.match(mail.text, /Hallo/, "in the language of who asked, where they chose none");
  await t.api("PATCH", "/users/me/preferences", { language: "en" }, { token: lia.token });
  await forgot(t, lia.email, { headers: { "accept-language": "de" } });
  await until(async () => (await t.api("GET", `/admin/outbox/${mail.id}`)).json.state === "expired", "the next mail");
  assert.match((await mailTo(t, lia.email)).text, /Hello/, "what the person chose comes first");
  assert.equal((await t.api("PATCH", "/admin/settings", { "net.public_url": null })).status, 200);
});

test("open registration with verification: no sign-in before the link, and a taken address is told only to its holder", async () => {
  const house = await start({ settings: { "accounts.registration": "open", "accounts.verify_email": "always" } });
  const register = (email, password = PASSWORD, more = {}) => post(house, "/auth/register", { email, password, display_name: "Zoe", ...more });
  const made = await register("zoe@example.com");
  assert.deepEqual([made.status, made.text, made.headers.get("set-cookie")], [202, "", null]);
  const early = await post(house, "/auth/login", { email: "zoe@example.com", password: PASSWORD });
  assert.equal(early.status, 403);
  assert.match(early.json.detail, /Confirm your address/);
  assert.equal((await post(house, "/auth/login", { email: "zoe@example.com", password: "wrong" })).status, 401, "only who knows the password hears it");
  const first = await mailTo(house, "zoe@example.com", { kind: "verify" });
  assert.ok(!first.text.includes("Zoe"), "what a stranger chose is not delivered in our name");
  const taken = await register("ZOE@example.com", OTHER);
  assert.deepEqual([taken.status, taken.text], [made.status, made.text], "the same answer");
  const told = await mailTo(house, "zoe@example.com", { kind: "exists" });
  assert.match(told.text, /account/);
  await register("zoe@example.com", OTHER);
  await noJobsWait(house);
  assert.equal((await outbox(house)).filter((mail) => mail.kind === "exists").length, 1, "told once in an hour");
  assert.equal((await post(house, "/auth/verify-email/resend", { email: "zoe@example.com" })).status, 202);
  assert.equal((await post(house, "/auth/verify-email/resend", { email: "nobody@example.com" })).status, 202);
  await until(async () => (await house.api("GET", `/admin/outbox/${first.id}`)).json.state === "expired", "a newer link");
  const link = await mailTo(house, "zoe@example.com", { kind: "verify" });
  assert.equal((await post(house, "/auth/verify-email", { token: tokenOf(first.text) })).status, 422);
  assert.equal((await post(house, "/auth/verify-email", { token: tokenOf(link.text) })).status, 204);
  assert.equal((await post(house, "/auth/verify-email", { token: tokenOf(link.text) })).status, 422, "once");
  const zoe = await house.login("zoe@example.com");
  assert.equal(zoe.user.email_verified, true);
  assert.equal((await post(house, "/auth/login", { email: "zoe@example.com", password: OTHER })).status, 401, "the first password holds");
  await post(house, "/auth/verify-email/resend", { email: "zoe@example.com" });
  await noJobsWait(house);
  assert.equal((await outbox(house)).filter((mail) => mail.kind === "verify").length, 2, "no link for who is verified");
  const invite = (await house.api("POST", "/admin/invites", { uses: 1 })).json;
  const invited = await register("yan@example.com", PASSWORD, { invite_code: invite.code });
  assert.deepEqual([invited.status, invited.json.user.email_verified], [201, false], "an invitation vouches");
  await register("uma@example.com");
  await forgot(house, "uma@example.com");
  const way = await mailTo(house, "uma@example.com", { kind: "reset" });
  assert.equal((await post(house, "/auth/reset-password", { token: tokenOf(way.text), password: OTHER })).status, 204);
  assert.equal((await house.login("uma@example.com", OTHER)).user.email_verified, true, "the mailbox is proven by either link");
  // who never verifies leaves no account behind, and takes nobody's address
  await register("will@example.com");
  house.moveClock(8 * 24 * HOUR);
  house.owner = await house.login(house.owner.email);
  await until(async () => !(await house.api("GET", "/admin/users?limit=100")).json.items.some((user) => user.email === "will@example.com"), "the account that was never confirmed to go");
  const left = (await house.api("GET", "/admin/users?limit=100")).json.items.map((user) => user.email);
  assert.ok(left.includes("zoe@example.com") && left.includes("yan@example.com"));
  assert.equal((await register("will@example.com")).status, 202, "the address is free again");
  await mailTo(house, "will@example.com", { kind: "verify" });
  await house.stop();
});

test("verification that is switched off lets in who waited, and keeps them", async () => {
  const house = await start({ settings: { "accounts.registration": "open" } });
  await house.api("PATCH", "/admin/settings", { "accounts.verify_email": "always" });
  const person = { email: "val@example.com", password: PASSWORD, display_name: "Val" };
  assert.equal((await post(house, "/auth/register", person)).status, 202);
  assert.equal((await post(house, "/auth/login", person.email && { email: person.email, password: PASSWORD })).status, 403);
  await house.api("PATCH", "/admin/settings", { "accounts.verify_email": "relay" });
  assert.equal((await post(house, "/auth/register", { ...person, email: "vic@example.com" })).status, 201, "without a relay nobody is asked to");
  assert.equal((await house.login(person.email)).user.email_verified, false);
  house.moveClock(8 * 24 * HOUR);
  house.owner = await house.login(house.owner.email);
  await until(async () => (await house.api("GET", "/admin/jobs?kind=account.sweep")).json.items.some((job) => job.state === "queued" && Date.parse(job.updated_at) > Date.now() + 7 * 24 * HOUR), "a sweep");
  assert.equal((await post(house, "/auth/login", { email: person.email, password: PASSWORD })).status, 200);
  await house.stop();
});

// --- the relay ---------------------------------------------------------------------------------------------------------------------

async function houseWith(relay, settings = {}, env = {}) {
  const house = await start({ settings: { "mail.smtp_url": relay.url, "mail.from": "stage@troupe.test", "mail.timeout_ms": 3000, ...settings }, env });
  house.relay = relay;
  house.end = async () => { await house.stop(); await relay.close(); };
  return house;
}
const testMail = async (house) => {
  const answer = await house.api("POST", "/admin/outbox/test");
  assert.equal(answer.status, 202, answer.text);
  return until(async () => {
    const mail = (await house.api("GET", `/admin/outbox/${answer.json.id}`)).json;
    return mail.state !== "queued" && mail;
  }, "the test mail to end", 20000);
};

test("mail leaves by the relay whole: envelope, header, text; what was sent is kept without its text", async () => {
  const relay = await startSmtp();
  const house = await houseWith(relay, { "mail.from_name": 'Große "Bühne" 🎭' });
  assert.equal((await house.api("GET", "/setup", undefined, { token: null })).json.sends_mail, true);
  const mia = await house.newUser({ name: "Mia" });
  const [welcome] = await until(async () => relay.mails.length === 1 && relay.mails, "the link to confirm the address");
  assert.deepEqual([welcome.from, welcome.to], ["stage@troupe.test", mia.email]);
  assert.equal(relay.sessions[0][0], "EHLO troupe.test");
  assert.deepEqual(Object.keys(welcome.headers).sort(), ["auto-submitted", "content-transfer-encoding", "content-type", "date", "from", "message-id", "mime-version", "subject", "to"]);
  assert.ok(Object.values(welcome.headers).every((values) => values.length === 1), "each header once");
  assert.equal(welcome.headers.from[0], 'Große "Bühne" 🎭 <stage@troupe.test>');
  assert.equal(welcome.headers.to[0], `<${mia.email}>`);
  assert.match(welcome.headers.date[0], /^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d \+0000$/);
  assert.match(welcome.headers["message-id"][0], /^<[0-9a-hjkmnp-tv-z]{13}@troupe\.test>$/i);
  assert.ok(welcome.raw.split("\r\n").every((line) => line.length <= 78 && /^[\t -~]*$/.test(line)), "short lines of ASCII");
  assert.equal((await post(house, "/auth/verify-email", { token: tokenOf(welcome.text.replace(/\r\n/g, "\n")) })).status, 204);
  assert.equal((await house.api("GET", "/users/me", undefined, { token: mia.token })).json.email_verified, true);
  const row = await until(async () => (await outbox(house)).find((mail) => mail.state === "sent"), "the row");
  assert.deepEqual([row.attempts, row.is_readable, row.reason], [1, false, null]);
  assert.equal((await house.api("GET", `/admin/outbox/${row.id}`)).json.text, null);
  assert.equal((await house.api("POST", `/admin/outbox/${row.id}/send`)).status, 409, "what was sent is not sent again");
  await forgot(house, mia.email, { headers: { "accept-language": "de" } });
  const german = await until(() => relay.mails[1], "the second mail");
  assert.equal(german.headers.subject[0], "Wähle ein neues Passwort");
  assert.match(german.text, /Große "Bühne" 🎭/);
  await house.end();
});

test("a relay that says later is asked later; one that says never is not asked again", async () => {
  const relay = await startSmtp({ script: [{ rcpt: "451 4.7.1 Greylisted, please try again later" }, { greeting: "421 4.3.2 Closing" }, {}] });
  const house = await houseWith(relay, { "accounts.verify_email": "off" });
  const mia = await house.newUser({ name: "Mia" });
  const rowOf = async (id) => (await house.api("GET", `/admin/outbox/${id}`)).json;
  await forgot(house, mia.email);
  const waiting = await until(async () => (await outbox(house)).find((mail) => mail.attempts === 1), "the first try");
  assert.deepEqual([waiting.state, waiting.is_readable], ["queued", true]);
  assert.match(waiting.reason, /refused the mail: 451 4\.7\.1 Greylisted/);
  assert.equal(relay.sessions.length, 1);
  house.moveClock(61 * 1000);
  await until(async () => (await rowOf(waiting.id)).attempts === 2, "the second try");
  assert.match((await rowOf(waiting.id)).reason, /refused to talk: 421/);
  assert.equal(relay.mails.length, 0);
  house.moveClock(5 * 61 * 1000);
  await until(async () => (await rowOf(waiting.id)).state === "sent", "the third try");
  assert.equal(relay.mails.length, 1);
  relay.play([{ rcpt: "550 5.1.1 No such user here" }]);
  await forgot(house, mia.email);
  const failed = await until(async () => (await outbox(house)).find((mail) => mail.state === "failed"), "the refusal");
  assert.deepEqual([failed.attempts, failed.is_readable], [1, true]);
  assert.match(failed.reason, /550 5\.1\.1 No such user/);
  const asked = relay.sessions.length;
  relay.play([{}]);
  assert.equal((await house.api("POST", `/admin/outbox/${failed.id}/send`)).status, 202);
  await until(async () => (await rowOf(failed.id)).state === "sent", "an admin's second try");
  assert.equal(relay.sessions.length, asked + 1);
  // a reset that could not be sent within its hour is of no use
  relay.play([{ mail: "452 4.3.1 Insufficient storage" }]);
  house.moveClock(HOUR);
  house.owner = await house.login(house.owner.email);
  await forgot(house, mia.email);
  const late = await until(async () => (await outbox(house)).find((mail) => mail.attempts === 1 && mail.state === "queued"), "a full relay");
  for (const [tries, minutes] of [[2, 1], [3, 5], [4, 15]]) {
    house.moveClock(minutes * 61 * 1000);
    house.owner = await house.login(house.owner.email);
    await until(async () => (await rowOf(late.id)).attempts === tries, `try ${tries}`);
  }
  assert.equal((await rowOf(late.id)).state, "failed", "the next try would come after its hour");
  assert.ok(!house.logText().includes(mia.email) && !house.logText().includes("Greylisted"), "neither address nor the relay's words are logged");
  await house.end();
});

test("every way in which a relay fails is said in words, and nothing hangs", async () => {
  const relay = await startSmtp();
  const house = await houseWith(relay);
  const cases = [
    [{ greeting: "554 5.7.1 Go away" }, /refused to talk: 554 5\.7\.1 Go away/],
    [{ ehlo: "502 5.5.1 What" }, /refused to talk/],
    [{ mail: "553 5.7.1 Not your address" }, /refused the mail: 553/],
    [{ rcpt: "550-5.1.1 The first line\n5.1.1 No such user" }, /refused the mail: 550/],
    [{ data: "452 4.3.1 Not now" }, /452/],
    [{ message: "552 5.3.4 Too big" }, /refused the mail: 552 5\.3\.4 Too big/],
    [{ message: "550 5.7.1 \x1b[31mSpam\x07" }, /550 5\.7\.1 \?\[31mSpam\?/],
    [{ drop: "greeting" }, /broke off|refused/],
    [{ drop: "rcpt" }, /broke off/],
    [{ drop: "message" }, /broke off/],
    [{ stall: "greeting" }, /did not answer in time/],
    [{ stall: "message" }, /did not answer in time/],
  ];
  for (const [step, reason] of cases) {
    relay.play([step]);
    const mail = await testMail(house);
    assert.equal(mail.state, "failed", JSON.stringify(step));
    assert.match(mail.reason, reason, JSON.stringify(step));
  }
  relay.play([{ stall: "quit" }]);
  assert.equal((await testMail(house)).state, "sent", "taken on is taken on, whatever comes after");
  relay.play([{ slow_ms: 300, ehlo: "250 fake.test\nSIZE 100000\nHELP" }]);
  assert.equal((await testMail(house)).state, "sent", "slow is not dead");
  relay.options.size = 100;
  relay.play([{}]);
  assert.match((await testMail(house)).reason, /552 5\.3\.4 Message size/);
  await relay.close();
  assert.match((await testMail(house)).reason, /no connection to the relay/);
  await house.stop();
});

test("a relay that is silent holds up neither sign-ins nor the end of the house", async () => {
  const relay = await startSmtp({ script: [{ stall: "message" }] });
  const house = await houseWith(relay, { "mail.timeout_ms": 120000, "accounts.verify_email": "off" });
  await house.api("POST", "/admin/outbox/test");
  await until(() => relay.sessions[0]?.some((line) => line === "DATA"), "the relay to be silent");
  const began = Date.now();
  await Promise.all(Array.from({ length: 8 }, () => house.login(house.owner.email)));
  assert.ok(Date.now() - began < 10000, "sign-ins go on");
  const stopping = Date.now();
  await house.stop({ keep: true });
  assert.ok(Date.now() - stopping < 8000, `the house ended in ${Date.now() - stopping} ms`);
  relay.play([{}]);
  const again = await start2(house.dir, relay);
  await until(() => relay.mails.length === 2, "the mail to be tried again by the next start", 15000);
  assert.deepEqual(relay.mails[1].headers, relay.mails[0].headers, "what had come through after all comes twice, by the same name");
  await again.stop();
  await relay.close();
});
async function start2(dir, relay) {
  const { serve } = await import("./harness.js");
  return serve({ dir, settings: { "mail.smtp_url": relay.url, "mail.from": "stage@troupe.test" } });
}

test("encryption: required beyond this machine or when asked for, verified always, and nothing is said without it", async () => {
  const ca = join(t.dir, "authority.pem");
  writeFileSync(ca, AUTHORITY);
  const sign = { "mail.smtp_user": "stage", "mail.smtp_tls": "always" };
  const env = { TROUPE_MAIL_SMTP_PASSWORD: "pass word ü" };
  const account = { user: "stage", password: "pass word ü" };

  const plain = await startSmtp(account);
  let house = await houseWith(plain, sign, env);
  let mail = await testMail(house);
  assert.match(mail.reason, /offers no encryption/);
  assert.ok(plain.sessions.flat().every((line) => /^(EHLO|QUIT|HELO|RSET)/.test(line)), "neither the password nor the mail was said");
  await house.end();

  const starttls = await startSmtp({ ...account, starttls: true });
  house = await houseWith(starttls, { ...sign, "mail.smtp_ca": ca }, env);
  mail = await testMail(house);
  assert.deepEqual([mail.state, mail.reason], ["sent", null]);
  assert.deepEqual([starttls.mails[0].isEncrypted, starttls.mails[0].user], [true, "stage"]);
  await house.end();

  const untrusted = await startSmtp({ ...account, starttls: true });
  house = await houseWith(untrusted, sign, env);
  assert.match((await testMail(house)).reason, /certificate/);
  assert.equal(untrusted.mails.length, 0);
  await house.end();

  const implicit = await startSmtp({ ...account, implicit: true });
  house = await houseWith(implicit, { ...sign, "mail.smtp_ca": ca }, env);
  assert.equal((await testMail(house)).state, "sent");
  await house.end();

  const other = await startSmtp({ ...account, implicit: true, certificate: "other" });
  house = await houseWith(other, { ...sign, "mail.smtp_ca": ca }, env);
  assert.match((await testMail(house)).reason, /certificate/);
  await house.end();

  const wrong = await startSmtp({ user: "stage", password: "another", starttls: true });
  house = await houseWith(wrong, { ...sign, "mail.smtp_ca": ca }, env);
  mail = await testMail(house);
  assert.match(mail.reason, /does not take the user or the password: 535/);
  assert.ok(!JSON.stringify(mail).includes("pass word") && !house.logText().includes("pass word"));
  const settings = (await house.api("GET", "/admin/settings")).json.items;
  assert.equal(settings.find((row) => row.name === "mail.smtp_password").value, null);
  await house.end();
});

test("settings that cannot work are said by the doctor and by the test, and cost no mail", async () => {
  const house = await start({ settings: { "mail.smtp_url": "mail.example.org:587", "accounts.verify_email": "off" } });
  const findings = (await house.api("GET", "/admin/doctor")).json;
  assert.ok(JSON.stringify(findings).includes("mail.smtp_url is not the address of a relay"));
  assert.equal((await house.api("POST", "/admin/outbox/test")).status, 409);
  const mia = await house.newUser({ name: "Mia" });
  await forgot(house, mia.email);
  const mail = await until(async () => (await outbox(house)).find((row) => row.attempts === 1), "the first try");
  assert.deepEqual([mail.state, mail.is_readable], ["queued", true], "it waits for better settings");
  await house.stop();
  assert.equal((await t.api("POST", "/admin/outbox/test")).status, 409, "without a relay there is nothing to test");
  const note = JSON.stringify((await t.api("GET", "/admin/doctor")).json);
  assert.ok(note.includes("rest in the outbox"));
});

test("one house writes so much mail in an hour and no more", async () => {
  const house = await start({ settings: { "mail.per_hour": 2, "accounts.registration": "open", "accounts.verify_email": "always" } });
  const register = (n) => post(house, "/auth/register", { email: `p${n}@example.com`, password: PASSWORD, display_name: "P" });
  assert.deepEqual([(await register(1)).status, (await register(2)).status], [202, 202]);
  const third = await register(3);
  assert.equal(third.status, 503);
  assert.ok(third.headers.get("retry-after"));
  const users = (await house.api("GET", "/admin/users?limit=100")).json.items;
  assert.equal(users.length, 3, "who got no link has no account either");
  house.moveClock(HOUR + 1000);
  assert.equal((await register(3)).status, 202);
  await house.stop();
});

test("old mail is swept, and no token is in the data folder or the log", async () => {
  const house = await start({ settings: { "mail.keep_days": 2 } });
  const mia = await house.newUser({ name: "Mia" });
  await forgot(house, mia.email);
  const mail = await mailTo(house, mia.email);
  const token = tokenOf(mail.text);
  for (const name of readdirSync(house.dir)) {
    if (!/^troupe\.db/.test(name)) continue;
    const bytes = readFileSync(join(house.dir, name));
    assert.ok(!bytes.includes(token), `${name} holds the token`);
    assert.ok(!bytes.includes("somebody asked for a new password"), `${name} holds the text`);
  }
  assert.ok(!house.logText().includes(token) && !house.logText().includes(mia.email));
  house.moveClock(2 * HOUR);
  house.owner = await house.login(house.owner.email);
  await until(async () => (await house.api("GET", `/admin/outbox/${mail.id}`)).json.state === "expired", "its text to go with its link");
  house.moveClock(49 * HOUR);
  house.owner = await house.login(house.owner.email);
  await until(async () => (await house.api("GET", `/admin/outbox/${mail.id}`)).status === 404, "the row to go");
  await house.stop({ keep: true });
  const doctor = await run(["doctor", "--data", house.dir]);
  assert.match(doctor.stdout, /note +mail/);
});
