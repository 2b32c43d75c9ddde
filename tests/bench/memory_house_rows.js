// Rows of memory as a person meets it: a house with its embedder, asked and told through the API. What embedder and store cost by
// themselves is in memory_rows.js.
//
//   memory-question   a long talk, all of its vectors there, and questions one after the other. What the server says of itself tells the
//                     embedding of a question and the walk over the vectors apart
//   memory-turn       turns with a model that answers at once, in two houses that differ in the embedder only: the processor's time of a
//                     turn with everything that comes after it in the background, and when the first token comes
import { readFileSync } from "node:fs";
import { OURS, turnLine } from "./rows.js";
import { LOAD_CORE, SERVER_CORE } from "./stage.js";

const TURNS = 10000, QUESTIONS = 200, ROUNDS_OF_TURNS = 40, TALKS = 8;
const BOTH_CORES = `${SERVER_CORE},${LOAD_CORE}`; // to fill a house, which is not measured
const TICKS_PER_S = 100; // of /proc/<pid>/stat, on every Linux that Debian runs on
const QUIET_MS = 2500;   // learning waits for a second in which nothing is said

const WHO = ["my sister", "our neighbour", "the ferryman", "an old friend", "the teacher", "Marta", "your cousin", "the baker", "Ismael", "the night nurse"];
const DID = ["lost a ring", "painted the fence", "learnt to sail", "sold the piano", "found a letter", "broke a window", "planted beans", "missed the train"];
const WHERE = ["at the harbour", "behind the library", "near the old mill", "in Tromsø", "on the bridge", "by the chapel", "under the arcade", "at the station", "in the orchard", "on the island", "beside the museum"];
const WHEN = ["last summer", "on a Friday", "two weeks ago", "before the storm", "in March", "at night", "after the fair"];
const pick = (list, n) => list[n % list.length];
const sentence = (n) => `${pick(WHO, n)} ${pick(DID, Math.floor(n / 3))} ${pick(WHERE, Math.floor(n / 7))} ${pick(WHEN, Math.floor(n / 11))}`;
const line = (n) => `I heard that ${sentence(n)}. It was number ${n}, and nobody believed it.`;
const question = (n) => `Who ${pick(DID, n)} ${pick(WHERE, n * 3)} ${pick(WHEN, n * 5)}, and what did they say about it?`;

/** A house of this file: its process, and how it is spoken to. */
class House {
  constructor(stage, name, own) {
    Object.assign(this, { stage, name, own });
  }

  async start(core = SERVER_CORE) {
    const options = { own: this.own, core };
    this.server = this.token ? await this.stage.start_troupe(this.stage.file(this.name), options) : await this.stage.freshHouse(this.name, options);
    this.token ??= this.server.token;
    this.stage.running[this.name] = this.server; // is ended with the stage
    return this;
  }

  /** On the server's core alone, from an empty memory. */
  async restart() {
    await this.server.stop();
    return this.start();
  }

  async must(method, path, body) {
    const answer = await fetch(`${this.server.url}/api/v1${path}`, {
      method, headers: { authorization: `Bearer ${this.token}`, ...(body ? { "content-type": "application/json" } : {}) }, body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (answer.status >= 300) throw new Error(`${method} ${path} answered ${answer.status}: ${text}`);
    return text ? JSON.parse(text) : null;
  }

  async bring(count, name) {
    const messages = Array.from({ length: count }, (_, n) => ({
      role: n % 2 ? "assistant" : "user", content: line(n), created_at: new Date(Date.UTC(2022, 0, 1) + n * 600000).toISOString(),
    }));
    return (await this.must("POST", "/conversations/import", { format: "troupe", character_name: name, persona_name: "Olive", messages })).conversation.id;
  }

  /** Until every word and vector is there; an error when the house has no embedder though it should. */
  async settle() {
    for (;;) {
      const { state, vectors_pending, words_pending } = await this.must("GET", "/admin/embedder");
      if (this.own["embedder.weights"] === "" && ["unavailable", "failing"].includes(state)) throw new Error(`the embedder is ${state}`);
      if (words_pending === 0 && vectors_pending === 0) return;
      await pause(200);
    }
  }

  /** Sums and counts of the server's histograms, by name. */
  async times(...names) {
    const text = await (await fetch(`${this.server.url}/metrics`, { headers: { authorization: `Bearer ${this.token}` } })).text();
    const number = (name) => Number(text.match(new RegExp(`^${name} ([0-9.e+-]+)`, "m"))?.[1] ?? 0);
    return names.map((name) => ({ sum_ms: number(`${name}_sum`) * 1000, count: number(`${name}_count`) }));
  }

  /** The processor's time of the whole process so far, in milliseconds. */
  cpuMs() {
    const fields = readFileSync(`/proc/${this.server.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) * 1000 / TICKS_PER_S;
  }

  /** Until nothing is pending and the process has not worked for a while. */
  async rest() {
    for (let before = -1, since = Date.now(); Date.now() - since < QUIET_MS;) {
      await this.settle();
      const now = this.cpuMs();
      if (now - before > 10) [before, since] = [now, Date.now()];
      await pause(250);
    }
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const less = (label, ours, unit, goal, theirs) => ({ label, theirs, ours, unit, value: ours, goal, better: "less" });

/* --- a question over a long talk ---------------------------------------------------------------------------------------------- */

async function questionParties(stage, options) {
  const house = await new House(stage, "long-talk", { "embedder.weights": "" }).start(BOTH_CORES);
  const talk = await house.bring(TURNS, "Ada");
  await house.settle();
  await house.restart();
  const requests = stage.write("questions.requests", Array.from({ length: QUESTIONS }, (_, n) =>
    `GET /api/v1/memory/${talk}/search?limit=20&q=${encodeURIComponent(question(n))}`));
  const measure = async () => {
    const { port, pid } = house.server, names = ["troupe_index_question_seconds", "troupe_recall_scan_seconds"];
    const before = await house.times(...names);
    const { p50_us, p99_us, cpu_us, errors } = await stage.load("http", { port, pid, connections: 1, seconds: options.seconds, requests, token: house.token });
    const after = await house.times(...names);
    const [embed_ms, scan_ms] = after.map(({ sum_ms, count }, i) => (sum_ms - before[i].sum_ms) / (count - before[i].count));
    const { rss_mb } = stage.memoryOf(pid);
    return { errors, p50_ms: p50_us / 1000, p99_ms: p99_us / 1000, cpu_ms: cpu_us / 1000, embed_ms, scan_ms, rss_mb };
  };
  return { troupe: measure };
}

function questionChecks({ troupe }) {
  return [
    less("p50", troupe.p50_ms, "ms", 20), { label: "p99", ours: troupe.p99_ms, unit: "ms" }, { label: "CPU", ours: troupe.cpu_ms, unit: "ms" },
    { label: "of that embedding it", ours: troupe.embed_ms, unit: "ms" }, less("of that the scan", troupe.scan_ms, "ms", 1),
    less("resident, awake", troupe.rss_mb, "MB", 60),
  ];
}

/* --- a turn, and what comes after it ------------------------------------------------------------------------------------------ */

async function speakingHouse(stage, name, own) {
  const house = await new House(stage, name, own).start(BOTH_CORES);
  const { url } = await stage.server("quick");
  const model = await house.must("POST", "/admin/models", { name: "quick", provider: "openai", base_url: `${url}/v1`, model: "bench", context_tokens: 16384 });
  await house.must("PUT", "/admin/routes", { routes: [{ name: "quick", model_ids: [model.id] }] });
  const talks = [];
  for (let i = 0; i < TALKS; i++) {
    talks.push(await house.bring(20, `Ada ${i}`));
    await house.must("PATCH", `/conversations/${talks[i]}`, { settings: { route: "quick" } });
  }
  await house.settle();
  await house.restart();
  house.requests = stage.write(`${name}.requests`, talks.map(turnLine));
  return house;
}

async function turnParties(stage) {
  const houses = {
    troupe: await speakingHouse(stage, "with-embedder", { "embedder.weights": "" }),
    without: await speakingHouse(stage, "without-embedder", { "embedder.weights": "/none" }),
  };
  const measure = (house) => async () => {
    const { port, pid } = house.server;
    await house.rest();
    const began_ms = house.cpuMs();
    const { errors, first_p50_us, first_p99_us } = await stage.load("turns", {
      port, pid, requests: house.requests, token: house.token, rounds: ROUNDS_OF_TURNS, connections: 1, tokens: 5, ...OURS,
    });
    await house.rest();
    return { errors, first_ms: first_p50_us / 1000, first_p99_ms: first_p99_us / 1000, cpu_ms: (house.cpuMs() - began_ms) / ROUNDS_OF_TURNS };
  };
  return Object.fromEntries(Object.entries(houses).map(([name, house]) => [name, measure(house)]));
}

function turnChecks({ troupe, without }) {
  return [
    less("CPU, all that follows included", troupe.cpu_ms, "ms", 30, without.cpu_ms),
    less("embedding adds to the first token", troupe.first_ms - without.first_ms, "ms", 0.5),
    { label: "first token p50, without and with", theirs: without.first_ms, ours: troupe.first_ms, unit: "ms" },
    { label: "first token p99, without and with", theirs: without.first_p99_ms, ours: troupe.first_p99_ms, unit: "ms" },
  ];
}

export const rows = [
  { name: "memory-question", work: "a question over 10,000 turns", parties: questionParties, checks: questionChecks },
  { name: "memory-turn", work: "a turn that is remembered", parties: turnParties, checks: turnChecks },
];
