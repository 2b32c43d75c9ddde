// Characters by meaning: found by what no word of the card says, and one leading to others like it.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { start } from "./harness.js";
import { indexed } from "./talks.js";

let t, made;
const cards = {
  clocks: { name: "Anselm", description: "An old watchmaker. He repairs clocks and pocket watches in a narrow shop full of ticking.", tags: ["craft"] },
  bread: { name: "Berta", description: "A baker who is up before dawn. Her bread and her cinnamon rolls are known in three villages.", tags: ["food"] },
  sky: { name: "Corvin", description: "A pilot of mail planes over the mountains, at home in storms and thin air.", tags: ["adventure"] },
  stew: { name: "Dunja", description: "She cooks for forty in the kitchen of a monastery: soups, stews, and opinions about salt.", tags: ["food"] },
};

before(async () => {
  t = await start();
  made = {};
  for (const [key, card] of Object.entries(cards)) made[key] = (await t.api("POST", "/characters", { ...card, visibility: "public" })).json;
  await indexed(t);
});
after(() => t.stop());

const names = (answer) => answer.json.items.map((row) => row.name);
const meant = (q, more = "", options) => t.api("GET", `/characters/search?sort=meaning&q=${encodeURIComponent(q)}${more}`, undefined, options);

test("a search by meaning finds what no word of the card says", async () => {
  assert.equal(names(await meant("somebody who can mend my broken timepiece"))[0], "Anselm");
  assert.equal(names(await meant("an aviator who flies through bad weather"))[0], "Corvin");
  const eaters = names(await meant("I am hungry and would like a warm meal")).slice(0, 3);
  assert.ok(eaters.includes("Dunja") || eaters.includes("Berta"), eaters.join());
});

test("a character leads to others like it, never to itself", async () => {
  const like = await t.api("GET", `/characters/${made.bread.id}/similar?limit=3`);
  assert.equal(like.status, 200, like.text);
  assert.equal(like.json.next_cursor, null);
  assert.ok(!names(like).includes("Berta") && names(like).length === 3);
  assert.ok(names(like).includes("Dunja"), names(like).join());
  assert.equal((await t.api("GET", "/characters/0000000000001/similar")).status, 404);
});

test("pages, tags and tiers narrow what is meant", async () => {
  const first = await meant("food", "&limit=2");
  const second = await meant("food", `&limit=2&cursor=${first.json.next_cursor}`);
  assert.equal(new Set([...names(first), ...names(second)]).size, 4);
  const tagged = names(await meant("somebody with wings", "&tag=food"));
  assert.deepEqual(tagged.sort(), tagged.filter((name) => ["Berta", "Dunja", "Otar Lomidze"].includes(name)).sort());
});

test("what somebody may not see is not found by its meaning, and what is gone or changed neither", async () => {
  const mia = await t.newUser({ name: "Mia" });
  const secret = (await t.api("POST", "/characters", { name: "Ferenc", description: "A safe-cracker who listens to locks with a doctor's stethoscope.", visibility: "private" })).json;
  await indexed(t);
  const q = "a burglar who opens vaults with a stethoscope";
  assert.equal(names(await meant(q))[0], "Ferenc");
  assert.ok(!names(await meant(q, "&limit=100", { token: mia.token })).includes("Ferenc"));
  assert.equal((await t.api("GET", `/characters/${secret.id}/similar`, undefined, { token: mia.token })).status, 404);
  await t.api("PATCH", `/characters/${secret.id}`, { description: "A gardener of roses and of nothing else." });
  await indexed(t);
  assert.equal(names(await meant("somebody who grows flowers"))[0], "Ferenc");
  await t.api("DELETE", `/characters/${secret.id}`);
  await indexed(t);
  assert.ok(!names(await meant("somebody who grows flowers", "&limit=100")).includes("Ferenc"));
  await t.api("POST", `/characters/${secret.id}/restore`);
  await indexed(t);
  assert.equal(names(await meant("somebody who grows flowers"))[0], "Ferenc");
});
