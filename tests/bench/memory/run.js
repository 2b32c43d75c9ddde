// Recall, measured from outside: long dialogues are imported with their times, questions are asked through the API, and
// what is found is compared with the turns that are known to answer them. README.md describes the file and the numbers.
import { readFileSync } from "node:fs";
import { performance } from "node:perf_hooks";
import { start } from "../../api/harness.js";

const USAGE = `node tests/bench/memory/run.js [FILE.json ...]

  --only words    without an encoder
  --limit N       how many hits are asked for (default 50)
  --misses N      show N questions whose evidence is not among the first ten
  --json          one JSON object instead of the table
Without a file it is our own set, made by generate.js.`;

const options = { files: [], limit: 50, misses: 0, json: false, wait: true };
for (let args = process.argv.slice(2); args.length > 0; ) {
  const word = args.shift();
  if (word === "--help") { console.log(USAGE); process.exit(0); }
  else if (word === "--only") options.wait = args.shift() !== "words";
  else if (word === "--limit") options.limit = Number(args.shift());
  else if (word === "--misses") options.misses = Number(args.shift());
  else if (word === "--json") options.json = true;
  else if (word.startsWith("--")) { console.error(USAGE); process.exit(2); }
  else options.files.push(word);
}

// --- numbers --------------------------------------------------------------------------------------------------------

const AT = [1, 5, 10, 20, 50];

// Of one question: what share of its evidence is among the first k, how high the first piece stands, and the discounted gain.
export function judge(found, evidence) {
  const wanted = new Set(evidence);
  const ranks = found.map((id, i) => (wanted.has(id) ? i + 1 : 0)).filter((rank) => rank > 0);
  const gain = ranks.filter((rank) => rank <= 10).reduce((sum, rank) => sum + 1 / Math.log2(rank + 1), 0);
  const best = Array.from({ length: Math.min(10, wanted.size) }, (_, i) => 1 / Math.log2(i + 2)).reduce((a, b) => a + b, 0);
  return {
    recall: AT.map((k) => ranks.filter((rank) => rank <= k).length / wanted.size),
    reciprocal: ranks.length > 0 ? 1 / ranks[0] : 0,
    ndcg: gain / best,
  };
}

// Of a question that the talk does not answer nothing can be found; what is told is how high the best hit scores.
class Tally {
  rows = new Map();
  add(category, judged, top) {
    for (const name of [category, "all"]) {
      const row = this.rows.get(name) ?? { questions: 0, answerable: 0, recall: AT.map(() => 0), reciprocal: 0, ndcg: 0, top: 0 };
      row.questions++;
      row.top += top;
      if (judged) {
        row.answerable++;
        judged.recall.forEach((value, i) => (row.recall[i] += value));
        row.reciprocal += judged.reciprocal;
        row.ndcg += judged.ndcg;
      }
      this.rows.set(name, row);
    }
  }
  result() {
    const result = {};
    for (const [name, row] of this.rows) {
      const mean = (sum) => (row.answerable > 0 ? Number((sum / row.answerable).toFixed(4)) : null);
      result[name] = {
        questions: row.questions,
        ...Object.fromEntries(AT.map((k, i) => [`recall@${k}`, mean(row.recall[i])])),
        ndcg: mean(row.ndcg), mrr: mean(row.reciprocal), top_score: Number((row.top / row.questions).toFixed(3)),
      };
    }
    return result;
  }
}

// --- the talk -------------------------------------------------------------------------------------------------------

async function bring(t, dialogue) {
  const [first, second] = dialogue.speakers;
  const answer = await t.api("POST", "/conversations/import", {
    format: "troupe", title: dialogue.name, persona_name: first, character_name: second,
    messages: dialogue.messages.map((m) => ({ id: m.id, role: m.speaker === first ? "user" : "assistant", name: m.speaker, content: m.text, created_at: m.at })),
  });
  if (answer.status !== 201) throw new Error(`${dialogue.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
  return answer.json.conversation.id;
}

async function untilIndexed(t, id) {
  for (;;) {
    const { json } = await t.api("GET", `/memory/${id}`);
    if (!json?.index || json.index.pending === 0) return;
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function ask(t, id, question) {
  const began = performance.now();
  const answer = await t.api("GET", `/memory/${id}/search?limit=${options.limit}&kinds=message&q=${encodeURIComponent(question)}`);
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text.slice(0, 300)}`);
  return { ms: performance.now() - began, items: answer.json.items };
}

function show(result) {
  const columns = ["questions", ...AT.map((k) => `recall@${k}`), "ndcg", "mrr", "top_score"];
  console.log(["category".padEnd(14), ...columns.map((c) => c.padStart(10))].join(""));
  for (const [name, row] of Object.entries(result))
    console.log([name.padEnd(14), ...columns.map((c) => String(row[c] ?? "-").padStart(10))].join(""));
}

async function main() {
  const t = await start(options.wait ? {} : { settings: { "embedder.weights": "/none" } });
  try {
    if (options.files.length === 0) {
      const { generate } = await import("./generate.js");
      return await measure(t, "our own set", generate());
    }
    for (const file of options.files) await measure(t, file, JSON.parse(readFileSync(file, "utf8")));
  } finally {
    await t.stop();
  }
}

async function measure(t, name, dialogues) {
  const tally = new Tally(), times = [];
  let imported = 0, indexed = 0, messages = 0, missed = 0;
  for (const dialogue of dialogues) {
    let began = performance.now();
    const id = await bring(t, dialogue);
    imported += performance.now() - began;
    messages += dialogue.messages.length;
    began = performance.now();
    if (options.wait) await untilIndexed(t, id);
    indexed += performance.now() - began;
    for (const { question, category, evidence } of dialogue.questions) {
      const { ms, items } = await ask(t, id, question);
      times.push(ms);
      const judged = evidence.length > 0 ? judge(items.map((item) => item.external_id), evidence) : null;
      tally.add(category, judged, items[0]?.score ?? 0);
      if (judged && judged.recall[2] < 1 && missed++ < options.misses)
        console.log(`${category}: ${question}\n  wanted ${evidence.join(", ")}\n${items.slice(0, 3).map((i) => `  ${i.score} ${i.external_id} ${i.text.slice(0, 120)}`).join("\n")}`);
    }
  }
  times.sort((a, b) => a - b);
  const result = tally.result();
  const at = (share) => Number((times[Math.floor(times.length * share)] ?? 0).toFixed(1));
  if (options.json) return console.log(JSON.stringify({ name, messages, import_ms: Math.round(imported), index_ms: Math.round(indexed), p50_ms: at(0.5), p99_ms: at(0.99), result }));
  console.log(`\n${name}: ${dialogues.length} dialogues, ${messages} messages imported in ${(imported / 1000).toFixed(1)} s, indexed ${(indexed / 1000).toFixed(1)} s later; a question takes ${at(0.5)} ms (p99 ${at(0.99)} ms)`);
  show(result);
}

await main();
