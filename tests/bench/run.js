// Measures Troupe beside the yardsticks, in one run, on one machine: ./dev bench [row ...] [--json FILE] [--rounds N] [--seconds N]
//
// The server has core 0, the load (and the endpoint that stands in for a model) core 1. What is compared takes turns, A B A B A B, and
// each figure is the median of its rounds; so a machine that is slow today, or busy for a moment, is so for both. Any error ends the row.
// What each row does and why is in docs/performance.md.
import { readdirSync, writeFileSync } from "node:fs";
import { missingPeers, peers } from "./peers/index.js";
import { rows } from "./rows.js";
import { openStage } from "./stage.js";
import { printBeside, printHead, printRow } from "./table.js";

/* Rows in files of their own: *_rows.js beside this one (told in rows.js). */
for (const name of readdirSync(new URL(".", import.meta.url)).filter((name) => name.endsWith("_rows.js")).sort())
  rows.push(...(await import(`./${name}`)).rows);

function optionsOf(argv) {
  const options = { names: [], rounds: 3, seconds: 2, json: null };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === "--json") options.json = argv[++i];
    else if (argv[i] === "--rounds") options.rounds = Number(argv[++i]);
    else if (argv[i] === "--seconds") options.seconds = Number(argv[++i]);
    else options.names.push(argv[i]);
  }
  const unknown = options.names.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) throw new Error(`no such row: ${unknown.join(", ")}; there are ${rows.map((row) => row.name).join(", ")}`);
  return options;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[(sorted.length - 1) >> 1];
}

/** Of several results with the same members, the median of each number. */
function medians(results) {
  return Object.fromEntries(Object.keys(results[0]).map((key) => [key, median(results.map((result) => result[key]))]));
}

/** Plays a row: every party in turn, round after round. */
async function play(stage, row, options) {
  const parties = await row.parties(stage, options);
  for (const [peer, measure] of Object.entries(row.peers ?? {}))
    if (peers[peer].missing() === null) parties[peer] = () => measure(stage, options);
  const results = Object.fromEntries(Object.keys(parties).map((party) => [party, []]));
  for (let round = 0; round < (row.rounds ?? options.rounds); round++) {
    for (const [party, measure] of Object.entries(parties)) {
      const result = await measure(round);
      if (result.errors) throw new Error(`${row.name}: ${party} answered with ${result.errors} errors`);
      if (party === "troupe" && row.writes) result.behind_us = await stage.atRest(); // nobody's next round pays for it
      results[party].push(result);
    }
  }
  return Object.fromEntries(Object.entries(results).map(([party, list]) => [party, medians(list)]));
}

const options = optionsOf(process.argv.slice(2));
const chosen = rows.filter((row) => options.names.length === 0 || options.names.includes(row.name));
const stage = await openStage();
const report = [];
let failed = false;
try {
  await stage.checkRights();
  for (const { name, why } of missingPeers()) console.log(`not beside us: ${name}: ${why}`);
  printHead();
  for (const row of chosen) {
    try {
      const figures = await play(stage, row, options);
      const checks = row.checks(figures);
      report.push({ name: row.name, work: row.work, figures, checks });
      printRow(row, checks);
      printBeside(row, figures);
    } catch (error) {
      failed = true;
      report.push({ name: row.name, work: row.work, error: error.message });
      console.log(`${row.work}\n    failed: ${error.message}`);
    }
  }
} finally {
  await stage.close();
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ machine: stage.machine, at: new Date().toISOString(), rows: report }, null, 2)}\n`);
process.exit(failed ? 1 : 0);
