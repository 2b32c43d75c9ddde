// Running it: health, metrics, logs, settings, doctor, stop and start (FIRST-1, FIRST-4, FIRST-5, OPS-3, OPS-5, OPS-6).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { binary, run, serve, start, until } from "./harness.js";

let t;
before(async () => { t = await start(); });
after(() => t.stop());

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = () => mkdtempSync(join(tmpdir(), "troupe-ops-"));

test("the first start makes everything it needs and says what to open", async () => {
  const fresh = await serve();
  assert.match(fresh.setupLink, /^http:\/\/127\.0\.0\.1:\d+\/setup\?code=[\w-]{20,}$/);
  assert.equal(statSync(join(fresh.dir, "key")).mode & 0o777, 0o600);
  assert.equal(statSync(join(fresh.dir, "key")).size, 32);
  assert.equal(statSync(join(fresh.dir, "troupe.db")).mode & 0o077, 0);
  const page = await fetch(`${fresh.url}/setup`, { headers: { accept: "text/html" } });
  assert.equal(page.status, 200);
  assert.match(await page.text(), /<html/i);
  await fresh.stop();
});

test("health, readiness, metrics", async () => {
  assert.deepEqual((await t.api("GET", "/healthz", undefined, { token: null })).json, { status: "ok" });
  assert.equal((await t.api("GET", "/readyz", undefined, { token: null })).json.status, "ready");
  const metrics = await t.api("GET", "/metrics", undefined, { token: null });
  assert.equal(metrics.status, 200);
  for (const name of ["troupe_turns_running", "troupe_sql_statements", "troupe_first_token_seconds_bucket"]) assert.match(metrics.text, new RegExp(`^${name}`, "m"));
  for (const line of metrics.text.trim().split("\n")) assert.match(line, /^(# (HELP|TYPE) \w+ .+|[a-z_]+(\{[^}]*\})? [-+.eE0-9]+|[a-z_]+(\{[^}]*\})? \+Inf)$/, line);
  const proxied = await t.api("GET", "/metrics", undefined, { token: null, headers: { "x-forwarded-for": "203.0.113.7" } });
  assert.equal(proxied.status, 403, "what comes through a proxy is not from this machine");
});

test("what has a revision has one ETag; HEAD and GET are spared what is known", async () => {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening.",
    character_book: { entries: [{ keys: ["gear"], content: "Gears.", enabled: true, insertion_order: 1 }] } })).json;
  const talk = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const { message } = (await t.api("POST", `/conversations/${talk.id}/messages`, { content: "Good evening.", reply: false })).json;
  const persona = (await t.api("POST", "/users/me/personas", { name: "One" })).json;
  const book = `/lorebooks/${character.lorebook_id}`, entry = (await t.api("GET", `${book}/entries`)).json.items[0];
  for (const path of ["/users/me", `/users/me/personas/${persona.id}`, `/characters/${character.id}`, `/conversations/${talk.id}`,
    `/conversations/${talk.id}/messages/${message.id}`, book, `${book}/entries/${entry.id}`]) {
    const got = await t.api("GET", path), etag = got.headers.get("etag");
    assert.equal(got.status, 200, path);
    assert.match(etag, /^"[^",]+"$/, `${path}: one, where several would be joined by a comma`);
    for (const method of ["GET", "HEAD"]) {
      const anew = await t.api(method, path, undefined, { raw: true });
      assert.deepEqual([anew.status, anew.headers.get("etag"), (await anew.text()) === ""], [200, etag, method === "HEAD"], `${method} ${path}`);
      const again = await t.api(method, path, undefined, { raw: true, headers: { "if-none-match": etag } });
      assert.deepEqual([again.status, again.headers.get("etag"), await again.text()], [304, etag, ""], `${method} ${path}`);
    }
  }
  const changed = await t.api("PATCH", "/users/me", { display_name: "Olive" }, { headers: { "if-none-match": "*" } });
  assert.equal(changed.status, 200, "a change is not answered as a read");
  assert.match(changed.headers.get("etag"), /^"[^",]+"$/);
});

test("every log line is JSON with a time, a level and a component; a request's lines carry its id", async () => {
  const answer = await t.api("POST", "/auth/login", { email: "x@example.com", password: "wrong" }, { token: null });
  const id = answer.headers.get("x-request-id");
  assert.ok(id);
  const lines = await until(() => t.logText().includes("sign-in was refused") && t.logText().trim().split("\n").map((line) => JSON.parse(line)), "the log line");
  for (const line of lines) assert.ok(line.at && line.level && line.component && line.message, JSON.stringify(line));
  const problem = await t.api("GET", "/nowhere/at/all");
  assert.equal(problem.status, 404);
  assert.equal(problem.json.request_id, problem.headers.get("x-request-id"));
});

test("settings: flag over environment over file over default; what is wrong is named", async () => {
  const dir = folder(), file = join(dir, "troupe.ini");
  writeFileSync(file, "[accounts]\nregistration = closed\n[understudy]\ntokens_per_second = 7\n");
  const state = async (server) => { const answer = await server.api("GET", "/setup", undefined, { token: null }); await server.stop(); return answer.json.registration; };
  const serveWith = (args, env) => new Promise((resolve, reject) => {
    const child = spawn(binary, ["serve", "--data", join(dir, `d${Math.random()}`), "--listen", "127.0.0.1:0", "--config", file, ...args], { env: { ...process.env, ...env } });
    let out = "";
    child.stdout.on("data", async (bytes) => {
      out += bytes;
      const url = out.match(/listening on (\S+)/)?.[1];
      if (!url) return;
      const answer = await (await fetch(`${url}/api/v1/setup`)).json();
      child.kill("SIGTERM");
      child.on("exit", () => resolve(answer.registration));
    });
    child.on("error", reject);
  });
  assert.equal(await serveWith([], {}), "closed");
  assert.equal(await serveWith([], { TROUPE_ACCOUNTS_REGISTRATION: "open" }), "open");
  assert.equal(await serveWith(["--accounts.registration=invite"], { TROUPE_ACCOUNTS_REGISTRATION: "open" }), "invite");
  writeFileSync(file, "[accounts]\nregistratoin = closed\n[limits]\nrequests_per_minute = many\n");
  const check = await run(["config", "check", "--config", file]);
  assert.equal(check.code, 1);
  assert.match(check.stderr, /registratoin/);
  assert.match(check.stderr, /requests_per_minute/);
  assert.equal((await run(["config", "check", "--config", join(dir, "none.ini")])).code, 1);
  assert.equal((await run(["config", "check", "--accounts.registration=open"])).code, 0);
  rmSync(dir, { recursive: true });
});

test("config.example.ini is what the rows say", async () => {
  const example = await run(["config", "example"]);
  assert.equal(example.code, 0);
  assert.equal(readFileSync(join(root, "config.example.ini"), "utf8"), example.stdout, "stale: write it anew with `troupe config example`");
});

test("wrong use of the command line is exit code 2 and says how", async () => {
  for (const args of [[], ["dance"], ["serve", "--frobnicate"], ["user"], ["config"]]) {
    const answer = await run(args);
    assert.equal(answer.code, 2, args.join(" "));
    assert.match(answer.stderr, /troupe serve/);
  }
  const version = await run(["version"]);
  assert.match(version.stdout, /troupe \d[\s\S]*schema \d[\s\S]*sqlite 3/);
});

test("doctor: fine beside a running server, and in plain words when something is wrong", async () => {
  const port = new URL(t.url).port;
  const fine = await run(["doctor", "--data", t.dir, "--listen", `127.0.0.1:${port}`]);
  assert.equal(fine.code, 0, fine.stdout);
  for (const word of ["settings", "clock", "data", "key", "disk", "port", "database", "owner", "model", "backups"]) assert.match(fine.stdout, new RegExp(`^(ok|note) +${word}`, "m"));
  const dead = await t.api("POST", "/admin/models", { name: "Dead end", provider: "openai", base_url: "http://127.0.0.1:9/v1", model: "none" });
  assert.equal(dead.status, 201, dead.text);
  chmodSync(join(t.dir, "key"), 0o644);
  const sick = await run(["doctor", "--data", t.dir, "--listen", `127.0.0.1:${port}`]);
  chmodSync(join(t.dir, "key"), 0o600);
  assert.equal(sick.code, 1);
  assert.match(sick.stdout, /^FAIL +key/m);
  const model = await run(["doctor", "--data", t.dir, "--listen", `127.0.0.1:${port}`]);
  assert.equal(model.code, 1);
  assert.match(model.stdout, /^FAIL +model +Dead end/m);
  await t.api("DELETE", `/admin/models/${dead.json.id}`);
  const nowhere = await run(["doctor", "--data", join(t.dir, "not-there"), "--listen", "127.0.0.1:0"]);
  assert.equal(nowhere.code, 0, nowhere.stdout);
});

test("a second server on the same folder refuses; a taken port is named", async () => {
  const second = await run(["serve", "--data", t.dir, "--listen", "127.0.0.1:0"]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /another server/);
  const other = folder();
  const taken = await run(["serve", "--data", other, "--listen", t.url.slice(7)]);
  assert.equal(taken.code, 1);
  assert.match(taken.stderr, /127\.0\.0\.1/);
  rmSync(other, { recursive: true });
});

test("a process that may open too few files to take anybody in says so and does not start; one that may open just enough serves", async () => {
  const dir = folder(), limited = join(dir, "limited");
  for (const [files, code] of [[79, 1], [80, 0]]) {
    writeFileSync(limited, `#!/bin/sh\nulimit -n ${files}\nexec "$@"\n`, { mode: 0o700 });
    const child = spawn(limited, [binary, "serve", "--data", join(dir, "data"), "--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "", log = "";
    child.stderr.on("data", (bytes) => (log += bytes));
    child.stdout.on("data", async (bytes) => {
      out += bytes;
      const url = out.match(/listening on (\S+)\n/)?.[1];
      if (!url) return;
      log += (await fetch(`${url}/healthz`)).status;
      child.kill("SIGTERM");
    });
    assert.equal(await new Promise((resolve) => child.on("close", resolve)), code, log);
    assert.match(log, code ? /too few descriptors.*"limit":79,"needed":80/ : /200/);
  }
  rmSync(dir, { recursive: true });
});

test("systemd is told: READY when it serves, STOPPING when it ends", async () => {
  const dir = folder(), path = join(dir, "notify");
  const received = [];
  // Node has no Unix datagram sockets: a small helper reads them.
  const reader = spawn("python3", ["-uc", `import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(${JSON.stringify(path)})\nprint("bound")\nwhile True: print(s.recv(4096).decode())`]);
  reader.stdout.on("data", (bytes) => received.push(...bytes.toString().trim().split("\n")));
  await until(() => received.includes("bound"), "the socket");
  const server = await serve({ env: { NOTIFY_SOCKET: path } });
  await until(() => received.includes("READY=1"), "READY=1");
  server.child.kill("SIGHUP");
  await until(() => received.includes("RELOADING=1"), "RELOADING=1");
  await server.stop();
  await until(() => received.includes("STOPPING=1"), "STOPPING=1");
  reader.kill();
  rmSync(dir, { recursive: true });
});

test("durable before acknowledged: fdatasync comes before the answer leaves", { skip: spawnSync("strace", ["-V"]).status !== 0 || /asan/.test(binary) }, async () => {
  const dir = folder(), trace = join(dir, "trace");
  const server = await start();
  const character = (await server.api("POST", "/characters", { name: "Ada" })).json;
  const conversation = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const tracer = spawn("strace", ["-f", "-tt", "-s", "4000", "-e", "trace=fdatasync,fsync,writev,write,sendmsg,sendto", "-o", trace, "-p", String(server.child.pid)]);
  await until(() => { try { return readFileSync(trace).length >= 0; } catch { return false; } }, "the trace");
  await new Promise((resolve) => tracer.stderr.once("data", resolve));
  const marker = "a sentence that is looked for in the trace";
  await server.api("POST", `/conversations/${conversation.id}/messages`, { content: marker, reply: false });
  tracer.kill("SIGINT");
  await new Promise((resolve) => tracer.on("exit", resolve));
  const lines = readFileSync(trace, "utf8").split("\n");
  const answered = lines.findIndex((line) => /(writev|write|sendmsg|sendto)\(/.test(line) && line.includes(marker) && line.includes("HTTP/1.1 201"));
  assert.ok(answered > 0, "the answer is in the trace");
  const synced = lines.findIndex((line) => /f(data)?sync\(/.test(line));
  assert.ok(synced >= 0 && synced < answered, "and a sync stands before it");
  await server.stop();
  rmSync(dir, { recursive: true });
});
