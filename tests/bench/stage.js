// Builds the stage of a run: a house that was really set up, filled with 1,000 characters and 100,000 messages, a copy of its database
// for the yardstick, the processes on their cores, and the files of requests that the load maker sends.
import { execFileSync, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { peers } from "./peers/index.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const binary = process.env.TROUPE_BINARY ?? join(root, "build/release/troupe");
const tools = process.env.TROUPE_BENCH_TOOLS ?? join(root, "build/bench/tests/bench");
const web = join(root, "assets/web/dist/assets");
const PASSWORD = "a long enough pass phrase";
export const SERVER_CORE = 0;
export const LOAD_CORE = 1;
const CHARACTERS = 832, MESSAGES_EACH = 108, HISTORIES = 200;

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Before other people's processes, where we may: a machine is seldom quiet, and this one's neighbours are not what is measured. */
const first = process.getuid() === 0 ? ["nice", "-n", "-20"] : ["env"];

/** Waits until something listens there. */
async function reachable(port) {
  for (;;) {
    const socket = connect(port, "127.0.0.1");
    const is = await new Promise((resolve) => socket.on("connect", () => resolve(true)).on("error", () => resolve(false)));
    socket.destroy();
    if (is) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Starts a program on a core and waits for its "listening on" line; one that prints none names its port. */
export async function spawnServer(core, command, args, { env = {}, port: known } = {}) {
  const child = spawn(first[0], [...first.slice(1), "taskset", "-c", String(core), command, ...args], {
    env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = new Promise((resolve) => child.on("exit", resolve));
  let out = "", log = "";
  child.stderr.on("data", (bytes) => (log = (log + bytes).slice(-4000)));
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command} did not start:\n${out}${log}`)), 20000);
    const settle = () => (clearTimeout(timer), setTimeout(resolve, 30));
    child.stdout.on("data", (bytes) => { out += bytes; if (/listening on/.test(out)) settle(); });
    if (known) reachable(known).then(settle);
    exited.then(() => { clearTimeout(timer); reject(new Error(`${command} ended:\n${out}${log}`)); });
  });
  const port = known ?? Number(out.match(/listening on http:\/\/[^:]+:(\d+)/)?.[1]);
  return {
    child, port, pid: child.pid, url: `http://127.0.0.1:${port}`, setupLink: out.match(/(http:\/\/\S+\/setup\?code=\S+)/)?.[1],
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      await exited;
    },
  };
}

/* Without an embedder: a hundred thousand messages that nobody has read yet would be read in the background of every row. What
 * memory costs is in rows and programs of its own (memory_*). */
const settings = {
  "embedder.weights": "/none",
  "limits.requests_per_minute": 0, "limits.costly_per_minute": 0, "limits.connections_per_address": 0, "limits.turns_per_user": 1000,
  "accounts.access_token_s": 86400, "accounts.registration": "invite", "log.level": "warn", "net.grace_ms": 100,
};

export class Stage {
  constructor() {
    this.dir = mkdtempSync(join(tmpdir(), "troupe-bench-"));
    this.running = {};
    this.machine = { cpu: cpus()[0].model.trim(), cores: cpus().length, kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim() };
  }

  file(name) { return join(this.dir, name); }

  write(name, lines) {
    writeFileSync(this.file(name), `${lines.join("\n")}\n`);
    return this.file(name);
  }

  flags(own = {}) { return Object.entries({ ...settings, ...own }).map(([name, value]) => `--${name}=${value}`); }

  troupeCommand(data, port, own) { return [binary, "serve", "--data", data, "--listen", `127.0.0.1:${port}`, ...this.flags(own)]; }

  /** The server of that name, started when it does not run. */
  async server(name) {
    this.running[name] ??= await (peers[name] ? peers[name].start(this) : this[`start_${name}`]());
    return this.running[name];
  }

  async restart(name) {
    await this.running[name]?.stop();
    delete this.running[name];
    return this.server(name);
  }

  async start_troupe(data = this.file("house"), { own, core = SERVER_CORE } = {}) {
    const [command, ...args] = this.troupeCommand(data, 0, own);
    return spawnServer(core, command, args);
  }

  bareCommand(port) { return [join(tools, "bare"), String(port), this.file("bare.db"), this.file("asset")]; }

  async start_bare() {
    const [command, ...args] = this.bareCommand(await freePort());
    return spawnServer(SERVER_CORE, command, args);
  }

  /** tokens at a pace: "quick" for the time to the first token, "steady" for streams in full flow */
  async start_quick() { return spawnServer(LOAD_CORE, join(tools, "fake_model"), [String(await freePort()), "1000", "5"]); }
  async start_steady() { return spawnServer(LOAD_CORE, join(tools, "fake_model"), [String(await freePort()), "20", "300"]); }
  async start_proxy() {
    const { url } = await this.server("steady");
    return spawnServer(SERVER_CORE, join(tools, "bare_proxy"), [String(await freePort()), `${url}/v1/chat/completions`]);
  }

  /** The load maker; its one line of JSON. */
  load(mode, options, command = []) {
    const args = [mode, "--core", String(LOAD_CORE), "--server-core", String(SERVER_CORE)];
    for (const [name, value] of Object.entries(options)) if (value !== undefined) args.push(`--${name}`, String(value));
    if (command.length > 0) args.push("--", ...command);
    return new Promise((resolve, reject) => {
      const child = spawn(first[0], [...first.slice(1), join(tools, "load"), ...args], { stdio: ["ignore", "pipe", "pipe"] });
      let out = "", log = "";
      child.stdout.on("data", (bytes) => (out += bytes));
      child.stderr.on("data", (bytes) => (log += bytes));
      child.on("close", (code) => {
        if (code !== 0) return reject(new Error(log.trim() || `load ${mode}: ${code}`));
        if (/nan|inf/.test(out)) return reject(new Error(`load ${mode}: nothing was measured`));
        resolve(JSON.parse(out));
      });
    });
  }

  async api(method, path, body, token = this.token) {
    const { url } = await this.server("troupe");
    const answer = await fetch(`${url}/api/v1${path}`, {
      method, headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...(body ? { "content-type": "application/json" } : {}) },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, text, json: text.startsWith("{") ? JSON.parse(text) : null };
  }

  async must(method, path, body, token) {
    const answer = await this.api(method, path, body, token);
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${answer.text}`);
    return answer.json;
  }

  async setUp() {
    const { setupLink } = await this.server("troupe");
    const code = new URL(setupLink).searchParams.get("code");
    const owner = await this.must("POST", "/setup", { code, email: "owner@example.com", password: PASSWORD, display_name: "Olive" }, null);
    this.token = owner.access_token;
    const invite = await this.must("POST", "/admin/invites", { role: "member", uses: 1 });
    const other = await this.must("POST", "/auth/register",
      { email: "other@example.com", password: PASSWORD, display_name: "Otto", invite_code: invite.code }, null);
    this.otherToken = other.access_token;
  }

  fill() {
    const ids = execFileSync(join(tools, "seed"), [this.file("house/troupe.db"), CHARACTERS, MESSAGES_EACH, HISTORIES].map(String), { encoding: "utf8" });
    this.ids = { character: [], conversation: [], history: [] };
    for (const text of ids.trim().split("\n")) {
      const [kind, id] = text.split(" ");
      this.ids[kind].push(id);
    }
    copyFileSync(this.file("house/troupe.db"), this.file("bare.db"));
  }

  /** The embedded file whose size is nearest to 11 KB, as it is, without a coding. */
  pickAsset() {
    const files = readdirSync(web).map((name) => ({ name, path: join(web, name), size: statSync(join(web, name)).size }));
    this.asset = files.sort((a, b) => Math.abs(a.size - 11264) - Math.abs(b.size - 11264))[0];
    copyFileSync(this.asset.path, this.file("asset"));
  }

  /** A route per fake model; a conversation names the route it wants. */
  async addModel(name) {
    const { url } = await this.server(name);
    const model = await this.must("POST", "/admin/models", { name, provider: "openai", base_url: `${url}/v1`, model: "bench", context_tokens: 16384 });
    const { routes } = await this.must("GET", "/admin/routes");
    routes.push({ name, model_ids: [model.id] });
    await this.must("PUT", "/admin/routes", { routes: routes.filter((route) => route.model_ids.length > 0) });
  }

  /** Once: the conversations of a row speak through that route. */
  async useRoute(name, conversations) {
    if (this[`has_${name}`]) return;
    this[`has_${name}`] = true;
    await this.addModel(name);
    for (const id of conversations) await this.must("PATCH", `/conversations/${id}`, { settings: { route: name } });
  }

  /** A token is asked for, and another person's conversation is not there. */
  async checkRights() {
    const path = `/conversations/${this.ids.conversation[0]}/messages`;
    const expected = [[this.token, 200], [this.otherToken, 404], [null, 401]];
    for (const [token, status] of expected) {
      const answer = await this.api("GET", path, undefined, token);
      if (answer.status !== status) throw new Error(`rights are not checked: ${answer.status} instead of ${status}`);
    }
  }

  /** Both give the same JSON for the same row, or the comparison would mean nothing. */
  async checkSame(path) {
    const bare = await this.server("bare"), ours = await this.must("GET", path);
    const theirs = await (await fetch(`${bare.url}/api/v1${path}`)).json();
    if (JSON.stringify(ours) !== JSON.stringify(theirs))
      throw new Error(`bare and Troupe differ at ${path}:\n${JSON.stringify(theirs).slice(0, 1500)}\n${JSON.stringify(ours).slice(0, 1500)}`);
  }

  /** Processor time of a process so far, in microseconds (the kernel counts in hundredths of a second). */
  cpuOf(pid) {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
  }

  /** Waits until Troupe has done what it does behind its answers (words, learning), and gives the processor time of that, in microseconds. */
  async atRest() {
    const { pid } = await this.server("troupe"), began = this.cpuOf(pid), deadline = Date.now() + 180_000;
    for (let quiet = 0, last = began; quiet < 8;) { // learning waits for a second of quiet itself
      if (Date.now() > deadline) throw new Error("Troupe did not come to rest within three minutes");
      await new Promise((resolve) => setTimeout(resolve, 200));
      const now = this.cpuOf(pid);
      quiet = now - last <= 10_000 ? quiet + 1 : 0;
      last = now;
    }
    return this.cpuOf(pid) - began;
  }

  /** What the kernel says of a process: all its pages, and those that are only its own. */
  memoryOf(pid) {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
    const mb = (name) => Number(rollup.match(new RegExp(`^${name}:\\s+(\\d+)`, "m"))[1]) / 1024;
    return { errors: 0, rss_mb: mb("Rss"), anonymous_mb: mb("Anonymous") };
  }

  /** A house of its own that has just been set up, and its process; with settings of its `own`, on another `core`. */
  async freshHouse(name, options) {
    const server = await this.start_troupe(this.file(name), options);
    const code = new URL(server.setupLink).searchParams.get("code");
    const answer = await fetch(`${server.url}/api/v1/setup`, {
      method: "POST", headers: { "content-type": "application/json" },
      body: JSON.stringify({ code, email: "owner@example.com", password: PASSWORD, display_name: "Olive" }),
    });
    if (answer.status !== 201) throw new Error(`set-up answered ${answer.status}`);
    server.token = (await answer.json()).access_token;
    return server;
  }

  async close() {
    for (const server of Object.values(this.running)) await server.stop().catch(() => {});
    rmSync(this.dir, { recursive: true, force: true });
  }
}

export async function openStage() {
  for (const path of [binary, join(tools, "bare")]) if (!existsSync(path)) throw new Error(`${path} is not there: ./dev bench builds it`);
  const stage = new Stage();
  try {
    stage.pickAsset();
    await stage.setUp();
    await stage.running.troupe.stop();
    delete stage.running.troupe;
    stage.fill();
  } catch (error) {
    await stage.close();
    throw error;
  }
  return stage;
}
