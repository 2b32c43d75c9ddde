// Rows of memory: what the built-in embedder and the vector store cost, each in a process of its own, on the server's core, without HTTP
// around it (memory_embed.c and memory_vector.c say what exactly is timed). The yardstick of the embedder is the same network in f32
// (bare_encoder.c); of a scan it is a plain loop that reads as many bytes, as a share of its speed. Where they are installed, sqlite-vec and
// hnswlib are asked the same questions of the same vectors (peers/vectors.js).
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { peers } from "./peers/index.js";
import { SERVER_CORE } from "./stage.js";

const tools = process.env.TROUPE_BENCH_TOOLS ?? fileURLToPath(new URL("../../build/bench/tests/bench", import.meta.url));
const EMBED_ROUNDS = 15;
const SPACES = 50, EACH = 2000, ASKED_SPACE = { first: (SPACES / 2) * EACH, each: EACH }; // as memory_vector.c has them

/** Runs a program of this folder; every line that it prints is JSON. */
function run(name, args) {
  const path = join(tools, name);
  if (!existsSync(path)) throw new Error(`${path} is not there: the embedder's weights were not installed when it was built`);
  return new Promise((resolve, reject) => {
    const child = spawn("taskset", ["-c", String(SERVER_CORE), path, ...args.map(String)], { stdio: ["ignore", "pipe", "pipe"] });
    let out = "", log = "";
    child.stdout.on("data", (bytes) => (out += bytes));
    child.stderr.on("data", (bytes) => (log += bytes));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(out.trim().split("\n").map((line) => JSON.parse(line))) : reject(new Error(log.trim() || `${name}: ${code}`))));
  });
}

async function embed() {
  const weights = join(tools, "../../generated/embedder.weights");
  const [{ question, woken_ms, resident_mb }] = await run("memory_embed", [weights, EMBED_ROUNDS]);
  return { errors: 0, ms: question.ms, bare_ms: question.bare_ms, woken_ms, awake_mb: resident_mb.awake, rested_mb: resident_mb.rested };
}

/** One measurement of the vector store, by its name there; the processor's time, and which share of the truly best ten was found. */
async function vectors(args, ...works) {
  const lines = await run("memory_vector", args), result = { errors: 0 };
  for (const work of works) {
    const { p50_ms, cpu_ms, recall, bandwidth_share } = lines.find((line) => line.work === work);
    Object.assign(result, { [`${work}: p50`]: p50_ms, [`${work}: cpu`]: cpu_ms, [`${work}: recall`]: recall, [`${work}: share`]: bandwidth_share ?? 0 });
  }
  return result;
}

const less = (label, ours, unit, goal, theirs) => ({ label, theirs, ours, unit, value: ours, goal, better: "less" });
/** How many times as fast as a peer's median ours is; nothing where the peer is not here. */
function timesAsFast(figures, peer, ours_ms, goal) {
  if (figures[peer] === undefined) return [];
  const { p50_ms, recall } = figures[peer], name = peers[peer].name ?? peer;
  return [{ label: `times as fast as ${name}`, theirs: p50_ms, ours: ours_ms, unit: "ms", value: p50_ms / ours_ms, goal, better: "more", isRatio: true },
    { label: `of the best ten found, by ${name}`, ours: recall * 100, unit: "%" }];
}

const dumpOf = (stage, name) => stage.file(`${name}.dump`);
const share = (label, ours, goal) => ({ label, ours: ours * 100, unit: "%", value: ours * 100, goal: goal * 100, better: "more" });

/** A search over one large space: `usual` is what the server does, the other reads every vector. */
const large = (count, recall, { ms, times } = {}) => ({
  name: `memory-${count}`, work: `best ten of ${count.toLocaleString("en")} x 384`, rounds: 1,
  parties: (stage) => ({ troupe: () => vectors(["--count", count, ...(times ? ["--dump", dumpOf(stage, count)] : [])], "as usual", "every vector") }),
  peers: times && { sqlite_vec: (stage) => peers.sqlite_vec.ask(dumpOf(stage, count), count) },
  checks: ({ troupe, ...others }) => [
    ...timesAsFast(others, "sqlite_vec", troupe["as usual: p50"], times),
    less("p50", troupe["as usual: p50"], "ms", ms), { label: "CPU", ours: troupe["as usual: cpu"], unit: "ms" },
    share("of the best ten found", troupe["as usual: recall"], recall),
    { label: "every vector, CPU", ours: troupe["every vector: cpu"], unit: "ms" },
    share("of the plain loop's speed", troupe["every vector: share"], 0.75),
  ],
});

export const rows = [
  {
    name: "memory-embed", work: "embed 17 tokens, one core", rounds: 1, parties: () => ({ troupe: embed }),
    checks: ({ troupe }) => [
      less("CPU", troupe.ms, "ms", 6, troupe.bare_ms), { label: "the first after a rest", ours: troupe.woken_ms, unit: "ms" },
      less("resident awake", troupe.awake_mb, "MB", 60), { label: "resident at rest", ours: troupe.rested_mb, unit: "MB" },
    ],
  },
  {
    name: "memory-one", work: "one talk, 2,000 of 100,000", rounds: 1,
    parties: (stage) => ({ troupe: () => vectors(["--spaces", SPACES, "--dump", dumpOf(stage, "one")], "one space of many") }),
    peers: Object.fromEntries(["sqlite_vec", "hnswlib"].map((name) => [name, (stage) => peers[name].ask(dumpOf(stage, "one"), SPACES * EACH, ASKED_SPACE)])),
    checks: ({ troupe, ...others }) => [
      ...timesAsFast(others, "sqlite_vec", troupe["one space of many: p50"], 12), ...timesAsFast(others, "hnswlib", troupe["one space of many: p50"], 25),
      less("p50", troupe["one space of many: p50"], "ms", 0.15), share("of the best ten found", troupe["one space of many: recall"], 0.99),
    ],
  },
  large(100000, 0.995, { times: 15 }),
  large(1000000, 0.99, { ms: 10 }),
];
