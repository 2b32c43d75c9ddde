// Starts the real binary with a fresh data folder on a free port and speaks HTTP with it, as an outsider would.
//
//   const t = await start();            set up, with an owner who is signed in
//   const answer = await t.api("GET", "/characters");
//   await t.stop();
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const binary = process.env.TROUPE_BINARY ?? fileURLToPath(new URL("../../build/release/troupe", import.meta.url));
export const PASSWORD = "a long enough pass phrase";

// A test that fails leaves its server behind: nothing that this file started may outlive it.
const children = new Set();
const reports = [];
// It is asked to stop first: this runs before the files' own after(), and only a process that ends by itself lets the sanitizers look for leaks.
const PATIENCE_MS = 10000;
async function endAll() {
  const ends = [...children].map((child) => new Promise((resolve) => { child.once("close", resolve); child.kill("SIGTERM"); }));
  let timer;
  await Promise.race([Promise.all(ends), new Promise((resolve) => { timer = setTimeout(resolve, PATIENCE_MS); })]);
  clearTimeout(timer);
  children.forEach((child) => child.kill("SIGKILL"));
  if (reports.length) throw new Error(`a sanitizer spoke:\n${reports.join("\n")}`);
}
// Programs that are no tests (bench/memory, screenshots) end their servers themselves; node:test would print its counts below what they print.
if (process.env.NODE_TEST_CONTEXT || process.argv[1]?.endsWith(".test.js")) (await import("node:test")).after(endAll);

// What the sanitizers print when they find something: a process that did is a failed test, whatever it answered.
const SANITIZER = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:/;

function sanitized(stderr) {
  const at = stderr.search(SANITIZER);
  if (at < 0) return null;
  const report = stderr.slice(at, at + 8000);
  if (!reports.includes(report)) reports.push(report);
  return new Error(report);
}

/** Runs a command of the binary to its end. */
export function run(args, { input = "", env = {} } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(binary, args, { env: { ...process.env, ...env } });
    let stdout = "", stderr = "";
    child.stdout.on("data", (bytes) => (stdout += bytes));
    child.stderr.on("data", (bytes) => (stderr += bytes));
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.on("close", (code, signal) => {
      const error = sanitized(stderr);
      if (error) reject(error);
      else resolve({ code, signal, stdout, stderr });
    });
  });
}

// fetch() keeps connections for the whole process, and knows no way to let go of them but a dispatcher of one's own, whose class Node does not export.
await fetch("data:,");
const Agent = globalThis[Symbol.for("undici.globalDispatcher.1")].constructor;
const newConnections = () => new Agent();

/** A server process. `dir` may be one that an earlier process left behind. */
export async function serve({ dir = mkdtempSync(join(tmpdir(), "troupe-test-")), settings = {}, env = {}, port = 0, config } = {}) {
  const clockFile = join(dir, "test-clock");
  if (!env.TROUPE_TEST_CLOCK) writeFileSync(clockFile, Buffer.alloc(8), { flag: "a" });
  const clock = env.TROUPE_TEST_CLOCK ? 0 : Number(readFileSync(clockFile).readBigInt64LE(0)); // as far as an earlier process of this folder had it
  const flags = Object.entries({ "limits.requests_per_minute": 0, "limits.costly_per_minute": 0, "limits.bad_tokens_per_minute": 0,
    "memory.recall_ms": 5000, ...settings }) // a machine that is busy elsewhere must not change what stands in a prompt
    .map(([name, value]) => `--${name}=${value}`);
  const child = spawn(binary, ["serve", ...(config ? ["--config", config] : []), "--data", dir, "--listen", `127.0.0.1:${port}`, ...flags], {
    env: { ...process.env, TROUPE_TEST_CLOCK: clockFile, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  child.on("exit", () => children.delete(child));
  const log = [];
  child.stderr.on("data", (bytes) => log.push(bytes.toString()));
  const exited = new Promise((resolve) => {
    child.on("close", (code, signal) => { // not "exit": what it said last is to be heard
      sanitized(log.join(""));
      resolve({ code, signal });
    });
    child.on("error", (error) => resolve({ code: -1, signal: error.message }));
  });
  const started = Date.now();
  const { url, setupLink } = await new Promise((resolve, reject) => {
    let out = "", found = null;
    const timer = setTimeout(() => reject(new Error(`no "listening" line in 60 s:\n${out}\n${log.join("")}`)), 60000);
    child.stdout.on("data", (bytes) => {
      out += bytes;
      const url = out.match(/listening on (http:\/\/\S+)\n/)?.[1];
      const setupLink = out.match(/(http:\/\/\S+\/setup\?code=\S+)\n/)?.[1];
      if (url && !found) {
        found = true;
        clearTimeout(timer);
        // the set-up link is printed in the same breath, or not at all
        setTimeout(() => resolve({ url, setupLink: out.match(/(http:\/\/\S+\/setup\?code=\S+)/)?.[1] ?? setupLink }), 20);
      }
    });
    exited.then(({ code, signal }) => { clearTimeout(timer); reject(new Error(`the server ended (${code ?? signal}):\n${log.join("")}`)); });
  });

  let dispatcher = newConnections();
  const server = {
    url, dir, child, setupLink, log, exited, clock, ready_ms: Date.now() - started,
    logText: () => log.join(""),
    /** Moves the server's clock forward; after a kill, for the process that comes next. */
    moveClock(ms) {
      server.clock += ms;
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(server.clock));
      const fd = openSync(clockFile, "r+");
      writeSync(fd, bytes, 0, 8, 0);
      closeSync(fd);
      // Connections that were kept alive are now idle for too long: the server closes them, and the next request would meet one that is closing.
      dispatcher?.close();
      dispatcher = newConnections();
    },
    async api(method, path, body, { token = server.owner?.token, headers = {}, raw = false } = {}) {
      const full = path.startsWith("/api") || path.startsWith("/v1") || path.startsWith("/.well-known") ||
        /^\/(healthz|readyz|metrics|ws)/.test(path) ? path : `/api/v1${path}`;
      const isBytes = body instanceof Uint8Array || body instanceof FormData || typeof body === "string";
      const answer = await fetch(url + full, {
        method, dispatcher, redirect: "manual",
        headers: {
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(body !== undefined && !isBytes ? { "content-type": "application/json" } : {}), ...headers,
        },
        body: body === undefined ? undefined : isBytes ? body : JSON.stringify(body),
      });
      if (raw) return answer;
      const bytes = Buffer.from(await answer.arrayBuffer());
      const text = bytes.toString("utf8");
      let json;
      if (/json/.test(answer.headers.get("content-type") ?? "")) json = JSON.parse(text);
      return { status: answer.status, headers: answer.headers, text, bytes, json };
    },
    async setUp({ email = "owner@example.com", display_name = "Olive" } = {}) {
      const code = new URL(setupLink).searchParams.get("code");
      const answer = await server.api("POST", "/setup", { code, email, password: PASSWORD, display_name }, { token: null });
      if (answer.status !== 201) throw new Error(`set-up answered ${answer.status}: ${answer.text}`);
      server.owner = { token: answer.json.access_token, user: answer.json.user, email, cookie: cookieOf(answer) };
      return server.owner;
    },
    async login(email, password = PASSWORD) {
      const answer = await server.api("POST", "/auth/login", { email, password }, { token: null });
      if (answer.status !== 200) throw new Error(`login answered ${answer.status}: ${answer.text}`);
      return { token: answer.json.access_token, user: answer.json.user, email, cookie: cookieOf(answer) };
    },
    /** Another person, by invite. */
    async newUser({ role = "member", name = "Mia", email = `${name.toLowerCase()}-${Math.random().toString(36).slice(2)}@example.com` } = {}) {
      const invite = await server.api("POST", "/admin/invites", { role, uses: 1 });
      if (invite.status !== 201) throw new Error(`invite answered ${invite.status}: ${invite.text}`);
      const answer = await server.api("POST", "/auth/register",
        { email, password: PASSWORD, display_name: name, invite_code: invite.json.code }, { token: null });
      if (answer.status !== 201) throw new Error(`register answered ${answer.status}: ${answer.text}`);
      return { token: answer.json.access_token, user: answer.json.user, email, cookie: cookieOf(answer) };
    },
    async kill(signal = "SIGKILL") {
      child.kill(signal);
      return exited;
    },
    /** A graceful stop; keeps the folder when asked. */
    async stop({ keep = false } = {}) {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const end = await exited;
      const error = sanitized(log.join(""));
      if (error) throw error;
      if (!keep) rmSync(dir, { recursive: true, force: true });
      return end;
    },
  };
  return server;
}

export function cookieOf(answer) {
  return (answer.headers.getSetCookie?.() ?? []).map((line) => line.split(";")[0]).join("; ");
}

/** A server with an owner, ready for use. Most tests start here. */
export async function start(options = {}) {
  const server = await serve({ ...options, settings: { "accounts.registration": "invite", "understudy.tokens_per_second": 0, ...(options.settings ?? {}) } });
  await server.setUp();
  return server;
}

/** Waits until `check` gives something true; fails with `what` after `timeout_ms`, which is long: what is promised without a time takes its time on a busy machine. */
export async function until(check, what, timeout_ms = 60000) {
  const end = Date.now() + timeout_ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`not within ${timeout_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Tries a wrong password until the wait that this costs is longer than any machine is slow: it doubles with each try, beginning with a second. */
export async function lockedOut(server, fail) {
  for (let tries = 0; tries < 30; tries++) {
    const answer = await fail();
    if (answer.status !== 429) continue;
    const wait_s = Number(answer.headers.get("retry-after"));
    if (!(wait_s >= 1 && wait_s <= 60)) throw new Error(`wait ${wait_s} s`);
    if (wait_s > 25) return;
    server.moveClock(wait_s * 1000);
  }
  throw new Error("nobody was made to wait");
}

/** Reads the events of an SSE answer (from api(..., {raw: true})) one by one: {id, event, data}. */
export async function* events(answer) {
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of answer.body) {
    text += decoder.decode(bytes, { stream: true });
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      const event = { id: null, event: "message", data: "" };
      for (const line of text.slice(0, end).split("\n")) {
        const at = line.indexOf(":");
        if (at <= 0) continue;
        const name = line.slice(0, at), value = line.slice(at + 1).replace(/^ /, "");
        if (name === "data") event.data += value;
        else event[name] = value;
      }
      if (event.data) yield { ...event, data: JSON.parse(event.data) };
    }
  }
}
