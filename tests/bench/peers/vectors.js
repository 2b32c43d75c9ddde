// Other people's vector stores: sqlite-vec (a library that SQLite loads; every vector of a partition is read) and hnswlib (a graph, from
// the header that comes with hnswlib-node, compiled with the rest of the bench). Both in memory, both with floats, both from a program of
// this folder (peer_vectors.h) that is no server.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERVER_CORE } from "../stage.js";

const tools = process.env.TROUPE_BENCH_TOOLS ?? fileURLToPath(new URL("../../../build/bench/tests/bench", import.meta.url));
const vec0 = fileURLToPath(new URL(`node_modules/sqlite-vec-${process.platform}-${process.arch}/vec0.so`, import.meta.url));

/** Asks a peer for what our store was asked: {p50_ms, recall, built_s}. `space` is {first, each}, or nothing for all vectors. */
function ask(program, dump, count, space) {
  const args = ["-c", String(SERVER_CORE), join(tools, program), dump, String(count), ...(space ? [String(space.first), String(space.each)] : [])];
  return new Promise((resolve, reject) => {
    const child = spawn("taskset", args, { env: { ...process.env, TROUPE_BENCH_VEC0: vec0 }, stdio: ["ignore", "pipe", "pipe"] });
    let out = "", log = "";
    child.stdout.on("data", (bytes) => (out += bytes));
    child.stderr.on("data", (bytes) => (log += bytes));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve({ errors: 0, ...JSON.parse(out) }) : reject(new Error(log.trim() || `${program}: ${code}`))));
  });
}

export const sqlite_vec = {
  name: "sqlite-vec",
  missing: () => (existsSync(vec0) ? null : "npm ci in tests/bench/peers has not been run, or it has none for this machine"),
  ask: (...what) => ask("peer_sqlite_vec", ...what),
};

export const hnswlib = {
  missing: () => (existsSync(join(tools, "peer_hnsw")) ? null : "its header (npm ci in tests/bench/peers) or a C++ compiler was not there when the bench was built"),
  ask: (...what) => ask("peer_hnsw", ...what),
};
