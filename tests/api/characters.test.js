// Characters over HTTP: making and changing them, who sees them, revisions, trash, search, tags, favourites.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { start, until } from "./harness.js";

let t, mia, adult;
before(async () => {
  t = await start();
  mia = await t.newUser({ name: "Mia" });
  adult = await t.newUser({ name: "Addie" });
  assert.equal((await t.api("POST", "/auth/verify-age", { is_adult: true }, { token: adult.token })).status, 200);
  assert.equal((await t.api("PATCH", "/users/me/preferences", { content_tier: "adult" }, { token: adult.token })).status, 200);
});
after(() => t.stop());

const as = (person) => ({ token: person.token });
const make = async (body, person = t.owner) => {
  const answer = await t.api("POST", "/characters", body, as(person));
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
};
const ids = (answer) => answer.json.items.map((item) => item.id);

const FULL = {
  name: "Ibid", nickname: "Ib", description: "d", personality: "p", scenario: "s", first_mes: "Hello, {{user}}.", mes_example: "<START>\n{{char}}: Hm.",
  alternate_greetings: ["One.", ""], group_only_greetings: ["All."], system_prompt: "{{original}}", post_history_instructions: "ph", creator_notes: "cn",
  creator_notes_multilingual: { de: "auf Deutsch" }, tags: ["Library", "Straße"], creator: "c", character_version: "1.1", source: ["https://example.com/x"],
  assets: [{ type: "icon", uri: "ccdefault:", name: "main", ext: "png" }], extensions: { anything: [1, { deep: null }] }, tagline: "Hush.",
  visibility: "unlisted", content_tier: "all_ages", talkativeness: 0.25, voice: "v", model_settings: { temperature: 0.5 },
  character_book: { name: "B", extensions: {}, entries: [{ keys: ["k"], content: "c", extensions: { x: 1 }, enabled: true, insertion_order: 5, use_regex: false }] },
};

test("every field of a card comes back as it was sent", async () => {
  const made = await t.api("POST", "/characters", FULL);
  assert.equal(made.status, 201, made.text);
  assert.equal(made.headers.get("location"), `/api/v1/characters/${made.json.id}`);
  const got = (await t.api("GET", `/characters/${made.json.id}`)).json;
  assert.deepEqual(got, made.json);
  for (const [name, value] of Object.entries(FULL)) assert.deepEqual(got[name], value, name);
  assert.equal(got.owner_id, t.owner.user.id);
  assert.equal(got.revision, 1);
  assert.equal(got.favourite, false);
  assert.equal(got.rating, null);
  assert.equal(got.avatar_url, null);
});

test("only a name is required; what is wrong is named", async () => {
  const bare = await make({ name: "  Bare  " });
  assert.equal(bare.name, "Bare");
  assert.equal(bare.visibility, "private");
  assert.equal(bare.talkativeness, 0.5);
  assert.deepEqual(bare.tags, []);
  assert.equal(bare.character_book, null);
  for (const [body, field] of [
    [{}, "name"], [{ name: "" }, "name"], [{ name: "   " }, "name"], [{ name: "x".repeat(201) }, "name"], [{ name: "A", visibility: "everyone" }, "visibility"],
    [{ name: "A", talkativeness: 2 }, "talkativeness"], [{ name: "A", tags: "a,b" }, "tags"], [{ name: "A", greeting: "Hi" }, "greeting"],
    [{ name: "A", extensions: [] }, "extensions"], [{ name: "A", character_book: 5 }, "character_book"], [{ name: "A", assets: {} }, "assets"], [{ name: 7 }, "name"],
  ]) {
    const answer = await t.api("POST", "/characters", body);
    assert.equal(answer.status, 422, `${JSON.stringify(body).slice(0, 60)}: ${answer.text}`);
    assert.equal(answer.json.errors[0].field, field, answer.text);
  }
});

test("a change is a revision; a stale one is refused; what was not sent stays", async () => {
  const made = await t.api("POST", "/characters", FULL);
  const id = made.json.id, etag = made.headers.get("etag");
  const changed = await t.api("PATCH", `/characters/${id}`, { personality: "dry" }, { headers: { "If-Match": etag } });
  assert.equal(changed.status, 200, changed.text);
  assert.equal(changed.json.revision, 2);
  assert.equal(changed.json.personality, "dry");
  for (const [name, value] of Object.entries({ ...FULL, personality: "dry" })) assert.deepEqual(changed.json[name], value, name);
  const stale = await t.api("PATCH", `/characters/${id}`, { personality: "lost" }, { headers: { "If-Match": etag } });
  assert.equal(stale.status, 412);
  assert.equal((await t.api("PATCH", `/characters/${id}`, { personality: "x" }, { headers: { "If-Match": '"nonsense"' } })).status, 412);
  assert.equal((await t.api("GET", `/characters/${id}`)).json.personality, "dry");
  assert.equal((await t.api("PATCH", `/characters/${id}`, { nosuch: 1 })).status, 422);
  const gone = await t.api("PATCH", `/characters/${id}`, { character_book: null, assets: null, creator_notes_multilingual: null });
  assert.deepEqual([gone.json.character_book, gone.json.assets, gone.json.creator_notes_multilingual, gone.json.revision], [null, null, null, 3]);
});

test("an unchanged character is a 304; becoming a favourite changes the answer", async () => {
  const { id } = await make({ name: "Still" });
  const first = await t.api("GET", `/characters/${id}`);
  const again = await t.api("GET", `/characters/${id}`, undefined, { headers: { "If-None-Match": first.headers.get("etag") } });
  assert.equal(again.status, 304);
  assert.equal((await t.api("POST", "/users/me/favorites", { character_id: id })).status, 201);
  const now = await t.api("GET", `/characters/${id}`, undefined, { headers: { "If-None-Match": first.headers.get("etag") } });
  assert.equal(now.status, 200);
  assert.equal(now.json.favourite, true);
  const saved = await t.api("PATCH", `/characters/${id}`, { tagline: "x" }, { headers: { "If-Match": now.headers.get("etag") } });
  assert.equal(saved.status, 200, "the tag of a favourite is good for a change");
});

test("revisions are listed, read and brought back, with their lore and portrait", async () => {
  const { id } = await make({ name: "One", tags: ["first"], character_book: { entries: [{ keys: ["a"], content: "old", enabled: true, insertion_order: 1 }] } });
  await t.api("PATCH", `/characters/${id}`, { name: "Two", tags: [], character_book: null, visibility: "public" });
  await t.api("PATCH", `/characters/${id}`, { name: "Three" });
  const list = (await t.api("GET", `/characters/${id}/revisions`)).json.items;
  assert.deepEqual(list.map((item) => item.revision), [3, 2, 1]);
  assert.equal(list[0].saved_by, t.owner.user.id);
  const page = (await t.api("GET", `/characters/${id}/revisions?limit=2`)).json;
  assert.deepEqual((await t.api("GET", `/characters/${id}/revisions?cursor=${page.next_cursor}`)).json.items.map((item) => item.revision), [1]);
  const one = (await t.api("GET", `/characters/${id}/revisions/1`)).json;
  assert.equal(one.character.name, "One");
  assert.equal(one.character.character_book.entries[0].content, "old");
  const back = await t.api("POST", `/characters/${id}/revisions/1/restore`);
  assert.equal(back.status, 200, back.text);
  assert.equal(back.json.revision, 4);
  assert.equal(back.json.name, "One");
  assert.deepEqual(back.json.tags, ["first"]);
  assert.equal(back.json.character_book.entries[0].content, "old");
  assert.equal(back.json.visibility, "public", "who may see it is not content");
  assert.equal((await t.api("GET", `/characters/${id}/revisions/99`)).status, 404);
  assert.equal((await t.api("GET", `/characters/${id}/revisions/x`)).status, 404);
});

test("a change of a lore entry is a revision of the character", async () => {
  const made = await make({ name: "Booked", character_book: { entries: [{ keys: ["a"], content: "old", enabled: true, insertion_order: 1 }] } });
  const entry = (await t.api("GET", `/lorebooks/${made.lorebook_id}/entries`)).json.items[0];
  assert.equal((await t.api("PATCH", `/lorebooks/${made.lorebook_id}/entries/${entry.id}`, { content: "new" })).status, 200);
  const now = (await t.api("GET", `/characters/${made.id}`)).json;
  assert.equal(now.revision, 2);
  assert.equal(now.character_book.entries[0].content, "new");
  assert.equal((await t.api("GET", `/characters/${made.id}/revisions/2`)).json.character.character_book.entries[0].content, "new");
  assert.equal((await t.api("GET", `/characters/${made.id}/revisions/1`)).json.character.character_book.entries[0].content, "old");
});

test("private, unlisted and public: who sees what, and who may change it", async () => {
  const seen = {};
  for (const visibility of ["private", "unlisted", "public"]) seen[visibility] = (await make({ name: `Shy ${visibility}`, visibility })).id;
  const status = async (method, id, body) => (await t.api(method, `/characters/${id}`, body, as(mia))).status;
  assert.equal(await status("GET", seen.private), 404);
  assert.equal(await status("GET", seen.unlisted), 200);
  assert.equal(await status("GET", seen.public), 200);
  const listed = ids(await t.api("GET", "/characters?limit=100", undefined, as(mia)));
  assert.ok(listed.includes(seen.public) && !listed.includes(seen.private) && !listed.includes(seen.unlisted));
  const mine = ids(await t.api("GET", "/characters?limit=100"));
  for (const id of Object.values(seen)) assert.ok(mine.includes(id));
  assert.equal(await status("PATCH", seen.private, { name: "Mine" }), 404);
  assert.equal(await status("PATCH", seen.public, { name: "Mine" }), 403);
  assert.equal(await status("DELETE", seen.public), 403);
  assert.equal((await t.api("PUT", `/characters/${seen.public}/avatar`, new Uint8Array([1]), as(mia))).status, 403);
  assert.equal((await t.api("GET", `/characters/${seen.public}/revisions`, undefined, as(mia))).status, 403);
  assert.equal((await t.api("GET", `/characters/${seen.private}/export`, undefined, as(mia))).status, 404);
  assert.equal((await t.api("GET", `/characters/${seen.public}`)).json.name, "Shy public");
});

test("what is for adults is shown to adults, made by adults", async () => {
  const refused = await t.api("POST", "/characters", { name: "Late show", content_tier: "mature" }, as(mia));
  assert.equal(refused.status, 403, refused.text);
  const { id } = await make({ name: "Late show", content_tier: "adult", visibility: "public", tags: ["late"] }, adult);
  assert.equal((await t.api("GET", `/characters/${id}`, undefined, as(mia))).status, 404);
  assert.ok(!ids(await t.api("GET", "/characters?limit=100", undefined, as(mia))).includes(id));
  assert.ok(!ids(await t.api("GET", "/characters/search?q=late", undefined, as(mia))).includes(id));
  assert.ok(!(await t.api("GET", "/tags?limit=100", undefined, as(mia))).json.items.some((item) => item.tag === "late"));
  assert.ok(ids(await t.api("GET", "/characters?limit=100&tier=adult", undefined, as(adult))).includes(id));
  assert.equal((await t.api("POST", `/characters/${id}/duplicate`, undefined, as(mia))).status, 404);
  const own = await make({ name: "Early" }, mia);
  assert.equal((await t.api("PATCH", `/characters/${own.id}`, { content_tier: "mature" }, as(mia))).status, 403);
});

test("the trash: gone for everybody, back on demand, emptied after thirty days", async () => {
  const { id } = await make({ name: "Mayfly", visibility: "public" });
  assert.equal((await t.api("DELETE", `/characters/${id}`)).status, 204);
  assert.equal((await t.api("GET", `/characters/${id}`)).status, 404);
  assert.ok(!ids(await t.api("GET", "/characters?limit=100")).includes(id));
  assert.equal((await t.api("GET", "/characters/search?q=mayfly")).json.items.length, 0);
  assert.ok(ids(await t.api("GET", "/characters?trash=true")).includes(id));
  assert.equal((await t.api("GET", "/characters?trash=true", undefined, as(mia))).json.items.length, 0);
  assert.equal((await t.api("POST", `/characters/${id}/restore`, undefined, as(mia))).status, 404);
  assert.equal((await t.api("POST", `/characters/${id}/restore`)).status, 200);
  assert.equal((await t.api("POST", `/characters/${id}/restore`)).status, 409);
  assert.equal((await t.api("GET", "/characters/search?q=mayfly")).json.items.length, 1);
});

test("a copy is private, whole, and its own", async () => {
  const made = await make({ ...FULL, visibility: "public" });
  const copy = await t.api("POST", `/characters/${made.id}/duplicate`, undefined, as(mia));
  assert.equal(copy.status, 201, copy.text);
  assert.equal(copy.json.owner_id, mia.user.id);
  assert.equal(copy.json.name, "Ibid (copy)");
  assert.equal(copy.json.visibility, "private");
  assert.notEqual(copy.json.lorebook_id, made.lorebook_id);
  for (const name of ["description", "extensions", "character_book", "assets", "tags"]) assert.deepEqual(copy.json[name], made[name], name);
  assert.equal((await t.api("GET", `/characters/${copy.json.id}`)).status, 404, "not even the first owner sees it");
});

test("lists page by key, newest first, and miss nothing while others are added", async () => {
  const person = await t.newUser({ name: "Pat" });
  const made = [];
  for (let i = 0; i < 7; i++) made.unshift((await make({ name: `Row ${i}`, tags: [i % 2 ? "odd" : "Even"] }, person)).id);
  const first = (await t.api("GET", "/characters?limit=3&mine=true", undefined, as(person))).json;
  await make({ name: "Late" }, person);
  const second = (await t.api("GET", `/characters?limit=3&mine=true&cursor=${first.next_cursor}`, undefined, as(person))).json;
  const third = (await t.api("GET", `/characters?limit=3&mine=true&cursor=${second.next_cursor}`, undefined, as(person))).json;
  assert.deepEqual([...first.items, ...second.items, ...third.items].map((item) => item.id), made);
  assert.equal(third.next_cursor, null);
  const even = (await t.api("GET", "/characters?tag=EVEN&mine=true", undefined, as(person))).json.items;
  assert.deepEqual(even.map((item) => item.name), ["Row 6", "Row 4", "Row 2", "Row 0"]);
  assert.equal((await t.api("GET", "/characters?cursor=nonsense")).status, 422);
  assert.equal((await t.api("GET", "/characters?limit=101")).status, 422);
  assert.equal((await t.api("GET", "/characters?colour=red")).status, 422);
  const item = first.items[0];
  assert.deepEqual(Object.keys(item).sort(), ["avatar_url", "content_tier", "created_at", "creator", "favourite", "id", "name", "nickname", "owner_id", "rating",
    "revision", "tagline", "tags", "talkativeness", "updated_at", "visibility"]);
});

test("search finds words, beginnings and slips of the finger, best first", async () => {
  const dragon = (await make({ name: "Vermithrax", tagline: "The last dragon of Cornwall", tags: ["fantasy"], description: "A wyrm." })).id;
  const keeper = (await make({ name: "Lighthouse keeper", description: "Once saw a dragon, or a cloud.", tags: ["sea"] })).id;
  const umlaut = (await make({ name: "Jürgen Größe" })).id;
  const find = async (q, more = "") => ids(await t.api("GET", `/characters/search?q=${encodeURIComponent(q)}${more}`));
  assert.deepEqual(await find("dragon"), [dragon, keeper], "a tagline before a description");
  assert.deepEqual(await find("vermi"), [dragon], "as one types");
  assert.deepEqual(await find("vermitrax"), [dragon], "a letter missing");
  assert.deepEqual(await find("lighthuose"), [keeper], "letters swapped");
  assert.deepEqual(await find("jurgen"), [umlaut], "without the marks");
  assert.deepEqual(await find("GRÖSSE").then((found) => found.length <= 1), true);
  assert.deepEqual(await find("dragon", "&tag=sea"), [keeper]);
  assert.deepEqual(await find("dragon", "&sort=new"), [keeper, dragon]);
  assert.deepEqual(await find("dragon", "&limit=1"), [dragon]);
  const page = (await t.api("GET", "/characters/search?q=dragon&limit=1")).json;
  assert.deepEqual(ids(await t.api("GET", `/characters/search?q=dragon&limit=1&cursor=${page.next_cursor}`)), [keeper]);
  assert.deepEqual(await find("zzyzx"), []);
  assert.deepEqual(ids(await t.api("GET", "/characters/search?tag=sea")), [keeper], "by tag alone");
  for (const hostile of ['"', "'", "dragon OR", "NEAR(", "*", "name:dragon AND", "-", "\\", "a\u0001b", "((((", '""""']) {
    const answer = await t.api("GET", `/characters/search?q=${encodeURIComponent(hostile)}`);
    assert.ok(answer.status === 200 || answer.status === 422, `${hostile}: ${answer.status}`);
  }
  await t.api("PATCH", `/characters/${dragon}`, { name: "Smokey", tagline: "" });
  assert.deepEqual(await find("vermithrax"), [], "the index follows the character");
  assert.deepEqual(await find("smokey"), [dragon]);
});

test("tags are counted over what one may see", async () => {
  await make({ name: "T1", tags: ["Tally", "tally", " TALLY "], visibility: "public" });
  await make({ name: "T2", tags: ["tally", "hidden-tally"] });
  const count = async (person, tag) => (await t.api("GET", "/tags?limit=100", undefined, as(person))).json.items.find((item) => item.tag === tag)?.count;
  assert.equal(await count(t.owner, "tally"), 2);
  assert.equal(await count(mia, "tally"), 1);
  assert.equal(await count(mia, "hidden-tally"), undefined);
});

test("favourites are one's own", async () => {
  const { id } = await make({ name: "Loved", visibility: "public" });
  const secret = await make({ name: "Secret" });
  assert.equal((await t.api("POST", "/users/me/favorites", { character_id: id }, as(mia))).status, 201);
  assert.equal((await t.api("POST", "/users/me/favorites", { character_id: id }, as(mia))).status, 201, "twice is no error");
  assert.equal((await t.api("POST", "/users/me/favorites", { character_id: secret.id }, as(mia))).status, 404);
  assert.deepEqual(ids(await t.api("GET", "/users/me/favorites", undefined, as(mia))), [id]);
  assert.equal((await t.api("GET", `/characters/${id}`, undefined, as(mia))).json.favourite, true);
  assert.equal((await t.api("GET", `/characters/${id}`)).json.favourite, false);
  await t.api("PATCH", `/characters/${id}`, { visibility: "private" });
  assert.deepEqual(ids(await t.api("GET", "/users/me/favorites", undefined, as(mia))), [], "what became private is out of sight");
  await t.api("PATCH", `/characters/${id}`, { visibility: "public" });
  assert.equal((await t.api("DELETE", `/users/me/favorites/${id}`, undefined, as(mia))).status, 204);
  assert.equal((await t.api("DELETE", `/users/me/favorites/${id}`, undefined, as(mia))).status, 404);
});

test("the starter cast is on the stage of the owner, with lore", async () => {
  const stage = await start();
  try {
    const cast = (await stage.api("GET", "/characters")).json.items;
    assert.ok(cast.length >= 6, `only ${cast.length}`);
    for (const item of cast) {
      assert.equal(item.visibility, "public");
      assert.equal(item.content_tier, "all_ages");
      const whole = (await stage.api("GET", `/characters/${item.id}`)).json;
      assert.ok(whole.first_mes.length > 100 && whole.character_book.entries.length > 0, item.name);
    }
    assert.equal((await stage.api("DELETE", `/characters/${cast[0].id}`)).status, 204, "the owner can delete them");
  } finally {
    await stage.stop();
  }
});

test("after thirty days in the trash a character is gone for good", async () => {
  const stage = await start();
  try {
    const made = (await stage.api("POST", "/characters", { name: "Ephemeral" })).json;
    await stage.api("DELETE", `/characters/${made.id}`);
    const inTrash = async (token) => ids(await stage.api("GET", "/characters?trash=true", undefined, { token })).includes(made.id);
    stage.moveClock(29 * 24 * 3600 * 1000);
    const token = (await stage.login(stage.owner.email)).token;
    const sweeps = async () => (await stage.api("GET", "/admin/jobs?limit=100", undefined, { token })).json.items.filter((job) => job.is_standing);
    await until(async () => (await sweeps()).every((job) => job.state === "queued" && Date.parse(job.run_at) > Date.now() + stage.clock), "the sweeps of by then");
    assert.ok(await inTrash(token), "after twenty-nine it is still there");
    stage.moveClock(2 * 24 * 3600 * 1000);
    const later = (await stage.login(stage.owner.email)).token;
    await until(async () => !(await inTrash(later)), "the sweep of the trash");
    assert.equal((await stage.api("POST", `/characters/${made.id}/restore`, undefined, { token: later })).status, 404);
  } finally {
    await stage.stop();
  }
});

test("the prompt of a character that is being written: the same parts as every prompt, stored nowhere", async () => {
  const before = (await t.api("GET", "/characters?mine=true&limit=100")).json.items.length;
  const made = await t.api("POST", "/characters/preview", { name: "Ada Byron", nickname: "Ada", description: "{{char}} counts stars for {{user}}.", first_mes: "Good evening, {{user}}.", message: "Hello?" });
  assert.equal(made.status, 200, made.text);
  const text = made.json.parts.map((part) => part.content).join("\n");
  assert.ok(text.includes("Ada counts stars for Olive.") && text.includes("Good evening, Olive.") && !text.includes("{{"));
  assert.ok(made.json.used_tokens > 0 && made.json.used_tokens <= made.json.budget_tokens);
  assert.ok(made.json.parts.every((part) => part.tokens > 0 || part.dropped));
  const nameless = await t.api("POST", "/characters/preview", { description: "Nobody." });
  assert.deepEqual([nameless.status, nameless.json.errors.map((row) => row.field)], [422, ["name"]]);
  assert.equal((await t.api("GET", "/characters?mine=true&limit=100")).json.items.length, before);
});
