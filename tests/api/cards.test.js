// Card files in and out, with files that other programs' libraries make, and reports for those that cannot be read.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { crc32, deflateSync, inflateSync } from "node:zlib";
import { CCardLib } from "@risuai/ccardlib";
import utils from "character-card-utils";
import { start } from "./harness.js";

let t, mia;
before(async () => { t = await start(); mia = await t.newUser({ name: "Mia" }); });
after(() => t.stop());

// --- PNG by hand -----------------------------------------------------------------------------------------------------

const table = Array.from({ length: 256 }, (_, n) => { for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1; return n >>> 0; });
const crc = crc32 ?? ((bytes) => { let c = 0xffffffff; for (const b of bytes) c = table[(c ^ b) & 255] ^ (c >>> 8); return (c ^ 0xffffffff) >>> 0; });
const u32 = (n) => { const b = Buffer.alloc(4); b.writeUInt32BE(n); return b; };
const chunk = (type, data = Buffer.alloc(0)) => {
  const body = Buffer.concat([Buffer.from(type, "latin1"), Buffer.from(data)]);
  return Buffer.concat([u32(data.length), body, u32(crc(body))]);
};
const text = (keyword, value) => chunk("tEXt", Buffer.concat([Buffer.from(`${keyword}\0`), Buffer.from(value)]));
const base64 = (card) => Buffer.from(JSON.stringify(card)).toString("base64");
function png(texts = [], { width = 3, height = 2, pixels = deflateSync(Buffer.alloc((width * 3 + 1) * height, 7)) } = {}) {
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", Buffer.concat([u32(width), u32(height), Buffer.from([8, 2, 0, 0, 0])])),
    ...texts, chunk("IDAT", pixels), chunk("IEND")]);
}
function* chunks(bytes) {
  for (let at = 8; at < bytes.length;) {
    const length = bytes.readUInt32BE(at);
    const body = bytes.subarray(at + 4, at + 8 + length);
    assert.equal(bytes.readUInt32BE(at + 8 + length), crc(body), "a checksum of ours is wrong");
    yield { type: body.toString("latin1", 0, 4), data: body.subarray(4) };
    at += 12 + length;
  }
}
function cards(bytes) {
  const found = {};
  for (const { type, data } of chunks(bytes)) {
    if (type !== "tEXt") continue;
    const end = data.indexOf(0);
    found[data.toString("latin1", 0, end)] = JSON.parse(Buffer.from(data.toString("latin1", end + 1), "base64").toString("utf8"));
  }
  return found;
}

/** Without members that are undefined. */
const plain = (value) => JSON.parse(JSON.stringify(value));
/** ccardlib's check takes nulls out of what it is given. */
const versionOf = (card) => CCardLib.character.check(structuredClone(card));

// --- the API ---------------------------------------------------------------------------------------------------------

async function importFiles(files, { token = t.owner.token } = {}) {
  const form = new FormData();
  for (const [name, bytes] of Object.entries(files)) form.append("files", new Blob([bytes]), name);
  const answer = await t.api("POST", "/characters/import", form, { token });
  assert.equal(answer.status, 200, answer.text);
  return answer.json.items;
}
async function importOne(name, bytes) {
  const [item] = await importFiles({ [name]: bytes });
  assert.equal(item.status, "imported", JSON.stringify(item));
  return item;
}
const exported = (id, format, options) => t.api("GET", `/characters/${id}/export?format=${format}`, undefined, options);

// --- cards -----------------------------------------------------------------------------------------------------------

const V1 = { name: "Åsa 🦊", description: "d", personality: "p", scenario: "s", first_mes: "f {{user}}", mes_example: "<START>" };
const V2 = {
  spec: "chara_card_v2", spec_version: "2.0",
  data: {
    ...V1, creator_notes: "n", system_prompt: "sp {{original}}", post_history_instructions: "ph", alternate_greetings: ["a", "b"], tags: ["One", "two"], creator: "c",
    character_version: "main", extensions: { chub: { full_path: "x/y", big: 12345678901234567890n.toString() }, depth_prompt: { prompt: "", depth: 4 }, list: [1, 2.5, null, true] },
    character_book: {
      name: "Book", description: "", scan_depth: 4, token_budget: 400, recursive_scanning: true, extensions: { mine: 1 },
      entries: [
        { keys: ["key", "ключ"], content: "Content.", extensions: { position: 0, selectiveLogic: 1, own: {} }, enabled: true, insertion_order: 3, case_sensitive: false,
          name: "N", priority: 10, id: 42, comment: "c", selective: true, secondary_keys: ["also"], constant: false, position: "before_char" },
        { keys: [], content: "", extensions: {}, enabled: false, insertion_order: 0 },
      ],
    },
  },
};
const V3 = {
  spec: "chara_card_v3", spec_version: "3.0",
  data: {
    ...V2.data, nickname: "Å", group_only_greetings: ["g"], source: ["https://example.com/card"], creation_date: 1700000000, modification_date: 1700000001,
    creator_notes_multilingual: { sv: "på svenska" }, assets: [{ type: "icon", uri: "ccdefault:", name: "main", ext: "png" }],
    extensions: { ...V2.data.extensions, "x-other": { kept: [true] } }, some_future_member: { a: [1] },
    character_book: { ...V2.data.character_book, entries: V2.data.character_book.entries.map((entry, i) => ({ ...entry, use_regex: false, content: i ? "" : "@@depth 2\nContent.", future: i })) },
  },
};

test("a V3 card comes back as the same JSON, as JSON and in a PNG, its picture untouched", async () => {
  for (const [name, bytes] of [["card.json", JSON.stringify(V3)], ["card.png", png([text("chara", base64(V2)), text("ccv3", base64(V3))])]]) {
    const { character, warnings } = await importOne(name, bytes);
    assert.deepEqual(warnings, []);
    assert.equal(character.visibility, "private");
    const json = await exported(character.id, "v3_json");
    assert.match(json.headers.get("content-type"), /^application\/json/);
    assert.deepEqual(JSON.parse(json.text), V3, name);
    const image = (await exported(character.id, "v3_png")).bytes;
    const inside = cards(image);
    assert.deepEqual(Object.keys(inside), ["chara", "ccv3"], "the V2 copy stands first");
    assert.deepEqual(inside.ccv3, V3);
    if (name === "card.png") assert.deepEqual([...chunks(image)].find(({ type }) => type === "IDAT").data, [...chunks(bytes)].find(({ type }) => type === "IDAT").data);
    const again = await importOne("again.png", image);
    assert.deepEqual(JSON.parse((await exported(again.character.id, "v3_json")).text), V3, "and again");
  }
});

test("a V2 card comes back as the same data in a V2 PNG", async () => {
  const { character } = await importOne("x.png", png([text("chara", base64(V2))]));
  const inside = cards((await exported(character.id, "v2_png")).bytes);
  assert.deepEqual(Object.keys(inside), ["chara"]);
  const { name, description, personality, scenario, first_mes, mes_example, ...rest } = inside.chara;
  assert.deepEqual(rest, V2);
  assert.deepEqual({ name, description, personality, scenario, first_mes, mes_example }, V1, "beside it the V1 mirror for old readers");
});

test("character-card-utils: cards that it makes are taken, cards of ours it reads unchanged", async () => {
  const backfilled = utils.backfillV2WithObsolescenceNotice(utils.parseToV2(V2));
  const { character } = await importOne("theirs.json", JSON.stringify(backfilled));
  assert.equal(character.name, V1.name, "data counts, not the notice in the V1 mirror");
  const chara = cards((await exported(character.id, "v2_png")).bytes).chara;
  assert.deepEqual(utils.parseToV2(chara), utils.parseToV2(V2));
  assert.ok(utils.backfilledV2.safeParse(chara).success, "with its mirror it is a back-filled V2 card");

  const fromV1 = await importOne("v1.json", JSON.stringify(V1));
  assert.deepEqual(utils.parseToV2(cards((await exported(fromV1.character.id, "v2_png")).bytes).chara), plain(utils.v1ToV2(V1)));
});

test("ccardlib: cards that it converts are taken, cards of ours it recognises and converts back", async () => {
  for (const to of ["v1", "v2", "v3"]) {
    const theirs = CCardLib.character.convert(structuredClone(V3), { from: "v3", to });
    const { character } = await importOne(`${to}.json`, JSON.stringify(theirs));
    const back = JSON.parse((await exported(character.id, "v3_json")).text);
    assert.equal(versionOf(back), "v3", to);
    const asTheirs = CCardLib.character.convert(structuredClone(back), { from: "v3", to: "v1" });
    for (const name of Object.keys(V1)) assert.deepEqual(asTheirs[name], V1[name], `${to} ${name}`);
    if (to === "v3") assert.deepEqual(back, theirs);
  }
  const inside = cards((await exported((await importOne("v3.json", JSON.stringify(V3))).character.id, "v3_png")).bytes);
  assert.equal(versionOf(inside.chara), "v2");
  assert.equal(versionOf(inside.ccv3), "v3");
  const reduced = CCardLib.character.convert(structuredClone(V3), { from: "v3", to: "v2" });
  assert.equal(inside.chara.data.character_book.entries[0].content, reduced.data.character_book.entries[0].content, "decorators are taken off the V2 copy, as it does");
  assert.match(inside.chara.data.creator_notes, /^n\n\nThis is a reduced copy/);
});

test("what was made here is read by both libraries", async () => {
  const made = (await t.api("POST", "/characters", { name: "Made here", first_mes: "Hi.", tagline: "A line.", talkativeness: 0.9,
    character_book: { entries: [{ keys: ["a"], content: "b", enabled: true, insertion_order: 1 }] } })).json;
  const v3 = JSON.parse((await exported(made.id, "v3_json")).text);
  assert.equal(versionOf(v3), "v3");
  assert.ok(v3.data.creation_date > 1.7e9 && v3.data.modification_date >= v3.data.creation_date);
  assert.deepEqual(v3.data.extensions, { talkativeness: 0.9, troupe: { tagline: "A line." } });
  const v2 = cards((await exported(made.id, "v2_png")).bytes).chara;
  assert.equal(utils.parseToV2(v2).data.name, "Made here");
  assert.equal(v2.data.nickname, undefined);
  const back = await importOne("back.json", JSON.stringify(v3));
  assert.equal(back.character.tagline, "A line.");
  assert.equal(back.character.talkativeness, 0.9);
  assert.deepEqual(back.character.extensions, { talkativeness: 0.9 });
});

test("an edit shows in the export, and what was not edited stays", async () => {
  const { character } = await importOne("card.json", JSON.stringify(V3));
  await t.api("PATCH", `/characters/${character.id}`, { personality: "changed" });
  const out = JSON.parse((await exported(character.id, "v3_json")).text);
  assert.ok(out.data.modification_date > V3.data.modification_date);
  assert.deepEqual(out, { ...V3, data: { ...V3.data, personality: "changed", modification_date: out.data.modification_date } });
});

test("many files at once: each has its own outcome, in order", async () => {
  const bomb = png([text("chara", base64(V2))], { pixels: deflateSync(Buffer.alloc(16 << 20)) });
  const huge = png([text("chara", base64(V2))], { width: 20000, height: 20000, pixels: Buffer.from([1]) });
  const items = await importFiles({
    "good.json": JSON.stringify(V2), "empty.json": "", "broken.json": '{"name": ', "no card.json": "{}", "good.png": png([text("CHARA", base64(V1))]), "plain.png": png(),
    "bomb.png": bomb, "huge.png": huge, "cut.png": png([text("chara", base64(V2))]).subarray(0, 60), "photo.jpg": Buffer.from("ffd8ffe000104a464946", "hex"),
    "book.json": JSON.stringify({ spec: "lorebook_v3", data: { entries: [] } }), "archive.charx": Buffer.from("504b0304", "hex"), "twice.json": '{"name":"a","name":"b","description":""}',
    "../../etc/passwd": JSON.stringify(V1), "wrong crc.png": Buffer.from(png([text("chara", base64(V2))]).map((b, i) => (i === 36 + 8 + 6 + base64(V2).length ? b ^ 1 : b))),
  });
  assert.deepEqual(items.map((item) => item.status), ["imported", "failed", "failed", "failed", "imported", "failed", "failed", "failed", "failed", "failed", "failed", "failed",
    "failed", "imported", "imported"]);
  for (const item of items) {
    assert.equal(typeof item.error, item.status === "failed" ? "string" : "undefined", item.file);
    assert.equal(typeof item.character, item.status === "failed" ? "undefined" : "object", item.file);
  }
  assert.deepEqual(items.map((item) => item.file).slice(0, 3), ["good.json", "empty.json", "broken.json"]);
  assert.equal(items[13].file, "passwd", "a name is only a label");
  assert.match(items[14].warnings.join(), /checksum/);
  assert.match(items[6].error, /unpacks to more/);
  assert.match(items[7].error, /8192/);
  assert.equal((await t.api("POST", "/characters/import", new FormData())).status, 422);
  assert.equal((await t.api("POST", "/characters/import", { files: [] })).status, 415);
});

test("an imported card of a higher tier needs an adult", async () => {
  const card = structuredClone(V3);
  card.data.extensions.troupe = { content_tier: "adult" };
  const [item] = await importFiles({ "late.json": JSON.stringify(card) }, { token: mia.token });
  assert.equal(item.status, "failed");
  assert.match(item.error, /adult age/);
});

test("an old file is read, and what is a person's own is not given on", async () => {
  const old = { ...V1, creatorcomment: "cc", talkativeness: "0.7", fav: "true", chat: "Åsa - 2024-01-01", avatar: "none", create_date: "2024" };
  const { character } = await importOne("old.json", JSON.stringify(old));
  assert.equal(character.creator_notes, "cc");
  assert.equal(character.talkativeness, 0.7);
  const out = JSON.parse((await exported(character.id, "v3_json")).text);
  assert.deepEqual([out.chat, out.fav, out.create_date], [undefined, false, "2024"]);
  assert.equal(out.data.extensions.talkativeness, 0.7);
});

test("portraits: by content, cleaned, and loaded without a token", async () => {
  const made = (await t.api("POST", "/characters", { name: "Face" })).json;
  const secret = png([text("Comment", "my address"), text("chara", base64(V2))]);
  const put = await t.api("PUT", `/characters/${made.id}/avatar`, secret, { headers: { "content-type": "text/html" } });
  assert.equal(put.status, 200, put.text);
  assert.equal(put.json.revision, 2);
  assert.match(put.json.avatar_url, /^\/api\/v1\/media\/[0-9a-f]{64}$/);
  const picture = await t.api("GET", put.json.avatar_url, undefined, { token: null });
  assert.equal(picture.status, 200);
  assert.equal(picture.headers.get("content-type"), "image/png");
  assert.match(picture.headers.get("cache-control"), /immutable/);
  assert.equal(picture.headers.get("x-content-type-options"), "nosniff");
  assert.ok(!picture.bytes.includes("my address") && !picture.bytes.includes("chara"));
  assert.deepEqual([...chunks(picture.bytes)].map(({ type }) => type), ["IHDR", "IDAT", "IEND"]);
  const etag = picture.headers.get("etag");
  assert.equal((await t.api("GET", put.json.avatar_url, undefined, { token: null, headers: { "if-none-match": etag } })).status, 304);
  const key = put.json.avatar_url.split("/").pop();
  const same = await t.api("GET", `/characters/${made.id}/avatar?v=${key.slice(0, 16)}`);
  assert.match(same.headers.get("cache-control"), /immutable/);
  assert.match((await t.api("GET", `/characters/${made.id}/avatar`)).headers.get("cache-control"), /no-cache/);
  assert.equal((await t.api("GET", `/characters/${made.id}/avatar`, undefined, { token: mia.token })).status, 404);
  assert.equal((await t.api("GET", "/media/..%2f..%2ftroupe.db", undefined, { token: null })).status, 400, "no path leads out");
  for (const path of [`/media/${"0".repeat(64)}`, "/media/x", `/media/${key.toUpperCase()}`])
    assert.equal((await t.api("GET", path, undefined, { token: null })).status, 404, path);
  for (const [bytes, status] of [["<svg xmlns='http://www.w3.org/2000/svg'/>", 415], [Buffer.from("GIF89a......."), 415], [png([], { pixels: deflateSync(Buffer.alloc(9 << 20)) }), 413],
    [png([], { width: 9000, height: 1 }), 413], [secret.subarray(0, 70), 422], [Buffer.alloc((8 << 20) + 1), 413]])
    assert.equal((await t.api("PUT", `/characters/${made.id}/avatar`, bytes)).status, status);
  assert.equal((await t.api("GET", `/characters/${made.id}`)).json.revision, 2, "none of these changed anything");
});

test("an export without a portrait is carried by a picture of ours; names survive in the header", async () => {
  const { character } = await importOne("v1.json", JSON.stringify(V1));
  const answer = await exported(character.id, "v3_png");
  assert.equal(answer.headers.get("content-type"), "image/png");
  assert.equal(answer.headers.get("content-disposition"), `attachment; filename="__sa ____.png"; filename*=UTF-8''${encodeURIComponent("Åsa 🦊")}.png`);
  const found = [...chunks(answer.bytes)];
  const header = found[0].data;
  assert.deepEqual([header.readUInt32BE(0), header.readUInt32BE(4)], [400, 600]);
  assert.equal(inflateSync(found.find(({ type }) => type === "IDAT").data).length, 401 * 600);
  const hostile = (await t.api("POST", "/characters", { name: 'a"; filename="evil.exe' })).json;
  assert.doesNotMatch((await exported(hostile.id, "v3_json")).headers.get("content-disposition").split(";")[1], /evil\.exe"/);
  assert.equal((await exported(character.id, "charx")).status, 422);
  assert.equal((await exported(character.id, "v3_png", { token: mia.token })).status, 404);
});

test("a thousand entries and a megabyte of card", async () => {
  const big = structuredClone(V3);
  big.data.description = "x".repeat(300000);
  big.data.character_book.entries = Array.from({ length: 1000 }, (_, i) => ({ keys: [`key ${i}`], content: "c".repeat(700), extensions: { i }, enabled: true, insertion_order: i, use_regex: false, id: i }));
  const { character } = await importOne("big.json", JSON.stringify(big));
  assert.deepEqual(JSON.parse((await exported(character.id, "v3_json")).text), big);
});
