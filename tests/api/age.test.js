// The age gate from outside: what is for adults is made, changed, copied and talked with by who declared to be one, on every road; and it is gone for who does not declare it any more.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { start } from "./harness.js";

let t, adult, once, mia;
const as = (person) => ({ token: person.token });
const declare = async (person, is_adult) => assert.equal((await t.api("POST", "/auth/verify-age", { is_adult }, as(person))).status, 200);
const make = async (body, person) => {
  const answer = await t.api("POST", "/characters", body, as(person));
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
};
/** Refused by the gate, in words that say so. */
const gated = async (method, path, body, person, options = {}) => {
  const answer = await t.api(method, path, body, { ...as(person), ...options });
  assert.equal(answer.status, 403, `${method} ${path}: ${answer.status} ${answer.text}`);
  assert.match(answer.json.detail, /age|adult/, `${method} ${path}`);
};

before(async () => {
  t = await start();
  adult = await t.newUser({ name: "Addie" });
  once = await t.newUser({ name: "Once" });
  mia = await t.newUser({ name: "Mia" });
  await declare(adult, true);
});
after(() => t.stop());

test("who declares no adult age any more reads what they wrote and throws it away; no other road leads to it", async () => {
  await declare(once, true);
  const book = { entries: [{ keys: ["bar"], content: "The bar closes late.", enabled: true, insertion_order: 1 }] };
  const own = await make({ name: "Late show", first_mes: "Evening.", content_tier: "adult", character_book: book }, once);
  const tame = await make({ name: "Tame", first_mes: "Morning.", content_tier: "adult", tags: ["late"] }, once);
  assert.equal((await t.api("PATCH", `/characters/${tame.id}`, { content_tier: "all_ages", tags: [] }, as(once))).status, 200);
  const trashed = await make({ name: "Thrown away", content_tier: "mature" }, once);
  assert.equal((await t.api("DELETE", `/characters/${trashed.id}`, undefined, as(once))).status, 204);
  const talk = (await t.api("POST", "/conversations", { character_ids: [own.id] }, as(once))).json;
  const card = await t.api("GET", `/characters/${own.id}/export?format=v3_json`, undefined, { ...as(once), raw: true });
  const file = await card.text();
  const portrait = (await t.api("GET", "/characters?limit=100")).json.items.find((item) => item.avatar_url);
  const picture = new Uint8Array(await (await t.api("GET", `/characters/${portrait.id}/avatar`, undefined, { raw: true })).arrayBuffer());

  await declare(once, false);
  const of = `/characters/${own.id}`;
  await gated("PATCH", of, { content_tier: "all_ages" }, once);
  await gated("PATCH", of, { tags: ["late"] }, once);
  await gated("POST", `${of}/duplicate`, undefined, once);
  await gated("POST", `${of}/revisions/1/restore`, undefined, once);
  await gated("POST", `/characters/${tame.id}/revisions/1/restore`, undefined, once);
  await gated("POST", `/characters/${trashed.id}/restore`, undefined, once);
  await gated("PUT", `${of}/avatar`, picture, once);
  await gated("POST", `${of}/knowledge?name=a.md`, "# A\n\nText.", once, { headers: { "content-type": "text/markdown" } });
  await gated("POST", "/conversations", { character_ids: [own.id] }, once);
  await gated("POST", `/conversations/${talk.id}/messages`, { content: "Another round." }, once);
  await gated("POST", `/conversations/${talk.id}/reply`, undefined, once);
  await gated("POST", "/conversations/import", { format: "troupe", character_id: own.id, messages: [{ role: "user", name: "Once", content: "Hi.", created_at: "2026-01-01T00:00:00Z" }] }, once);
  const entry = (await t.api("GET", `/lorebooks/${own.lorebook_id}/entries`, undefined, as(once))).json.items[0];
  assert.equal((await t.api("PATCH", `/lorebooks/${own.lorebook_id}/entries/${entry.id}`, { content: "new" }, as(once))).status, 403);
  const form = new FormData();
  form.append("file", new Blob([file], { type: "application/json" }), "card.json");
  const report = (await t.api("POST", "/characters/import", form, as(once))).json.items[0];
  assert.equal(report.status, "failed");
  assert.match(report.error, /adult/);

  const still = (await t.api("GET", of, undefined, as(once))).json;
  assert.equal(still.revision, own.revision, "nothing of all that was saved");
  assert.equal(still.character_book.entries[0].content, "The bar closes late.");
  assert.equal((await t.api("GET", `/characters/${tame.id}`, undefined, as(once))).json.content_tier, "all_ages");
  assert.equal((await t.api("DELETE", of, undefined, as(once))).status, 204, "it can be thrown away");
  await declare(once, true);
  assert.equal((await t.api("POST", `${of}/restore`, undefined, as(once))).status, 200);
  assert.equal((await t.api("POST", `/characters/${tame.id}/revisions/1/restore`, undefined, as(once))).json.content_tier, "adult");
});

test("a character that becomes one for adults, or private, leaves the talks of others with the name and without the portrait", async () => {
  const { id } = await make({ name: "Harmless", first_mes: "Hello.", visibility: "public" }, adult);
  const portrait = (await t.api("GET", "/characters?limit=100")).json.items.find((item) => item.avatar_url);
  const picture = new Uint8Array(await (await t.api("GET", `/characters/${portrait.id}/avatar`, undefined, { raw: true })).arrayBuffer());
  assert.equal((await t.api("PUT", `/characters/${id}/avatar`, picture, as(adult))).status, 200);
  assert.equal((await t.api("POST", "/users/me/favorites", { character_id: id }, as(mia))).status, 201);
  const talk = (await t.api("POST", "/conversations", { character_ids: [id] }, as(mia))).json;
  assert.ok(talk.characters[0].avatar_url);
  const seen = async () => {
    const one = (await t.api("GET", `/conversations/${talk.id}`, undefined, as(mia))).json;
    const listed = (await t.api("GET", "/conversations", undefined, as(mia))).json.items.find((item) => item.id === talk.id);
    assert.deepEqual(listed.characters, one.characters);
    return one.characters[0];
  };
  for (const change of [{ content_tier: "adult", name: "Not for you" }, { content_tier: "all_ages", visibility: "private" }]) {
    assert.equal((await t.api("PATCH", `/characters/${id}`, change, as(adult))).status, 200);
    const now = await seen();
    assert.equal(now.name, "Harmless", JSON.stringify(change));
    assert.ok(!now.avatar_url, JSON.stringify(change));
    assert.equal(now.is_gone, true);
    const said = await t.api("POST", `/conversations/${talk.id}/messages`, { content: "Are you there?" }, as(mia));
    assert.equal(said.status, 422, said.text);
    assert.equal((await t.api("POST", `/conversations/${talk.id}/branch`, { message_id: (await t.api("GET", `/conversations/${talk.id}/messages`, undefined, as(mia))).json.items[0].id }, as(mia))).json.characters[0].name, "Harmless");
  }
  assert.equal((await t.api("PATCH", `/characters/${id}`, { visibility: "public", name: "Harmless again" }, as(adult))).status, 200);
  const back = await seen();
  assert.equal(back.name, "Harmless again");
  assert.ok(back.avatar_url && !back.is_gone);
});

test("an API key does not declare an age", async () => {
  const { key } = (await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read", "write", "chat"] }, as(mia))).json;
  assert.equal((await t.api("POST", "/auth/verify-age", { is_adult: true }, { token: key })).status, 403);
  assert.equal((await t.api("GET", "/users/me", undefined, as(mia))).json.is_adult, false);
});

test("an adult is shown what they chose, and all ages before they chose; what is theirs or linked to is there in any case", async () => {
  const reader = await t.newUser({ name: "Rita" });
  await declare(reader, true);
  const made = {};
  for (const content_tier of ["all_ages", "mature", "adult"]) made[content_tier] = (await make({ name: `Velvet ${content_tier}`, content_tier, visibility: "public", tags: [`velvet ${content_tier}`] }, adult)).id;
  const own = await make({ name: "Velvet mine", content_tier: "adult" }, reader);
  const names = (answer) => { assert.equal(answer.status, 200, answer.text); return answer.json.items.map((item) => item.name ?? item.tag).filter((name) => /velvet/i.test(name)).sort(); };
  const shown = async () => ({
    list: names(await t.api("GET", "/characters?limit=100", undefined, as(reader))),
    search: names(await t.api("GET", "/characters/search?q=velvet", undefined, as(reader))),
    tags: names(await t.api("GET", "/tags?limit=100", undefined, as(reader))),
  });
  const expected = (...tiers) => {
    const some = [...tiers.map((tier) => `Velvet ${tier}`), "Velvet mine"].sort();
    return { list: some, search: some, tags: tiers.map((tier) => `velvet ${tier}`).sort() };
  };
  const choose = async (content_tier) => assert.equal((await t.api("PATCH", "/users/me/preferences", { content_tier }, as(reader))).status, 200);
  assert.deepEqual(await shown(), expected("all_ages"));
  await choose("mature");
  assert.deepEqual(await shown(), expected("all_ages", "mature"));
  await choose("adult");
  assert.deepEqual(await shown(), expected("all_ages", "mature", "adult"));
  assert.deepEqual(names(await t.api("GET", "/characters?limit=100&tier=mature", undefined, as(reader))), ["Velvet mature"]);
  await choose("all_ages");
  assert.deepEqual(names(await t.api("GET", "/characters?limit=100&tier=adult", undefined, as(reader))), ["Velvet mine"]);
  assert.equal((await t.api("GET", `/characters/${made.adult}`, undefined, as(reader))).status, 200, "a link leads there");
  await choose("adult");
  await declare(reader, false);
  assert.deepEqual(await shown(), expected("all_ages"), "a choice of then does not outlive the age");
  assert.equal((await t.api("GET", `/characters/${made.adult}`, undefined, as(reader))).status, 404);
  assert.equal((await t.api("GET", `/characters/${own.id}`, undefined, as(reader))).status, 200);
});
