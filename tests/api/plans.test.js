// What does not vary is counted instead of timed: query plans, and statements of a chat turn.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { run, start, until } from "./harness.js";

let t;
before(async () => { t = await start({ settings: { "memory.learns": "false" } }); }); // its jobs come when they come, and are not what is counted
after(() => t.stop());

// Statements that may read a whole table, each with its reason. Everything else must search an index.
const PARTIAL = /variant_streaming|job_leased/; // indexes that hold nothing but the rows that are looked for
const MAY_SCAN = [
  [/FROM signing_key/, "a handful of rows"],
  [/FROM model\b/, "the registry: a few rows, read whole into memory"],
  [/FROM route\b/, "likewise"],
  [/FROM json_each/, "the items of one JSON array that was given"],
  [/UPDATE signing_key/, "likewise"],
  [/FROM index_touch( WHERE group_id| LIMIT| ORDER BY change)/, "what waits for the next step of the index, in no order but its own: a message pays for one tree and no more"],
  [/-- counted in a pool thread/, "the admin's numbers: whole tables, off the loop"],
  [/-- read in a pool thread/, "one person's archive: small tables without an index for it, off the loop"],
  [/^DELETE FROM user WHERE/, "once for an account that is erased: foreign keys without an index of their own see that nothing is left"],
  [/character_(words|trigrams)/, "a virtual table: FTS5 does its own searching"],
];

test("no statement reads a whole table", async () => {
  const listed = await run(["test", "sql", "--data", t.dir]);
  assert.equal(listed.code, 0, listed.stderr);
  const statements = listed.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.ok(statements.length > 80, `only ${statements.length} statements are registered`);
  const scans = statements.filter(({ sql, plan }) =>
    plan.some((step) => /^SCAN (?!CONSTANT ROW|\(subquery|seen\b|json_each)/.test(step) && !PARTIAL.test(step) && !/VIRTUAL TABLE INDEX/.test(step)) && !MAY_SCAN.some(([pattern]) => pattern.test(sql)));
  assert.deepEqual(scans.map(({ file, line, sql, plan }) => ({ at: `${file}:${line}`, sql: sql.slice(0, 160), plan })), []);
});

async function statements() {
  const text = (await t.api("GET", "/metrics", undefined, { token: null })).text;
  return Number(text.match(/^troupe_sql_statements (\d+)/m)[1]);
}

test("a chat turn costs so many statements and no more, however long the talk is", async () => {
  // Counted 36 for the turn itself (12 to admit and recall, 10 to record, 8 to keep, the rest to answer), and some 20 of the index, which
  // gives both messages their words and vectors in the background and shares a count with it.
  const CEILING = 66;
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  // What was said before is indexed first, so that only this turn is counted.
  const quiet = () => until(async () => (await t.api("GET", `/memory/${conversation.id}`)).json.index.pending === 0, "the index to be at rest");
  // The least of three: a standing job of the house that falls into a turn is not the turn's.
  const cost = async (body) => {
    let least = Infinity;
    for (let round = 0; round < 3; round++) {
      await quiet();
      const before = await statements();
      const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, body);
      assert.equal(answer.status, 201);
      least = Math.min(least, (await statements()) - before);
    }
    return least;
  };
  await cost({ content: "warm" });
  const short = await cost({ content: "one" });
  for (let i = 0; i < 60; i++) await t.api("POST", `/conversations/${conversation.id}/messages`, { content: `filler ${i}`, reply: false });
  const long = await cost({ content: "two" });
  assert.ok(short <= CEILING, `a turn ran ${short} statements`);
  assert.ok(long <= CEILING + 2, `a turn in a long talk ran ${long} statements`);
  const plain = await cost({ content: "no reply", reply: false });
  assert.ok(plain <= 30, `a stored message ran ${plain} statements`);
});
