// Lorebooks of characters: entries, the tester, and what reaches the prompt.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { start } from "./harness.js";

let t, mia;
before(async () => { t = await start(); mia = await t.newUser({ name: "Mia" }); });
after(() => t.stop());

const ENTRY = { keys: ["clock"], content: "The clock runs backwards.", enabled: true, insertion_order: 10 };
async function book(entries = [ENTRY], more = {}) {
  const answer = await t.api("POST", "/characters", { name: "Keeper", character_book: { name: "House", ...more, entries } });
  assert.equal(answer.status, 201, answer.text);
  return { character: answer.json, id: answer.json.lorebook_id };
}
const fires = async (id, text) => {
  const answer = await t.api("POST", `/lorebooks/${id}/test`, { text });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.items;
};

test("a book is read and changed; what was not sent stays", async () => {
  const { character, id } = await book([ENTRY], { scan_depth: 4, recursive_scanning: true, extensions: { x: 1 } });
  const got = await t.api("GET", `/lorebooks/${id}`);
  assert.deepEqual({ ...got.json, created_at: 0, updated_at: 0 }, { id, character_id: character.id, name: "House", description: "", scan_depth: 4, token_budget: null,
    recursive_scanning: true, extensions: { x: 1 }, entry_count: 1, created_at: 0, updated_at: 0 });
  assert.equal((await t.api("GET", `/lorebooks/${id}`, undefined, { headers: { "if-none-match": got.headers.get("etag") } })).status, 304);
  const changed = await t.api("PATCH", `/lorebooks/${id}`, { token_budget: 0, scan_depth: null }, { headers: { "if-match": got.headers.get("etag") } });
  assert.equal(changed.status, 200, changed.text);
  assert.deepEqual([changed.json.token_budget, changed.json.scan_depth, changed.json.name], [0, null, "House"]);
  assert.equal((await t.api("PATCH", `/lorebooks/${id}`, { name: "x" }, { headers: { "if-match": got.headers.get("etag") } })).status, 412);
  assert.ok((await t.api("GET", "/lorebooks")).json.items.some((item) => item.id === id));
  assert.equal((await t.api("GET", "/lorebooks", undefined, { token: mia.token })).json.items.length, 0);
});

test("entries are added, changed, removed; null takes a saying back", async () => {
  const { id } = await book();
  const added = await t.api("POST", `/lorebooks/${id}/entries`, { keys: ["moon"], content: "It is cheese.", priority: 0, case_sensitive: true, position: "before_char", extensions: { a: [1] } });
  assert.equal(added.status, 201, added.text);
  const { id: entryId, ...entry } = added.json;
  assert.deepEqual(entry, { keys: ["moon"], secondary_keys: [], content: "It is cheese.", name: "", comment: "", enabled: true, constant: false, selective: false,
    case_sensitive: true, use_regex: false, insertion_order: 100, priority: 0, position: "before_char", extensions: { a: [1] } });
  const path = `/lorebooks/${id}/entries/${entryId}`;
  const changed = (await t.api("PATCH", path, { priority: null, case_sensitive: null, position: null, content: "Rock." })).json;
  assert.deepEqual([changed.priority, changed.case_sensitive, changed.position, changed.content, changed.keys], [null, null, null, "Rock.", ["moon"]]);
  assert.deepEqual((await t.api("GET", path)).json, changed);
  assert.equal((await t.api("DELETE", path)).status, 204);
  assert.equal((await t.api("GET", path)).status, 404);
  assert.equal((await t.api("DELETE", path)).status, 404);
  assert.equal((await t.api("POST", `/lorebooks/${id}/entries`, { key: ["typo"] })).status, 422);
  assert.equal((await t.api("POST", `/lorebooks/${id}/entries`, { extensions: [] })).status, 422);
});

test("entries page in the order of the book", async () => {
  const { id } = await book(Array.from({ length: 7 }, (_, i) => ({ ...ENTRY, keys: [`k${i}`], insertion_order: 7 - i })));
  const seen = [];
  for (let cursor = ""; cursor !== null;) {
    const page = (await t.api("GET", `/lorebooks/${id}/entries?limit=3&cursor=${cursor}`)).json;
    seen.push(...page.items.map((item) => item.keys[0]));
    cursor = page.next_cursor;
  }
  assert.deepEqual(seen, ["k0", "k1", "k2", "k3", "k4", "k5", "k6"]);
});

test("somebody else's book is not there", async () => {
  const { id } = await book();
  const entry = (await t.api("GET", `/lorebooks/${id}/entries`)).json.items[0].id;
  for (const [method, path, body] of [["GET", ""], ["PATCH", "", { name: "x" }], ["GET", "/entries"], ["POST", "/entries", { keys: ["x"] }], ["GET", `/entries/${entry}`],
    ["PATCH", `/entries/${entry}`, { content: "x" }], ["DELETE", `/entries/${entry}`], ["POST", "/test", { text: "clock" }]])
    assert.equal((await t.api(method, `/lorebooks/${id}${path}`, body, { token: mia.token })).status, 404, `${method} ${path}`);
  const other = await book();
  assert.equal((await t.api("GET", `/lorebooks/${other.id}/entries/${entry}`)).status, 404, "an entry belongs to one book");
});

test("the tester says what fires, by which key, and why the rest stays silent", async () => {
  const { id } = await book([
    ENTRY,
    { ...ENTRY, keys: ["key"], name: "Key", content: "Opens the clock." },
    { ...ENTRY, keys: ["a"], constant: true, name: "Always" },
    { ...ENTRY, keys: ["clock"], selective: true, secondary_keys: ["tower"], name: "Tower" },
    { ...ENTRY, keys: ["/clo.k/"], name: "Pattern" },
    { ...ENTRY, enabled: false, name: "Off" },
    { ...ENTRY, keys: ["backwards"], name: "Echo" },
  ], { recursive_scanning: true });
  const found = Object.fromEntries((await fires(id, "What about the CLOCK?")).map((item) => [item.name, item]));
  assert.deepEqual([found.clock.fires, found.clock.reason, found.clock.key], [true, "key", "clock"]);
  assert.ok(found.clock.tokens > 0);
  assert.deepEqual([found.Always.fires, found.Always.reason, found.Always.key], [true, "constant", null]);
  assert.deepEqual([found.Echo.fires, found.Echo.reason, found.Echo.key], [true, "recursion", "backwards"]);
  assert.deepEqual([found.Key.fires, found.Key.reason], [false, "none of its keys is there"]);
  assert.deepEqual([found.Tower.fires, found.Tower.reason], [false, "its secondary keys do not allow it"]);
  assert.match(found.Pattern.reason, /patterns/);
  assert.match(found.Off.reason, /switched off/);
  assert.equal((await fires(id, "the clock tower")).find((item) => item.name === "Tower").reason, "key and secondary key");
  await t.api("PATCH", `/lorebooks/${id}`, { token_budget: 5 });
  assert.ok((await fires(id, "clock")).some((item) => item.is_dropped), "the book's budget is kept");
});

test("a book made of keys alone stops nobody, and holds nobody up", async () => {
  const entries = Array.from({ length: 9000 }, () => ({ keys: Array(108).fill("aaaa"), content: "b", enabled: true, insertion_order: 1 }));
  const form = new FormData();
  form.append("files", new Blob([JSON.stringify({ spec: "chara_card_v2", spec_version: "2.0", data: { name: "Keys", description: "", personality: "", scenario: "", first_mes: "Hi.",
    mes_example: "", character_book: { extensions: {}, recursive_scanning: true, entries: [...entries, { keys: [], constant: true, content: "Always.", enabled: true, insertion_order: 2 }] } } })]), "keys.json");
  const [item] = (await t.api("POST", "/characters/import", form, { token: mia.token })).json.items;
  assert.equal(item.status, "imported", JSON.stringify(item));
  const { lorebook_id: id } = item.character;
  const answer = await t.api("POST", `/lorebooks/${id}/test`, { text: "Nothing of it." }, { token: mia.token });
  assert.equal(answer.status, 200, answer.text);
  const verdicts = answer.json.items;
  assert.equal(verdicts.length, 9001);
  assert.equal(verdicts[8999].reason, "its book has more keys than are looked for");
  assert.equal(verdicts[9000].fires, true);
});

test("a book does not grow beyond what a card may carry", async () => {
  const { id } = await book();
  const content = "x".repeat(200_000);
  let status = 201, added = 0, answer;
  for (; status === 201 && added < 60; added += 1) ({ status } = answer = await t.api("POST", `/lorebooks/${id}/entries`, { content }));
  assert.equal(status, 409, answer.text);
  assert.match(answer.json.detail, /8 MiB/);
  assert.equal(added, 42); // the forty-second did not fit
  const [first] = (await t.api("GET", `/lorebooks/${id}/entries`)).json.items;
  assert.equal((await t.api("PATCH", `/lorebooks/${id}/entries/${first.id}`, { content })).status, 409);
  assert.equal((await t.api("GET", `/lorebooks/${id}/entries/${first.id}`)).json.content, ENTRY.content);
  assert.equal((await t.api("PATCH", `/lorebooks/${id}/entries/${first.id}`, { name: "small" })).status, 200);
});

test("lore that fires stands in the prompt, at once after every change", async () => {
  const { character, id } = await book([{ ...ENTRY, content: "The clock runs BACKWARDS-ONE." }]);
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const promptAfter = async (content) => {
    const said = await t.api("POST", `/conversations/${conversation.id}/messages`, { content });
    assert.equal(said.status, 201, said.text);
    const prompt = (await t.api("GET", `/conversations/${conversation.id}/messages/${said.json.reply.id}/prompt`)).json;
    return prompt.parts.filter((part) => part.name.startsWith("lore")).map((part) => part.content).join();
  };
  assert.match(await promptAfter("Is the clock right?"), /BACKWARDS-ONE/);
  const entry = (await t.api("GET", `/lorebooks/${id}/entries`)).json.items[0].id;
  await t.api("PATCH", `/lorebooks/${id}/entries/${entry}`, { content: "The clock runs BACKWARDS-TWO." });
  const changed = await promptAfter("And the clock now?");
  assert.match(changed, /BACKWARDS-TWO/);
  assert.doesNotMatch(changed, /BACKWARDS-ONE/);
  await t.api("PATCH", `/characters/${character.id}`, { character_book: null });
  assert.doesNotMatch(await promptAfter("The clock again?"), /BACKWARDS-TWO/);
});
