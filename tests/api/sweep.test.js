// Standing jobs tidy up: pictures that nobody refers to, jobs that are over, with the clock moved instead of waited for.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { start, until } from "./harness.js";
import { picture } from "./picture.js";

const HOUR = 3600000, DAY = 24 * HOUR;

let t;
before(async () => { t = await start(); });
after(() => t.stop());

const keyOf = (url) => url.split("/").pop();
const isThere = (url) => existsSync(join(t.dir, "blobs", keyOf(url).slice(0, 2), keyOf(url).slice(2)));
const put = async (path, grey) => {
  const answer = await t.api("PUT", path, picture(grey), { headers: { "content-type": "image/png" } });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.avatar_url;
};

/** Time passes, and every standing job that was due by then has run; the token of before has ended meanwhile. */
async function pass(ms) {
  t.moveClock(ms);
  t.owner = await t.login(t.owner.email);
  const standing = async () => (await t.api("GET", "/admin/jobs?limit=100")).json.items.filter((job) => job.is_standing);
  assert.ok((await standing()).length > 3);
  await until(async () => (await standing()).every((job) => job.state === "queued" && Date.parse(job.run_at) > Date.now() + t.clock), "the sweeps of by then");
}

test("pictures that nobody refers to go after a day, and only those", async () => {
  const persona = (await t.api("POST", "/users/me/personas", { name: "One" })).json;
  const character = (await t.api("POST", "/characters", { name: "Ada" })).json;
  const mine = [await put("/users/me/avatar", 1), await put("/users/me/avatar", 2)];
  const personas = [await put(`/users/me/personas/${persona.id}/avatar`, 3), await put(`/users/me/personas/${persona.id}/avatar`, 4)];
  const portraits = [await put(`/characters/${character.id}/avatar`, 5), await put(`/characters/${character.id}/avatar`, 6)];
  const shared = await put(`/users/me/personas/${persona.id}/avatar`, 7);
  assert.equal(await put("/users/me/avatar", 7), shared, "equal bytes are one blob");
  await pass(12 * HOUR);
  const eight = await put("/users/me/avatar", 8), nine = await put("/users/me/avatar", 9);
  await pass(13 * HOUR);
  const gone = [...mine, personas[0], personas[1]];
  await until(() => gone.every((url) => !isThere(url)), "what was replaced a day ago is gone");
  const stays = [...portraits, shared, (await t.api("GET", "/users/me")).json.avatar_url];
  for (const url of stays) assert.ok(isThere(url), url);
  assert.ok(isThere(eight), "twelve hours are no day");
  assert.equal((await t.api("GET", nine, undefined, { token: null })).status, 200);
  const stage = (await t.api("GET", "/characters?limit=100")).json.items;
  assert.ok(stage.length >= 6);
  for (const { avatar_url } of stage) assert.ok(avatar_url && isThere(avatar_url), "the starters keep theirs");
});

test("a character's portraits stay while one of its revisions may come back, and go with it", async () => {
  const character = (await t.api("POST", "/characters", { name: "Brief" })).json;
  const first = await put(`/characters/${character.id}/avatar`, 21), second = await put(`/characters/${character.id}/avatar`, 22);
  assert.equal((await t.api("DELETE", `/characters/${character.id}`)).status, 204);
  await pass(3 * DAY);
  assert.ok(isThere(first) && isThere(second), "in the trash");
  for (let days = 0; days < 40 && (isThere(first) || isThere(second)); days += 2) {
    await pass(2 * DAY);
  }
  assert.ok(!isThere(first) && !isThere(second), "deleted for good");
});

test("dead letters are kept for a month, jobs that ended well for a day", async () => {
  const now = Date.now() + t.clock, sql = (text) => execFileSync("sqlite3", ["-cmd", ".timeout 5000", join(t.dir, "troupe.db"), text], { encoding: "utf8" });
  for (const [id, state] of [[1, "dead"], [2, "done"], [3, "cancelled"]])
    sql(`INSERT INTO job (id, kind, state, run_at, created_at, updated_at) VALUES (${id}, 'of.yesterday', '${state}', ${now}, ${now}, ${now})`);
  const left = async () => (await t.api("GET", "/admin/jobs?kind=of.yesterday")).json.items.map((job) => job.state).sort();
  assert.deepEqual(await left(), ["cancelled", "dead", "done"]);
  await pass(25 * HOUR);
  await until(async () => (await left()).length === 1, "what is over for a day goes with the next job that ends");
  assert.deepEqual(await left(), ["dead"]);
  await pass(28 * DAY);
  assert.deepEqual(await left(), ["dead"], "29 days are no month");
  await pass(2 * DAY);
  await until(async () => (await left()).length === 0, "31 days are");
});
