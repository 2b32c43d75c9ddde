// Conversations and messages over the API: the tree of messages, swipes, edits, trash, branches, the prompt inspector (CHAT-1, CHAT-9, CHAT-11).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { events, start, until } from "./harness.js";
import { importTalk, messagesOf } from "./talks.js";

let t, character;
before(async () => {
  t = await start();
  const made = await t.api("POST", "/characters", {
    name: "Ada", description: "A clockmaker who talks to {{user}} as to an old friend.", first_mes: "Good evening, {{user}}. The clock says four.",
    alternate_greetings: ["You are late, {{user}}.", "Come in, {{user}}, mind the pendulum."], mes_example: "<START>\n{{user}}: Hello!\n{{char}}: *looks up* Hello yourself.",
    personality: "dry, exact", scenario: "A workshop at night.", post_history_instructions: "Never mention batteries.",
  });
  assert.equal(made.status, 201, made.text);
  character = made.json;
});
after(() => t.stop());

async function talk(body = {}) {
  const answer = await t.api("POST", "/conversations", { character_ids: [character.id], ...body });
  assert.equal(answer.status, 201, answer.text);
  return answer.json;
}
const say = (conversation, content, body = {}, query = "") =>
  t.api("POST", `/conversations/${conversation.id}/messages${query}`, { content, ...body });
const path = async (conversation, query = "") => (await t.api("GET", `/conversations/${conversation.id}/messages${query}`)).json.items;
const texts = (items) => items.map((message) => message.content);

test("a new talk opens with the greeting, the other greetings are its swipes", async () => {
  const conversation = await talk();
  assert.equal(conversation.title, "Ada");
  assert.equal(conversation.characters[0].id, character.id);
  const items = await path(conversation);
  assert.deepEqual(texts(items), ["Good evening, Olive. The clock says four."]);
  assert.deepEqual(items[0].swipe, { index: 0, count: 3 });
  assert.equal(items[0].author.kind, "character");

  const third = await talk({ greeting_index: 2, title: "Late" });
  assert.equal(third.title, "Late");
  assert.deepEqual(texts(await path(third)), ["Come in, Olive, mind the pendulum."]);
  assert.equal(third.last_line, "Come in, Olive, mind the pendulum.");

  const fourth = await t.api("POST", "/conversations", { character_ids: [character.id], greeting_index: 3 });
  assert.equal(fourth.status, 422);
  assert.equal(fourth.json.errors[0].field, "greeting_index");
});

test("a message is answered, both are there afterwards", async () => {
  const conversation = await talk();
  const answer = await say(conversation, "Hello, who are you?");
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.json.message.content, "Hello, who are you?");
  assert.equal(answer.json.message.author.name, "Olive");
  assert.equal(answer.json.reply.state, "complete");
  assert.equal(answer.json.reply.parent_id, answer.json.message.id);
  assert.ok(answer.json.reply.content.length > 10);
  assert.deepEqual((await path(conversation)).map((m) => m.id).slice(1), [answer.json.message.id, answer.json.reply.id]);
  const reread = await t.api("GET", `/conversations/${conversation.id}`);
  assert.equal(reread.json.head_id, answer.json.reply.id);
});

test("reply:false only stores; wait=false answers before the reply is there", async () => {
  const conversation = await talk();
  const stored = await say(conversation, "Just a note.", { reply: false });
  assert.equal(stored.status, 201);
  assert.equal(stored.json.reply, null);
  const early = await say(conversation, "And now?", {}, "?wait=false");
  assert.equal(early.status, 202);
  assert.equal(early.json.reply, null);
  assert.ok(early.json.turn_id);
  await until(async () => (await path(conversation)).at(-1).state === "complete", "the reply");
  assert.equal((await path(conversation)).length, 4);
});

test("the turn as a stream: received, start, chunks, complete, end", async () => {
  const conversation = await talk();
  const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Stream, please.", client_id: "c-1" },
    { headers: { accept: "text/event-stream" }, raw: true });
  assert.equal(answer.status, 200);
  assert.match(answer.headers.get("content-type"), /text\/event-stream/);
  const seen = [];
  for await (const event of events(answer)) seen.push(event.data);
  const types = seen.map((event) => event.type);
  const told = types.filter((type) => type !== "conversation:joined");
  assert.equal(told[0], "message:received");
  assert.equal(told[1], "message:stream:start");
  assert.equal(told.at(-1), "message:stream:complete");
  assert.ok(told.slice(2, -1).every((type) => type === "message:stream:chunk"));
  assert.equal(seen.find((event) => event.type === "message:received").data.client_id, "c-1");
  const text = seen.filter((event) => event.type === "message:stream:chunk").map((event) => event.data.delta).join("");
  assert.equal(text, seen.at(-1).data.message.content);
  const numbers = seen.map((event) => event.seq).filter(Boolean);
  for (let i = 1; i < numbers.length; i++) assert.equal(numbers[i], numbers[i - 1] + 1, "seq counts up by one");
});

test("regenerate adds a swipe; select shows it again, with what followed it", async () => {
  const conversation = await talk();
  const first = (await say(conversation, "Tell me about the pendulum.")).json;
  const again = await t.api("POST", `/conversations/${conversation.id}/messages/${first.reply.id}/regenerate`);
  assert.equal(again.status, 201, again.text);
  assert.equal(again.json.message, null);
  assert.equal(again.json.reply.id, first.reply.id, "the message stays, its variant is new");
  assert.deepEqual(again.json.reply.swipe, { index: 1, count: 2 });

  const after1 = (await say(conversation, "After the second.")).json;
  const back = await t.api("POST", `/conversations/${conversation.id}/messages/${first.reply.id}/select`, { swipe: 0 });
  assert.equal(back.status, 200);
  assert.equal(back.json.content, first.reply.content);
  assert.equal((await path(conversation)).at(-1).id, first.reply.id, "nothing follows the first variant");
  const after0 = (await say(conversation, "After the first.")).json;
  assert.equal(after0.message.parent_id, first.reply.id);

  await t.api("POST", `/conversations/${conversation.id}/messages/${first.reply.id}/select`, { swipe: 1 });
  assert.ok(texts(await path(conversation)).includes("After the second."), "its continuation is shown again");
  assert.ok(!texts(await path(conversation)).includes("After the first."));
  const other = await path(conversation, `?branch=${after0.message.id}&limit=100`);
  assert.ok(texts(other).includes("After the first."), "the other branch can be read without showing it");
  assert.equal(other.find((m) => m.id === first.reply.id).content, first.reply.content, "with the variant that it follows");
  const shown = await t.api("POST", `/conversations/${conversation.id}/messages/${after0.message.id}/activate`);
  assert.equal(shown.status, 200);
  assert.ok(texts(await path(conversation)).includes("After the first."));
  const branches = (await t.api("GET", `/conversations/${conversation.id}/branches`)).json.items;
  const trunk = branches.find((row) => row.parent_id === null);
  assert.deepEqual(branches.filter((row) => row !== trunk).map((row) => row.parent_id), [trunk.id]);
  const all = await t.api("GET", `/conversations/${conversation.id}/messages/${first.reply.id}/variants`);
  assert.equal(all.json.items.length, 2);
  const none = await t.api("POST", `/conversations/${conversation.id}/messages/${first.reply.id}/select`, { swipe: 2 });
  assert.equal(none.status, 422);
  assert.ok(after1.reply.id);
});

test("only what a character said can be regenerated", async () => {
  const conversation = await talk();
  const { message } = (await say(conversation, "Mine.", { reply: false })).json;
  const answer = await t.api("POST", `/conversations/${conversation.id}/messages/${message.id}/regenerate`);
  assert.equal(answer.status, 422);
  assert.equal((await path(conversation)).at(-1).swipe.count, 1, "nothing was added");
});

test("continue goes on with the last reply, and keeps what it was before", async () => {
  const conversation = await talk();
  const { reply } = (await say(conversation, "Go on, tell me more about the clocks in this workshop.")).json;
  const more = await t.api("POST", `/conversations/${conversation.id}/messages/${reply.id}/continue`);
  assert.equal(more.status, 201, more.text);
  assert.ok(more.json.reply.content.startsWith(reply.content));
  assert.deepEqual(more.json.reply.swipe, reply.swipe);
  const revisions = (await t.api("GET", `/conversations/${conversation.id}/messages/${reply.id}/revisions`)).json.items;
  assert.deepEqual(revisions.map((r) => [r.kind, r.content]), [["before_continue", reply.content]]);
});

test("replyNow answers what stands there", async () => {
  const conversation = await talk();
  const { message } = (await say(conversation, "Anybody?", { reply: false })).json;
  const answer = await t.api("POST", `/conversations/${conversation.id}/reply`);
  assert.equal(answer.status, 201, answer.text);
  assert.equal(answer.json.message, null);
  assert.equal(answer.json.reply.parent_id, message.id);
});

test("an edit keeps the text before; a stale one is refused, and its text is kept too", async () => {
  const conversation = await talk();
  const { message } = (await say(conversation, "I live in Lisbon.", { reply: false })).json;
  const where = `/conversations/${conversation.id}/messages/${message.id}`;
  const edited = await t.api("PATCH", where, { content: "I live in Porto.", revision: message.revision });
  assert.equal(edited.status, 200, edited.text);
  assert.equal(edited.json.content, "I live in Porto.");
  assert.ok(edited.json.revision > message.revision);
  const stale = await t.api("PATCH", where, { content: "I live in Faro.", revision: message.revision });
  assert.equal(stale.status, 409);
  const etag = (await t.api("GET", where)).headers.get("etag");
  await t.api("PATCH", where, { content: "I live in Braga." });
  const late = await t.api("PATCH", where, { content: "I live in Evora." }, { headers: { "if-match": etag } });
  assert.equal(late.status, 412);
  assert.equal((await t.api("GET", where)).json.content, "I live in Braga.");
  const kept = (await t.api("GET", `${where}/revisions`)).json.items;
  assert.deepEqual(kept.map((r) => [r.kind, r.content]).sort(), [["before_edit", "I live in Lisbon."], ["before_edit", "I live in Porto."],
    ["refused", "I live in Evora."], ["refused", "I live in Faro."]].sort());
  assert.equal((await t.api("GET", where, undefined, { headers: { "if-none-match": (await t.api("GET", where)).headers.get("etag") } })).status, 304);
  assert.equal((await t.api("PATCH", where, {})).status, 422);
});

test("a hidden message is shown to people and not sent to the model", async () => {
  const conversation = await talk();
  const { message } = (await say(conversation, "The secret word is hornbeam.", { reply: false })).json;
  await t.api("PATCH", `/conversations/${conversation.id}/messages/${message.id}`, { hidden: true });
  const { reply } = (await say(conversation, "What now?")).json;
  const prompt = (await t.api("GET", `/conversations/${conversation.id}/messages/${reply.id}/prompt`)).json;
  assert.ok(!JSON.stringify(prompt).includes("hornbeam"));
  assert.ok(texts(await path(conversation)).includes("The secret word is hornbeam."));
});

test("delete one or from here on, restore at once", async () => {
  const conversation = await talk();
  const a = (await say(conversation, "one", { reply: false })).json.message;
  const b = (await say(conversation, "two", { reply: false })).json.message;
  const c = (await say(conversation, "three", { reply: false })).json.message;
  const where = (message) => `/conversations/${conversation.id}/messages/${message.id}`;
  assert.deepEqual((await t.api("DELETE", where(b))).json, { deleted: 1 });
  assert.deepEqual(texts(await path(conversation)).slice(1), ["one", "three"]);
  assert.equal((await t.api("PATCH", where(b), { content: "no" })).status, 404);
  assert.deepEqual((await t.api("POST", `${where(b)}/restore`)).json, { restored: 1 });
  assert.deepEqual(texts(await path(conversation)).slice(1), ["one", "two", "three"]);
  assert.deepEqual((await t.api("DELETE", `${where(b)}?from_here=true`)).json, { deleted: 2 });
  assert.deepEqual(texts(await path(conversation)).slice(1), ["one"]);
  const d = (await say(conversation, "other two", { reply: false })).json.message;
  assert.equal(d.parent_id, a.id);
  assert.deepEqual((await t.api("POST", `${where(b)}/restore`)).json, { restored: 2 });
  assert.deepEqual(texts(await path(conversation)).slice(1), ["one", "two", "three"], "the restored branch is shown");
  assert.deepEqual(texts(await path(conversation, `?branch=${d.id}`)).slice(1), ["one", "other two"], "the other is kept");
  assert.equal((await t.api("POST", `${where(c)}/restore`)).status, 409);
});

test("a page is oldest first; the cursor leads to older ones, across a fork", async () => {
  const conversation = await talk();
  const sent = [];
  for (let i = 0; i < 12; i++) sent.push((await say(conversation, `m${i}`, { reply: false })).json.message);
  await t.api("DELETE", `/conversations/${conversation.id}/messages/${sent[8].id}?from_here=true`);
  for (let i = 0; i < 4; i++) await say(conversation, `n${i}`, { reply: false });
  const seen = [];
  let cursor = "";
  for (let pages = 0; pages < 20; pages++) {
    const page = (await t.api("GET", `/conversations/${conversation.id}/messages?limit=5${cursor && `&cursor=${cursor}`}`)).json;
    seen.unshift(...texts(page.items));
    if (!page.next_cursor) break;
    cursor = page.next_cursor;
  }
  assert.deepEqual(seen.slice(1), [..."01234567".split("").map((i) => `m${i}`), "n0", "n1", "n2", "n3"]);
});

test("branch copies the path into a conversation of its own", async () => {
  const conversation = await talk();
  const first = (await say(conversation, "keep this")).json;
  await say(conversation, "not this", { reply: false });
  const branch = await t.api("POST", `/conversations/${conversation.id}/branch`, { message_id: first.reply.id });
  assert.equal(branch.status, 201, branch.text);
  assert.equal(branch.json.from_conversation_id, conversation.id);
  assert.equal(branch.json.from_message_id, first.reply.id);
  assert.deepEqual(texts(await path(branch.json)), texts(await path(conversation)).slice(0, 3));
  assert.deepEqual((await path(branch.json))[0].swipe, { index: 0, count: 3 }, "with its variants");
  await say(branch.json, "elsewhere", { reply: false });
  assert.ok(!texts(await path(conversation)).includes("elsewhere"));
});

test("branch copies a path of many pages, in its order", async () => {
  const { id } = await importTalk(t, messagesOf(230, (n) => `Line ${n}.`));
  const whole = async (id) => {
    const read = [];
    for (let page = await path({ id }, "?limit=100"); page.length; page = await path({ id }, `?limit=100&before=${read[0].id}`)) read.unshift(...page);
    return read;
  };
  const lines = await whole(id);
  assert.equal(lines.length, 230);
  const branch = await t.api("POST", `/conversations/${id}/branch`, { message_id: lines[219].id });
  assert.equal(branch.status, 201, branch.text);
  const copied = await whole(branch.json.id);
  assert.deepEqual(texts(copied), texts(lines).slice(0, 220));
  for (let i = 1; i < copied.length; i++) assert.equal(copied[i].parent_id, copied[i - 1].id);
});

test("a path that is not shown is read and copied with the variants that it follows, also over the end of a page", async () => {
  const conversation = await talk();
  const { reply } = (await say(conversation, "Tell me about the pendulum.")).json;
  const second = (await t.api("POST", `/conversations/${conversation.id}/messages/${reply.id}/regenerate`)).json.reply;
  const after = (await say(conversation, "After the second.")).json;
  assert.equal((await t.api("POST", `/conversations/${conversation.id}/messages/${reply.id}/select`, { swipe: 0 })).status, 200);
  const whole = await path(conversation, `?branch=${after.reply.id}&limit=100`);
  assert.equal(whole.at(-3).content, second.content);
  const one = [];
  for (let page = await path(conversation, `?branch=${after.reply.id}&limit=1`); page.length; page = await path(conversation, `?branch=${after.reply.id}&limit=1&before=${page[0].id}`)) one.unshift(...page);
  assert.deepEqual(texts(one), texts(whole));
  const branch = await t.api("POST", `/conversations/${conversation.id}/branch`, { message_id: after.reply.id });
  assert.deepEqual(texts(await path(branch.json)), texts(whole));
  assert.deepEqual((await path(branch.json)).at(-3).swipe, { index: 1, count: 2 });
});

test("settings merge, judge and reach the prompt", async () => {
  const conversation = await talk();
  const where = `/conversations/${conversation.id}`;
  const set = await t.api("PATCH", where, { title: "Renamed", pinned: true, settings: { author_note: "Speak of rain.", author_note_depth: 1, temperature: 0.7 } });
  assert.equal(set.status, 200, set.text);
  const merged = await t.api("PATCH", where, { settings: { scenario: "On a roof." } });
  assert.deepEqual(merged.json.settings, { author_note: "Speak of rain.", author_note_depth: 1, scenario: "On a roof.", temperature: 0.7 });
  assert.equal(merged.json.title, "Renamed");
  const wrong = await t.api("PATCH", where, { settings: { temperature: 9 } });
  assert.equal(wrong.status, 422);
  assert.equal(wrong.json.errors[0].field, "settings.temperature");
  const unknown = await t.api("PATCH", where, { settings: { tempreature: 1 } });
  assert.equal(unknown.status, 422);
  const { reply } = (await say(conversation, "Well?")).json;
  const prompt = (await t.api("GET", `${where}/messages/${reply.id}/prompt`)).json;
  const names = prompt.parts.filter((part) => !part.dropped).map((part) => part.name);
  assert.ok(names.includes("author_note") && names.includes("description") && names.includes("post_history"));
  assert.equal(prompt.parts.find((part) => part.name === "scenario").content, "Scenario:\nOn a roof.");
  assert.match(prompt.parts.find((part) => part.name === "description").content, /talks to Olive as to/);
  const noteAt = names.indexOf("author_note");
  assert.equal(names.slice(noteAt + 1).filter((name) => name === "history").length, 1, "one message after the note");
  assert.ok(prompt.used_tokens <= prompt.budget_tokens);
});

test("a card that keeps the house's prompt gets it with its names filled in", async () => {
  const other = (await t.api("POST", "/characters", { name: "Rook", system_prompt: "{{original}} Be brief, {{char}}." })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [other.id] })).json;
  const { reply } = (await say(conversation, "Hm?")).json;
  const prompt = (await t.api("GET", `/conversations/${conversation.id}/messages/${reply.id}/prompt`)).json;
  const system = prompt.parts.find((part) => part.name === "system").content;
  assert.match(system, /^Write Rook's next reply in a conversation between Rook and Olive/);
  assert.match(system, /Be brief, Rook\.$/);
  assert.ok(!system.includes("{{"));
});

test("macros know the talk, the card and the person's clock", async () => {
  const user = await t.newUser({ name: "Tia" });
  const as = (method, path, body) => t.api(method, path, body, { token: user.token });
  assert.equal((await as("GET", "/users/me/preferences")).json.time_zone, "UTC");
  for (const wrong of ["Mars/Olympus", "../etc/passwd", "", "x".repeat(65)])
    assert.equal((await as("PATCH", "/users/me/preferences", { time_zone: wrong })).json.errors[0].field, "time_zone", wrong);
  const clock = (zone) => { // as people there would write it, and as the card asks for it
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit" })
      .formatToParts(new Date(Date.now() + (t.clock ?? 0))).map(({ type, value }) => [type, value]));
    return `${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}`;
  };
  const character = (await as("POST", "/characters", {
    name: "Tock", description: "Now: {{isodate}} {{isotime}}.", scenario: "With {{group}}. Said last: [{{lastUserMessage}}] [{{lastCharMessage}}] by {{model}}.",
    personality: "Once said: {{mesExamples}} Began: {{charFirstMessage}} Version {{charVersion}}, {{charCreatorNotes}}.",
    mes_example: "<START>\n{{char}}: Tick.", first_mes: "It is {{isotime}}, {{user}}.", character_version: "1.4", creator_notes: "wound daily",
  })).json;
  for (const zone of ["Asia/Kathmandu", "America/St_Johns", "Pacific/Kiritimati"]) {
    assert.equal((await as("PATCH", "/users/me/preferences", { time_zone: zone })).json.time_zone, zone);
    const before = clock(zone);
    const conversation = (await as("POST", "/conversations", { character_ids: [character.id] })).json;
    const greeting = (await as("GET", `/conversations/${conversation.id}/messages`)).json.items[0].content;
    const sent = (await as("POST", `/conversations/${conversation.id}/messages`, { content: "What time is it?" })).json;
    const prompt = JSON.stringify((await as("GET", `/conversations/${conversation.id}/messages/${sent.reply.id}/prompt`)).json);
    const after = clock(zone);
    assert.ok([before, after].some((now) => prompt.includes(`Now: ${now}.`)), `${zone}: ${before} in ${prompt.match(/Now: [^.]*/)?.[0]}`);
    assert.ok([before, after].some((now) => greeting === `It is ${now.slice(11)}, Tia.`), greeting);
    for (const text of ["With Tock.", "[What time is it?]", "Tock: Tick.", "Began: It is", "Version 1.4, wound daily"]) assert.ok(prompt.includes(text), text);
  }
});

test("a persona is who one is in a talk", async () => {
  const persona = (await t.api("POST", "/users/me/personas", { name: "Captain Rook", description: "Keeps a parrot." })).json;
  const conversation = await talk({ persona_id: persona.id });
  assert.match(texts(await path(conversation))[0], /Captain Rook/);
  const { message, reply } = (await say(conversation, "Ahoy.")).json;
  assert.equal(message.author.name, "Captain Rook");
  const prompt = (await t.api("GET", `/conversations/${conversation.id}/messages/${reply.id}/prompt`)).json;
  assert.match(prompt.parts.find((part) => part.name === "persona").content, /Keeps a parrot/);
  const stranger = await t.newUser({ name: "Noor" });
  const stolen = await t.api("POST", "/conversations", { character_ids: [character.id], persona_id: persona.id }, { token: stranger.token });
  assert.ok([404, 422].includes(stolen.status));
});

test("settings and preferences that are changed at the same moment are all kept", async () => {
  const { id } = await talk();
  const settings = { author_note: "Rain.", scenario: "A harbour.", temperature: 0.5, top_k: 40, seed: 7, reply_tokens: 100, memory: false, route: "default" };
  const preferences = { theme: "dark", font_percent: 120, shared_memory: true, memory_approval: true };
  const answers = await Promise.all([
    ...Object.entries(settings).map(([name, value]) => t.api("PATCH", `/conversations/${id}`, { settings: { [name]: value } })),
    ...Object.entries(preferences).map(([name, value]) => t.api("PATCH", "/users/me/preferences", { [name]: value })),
  ]);
  assert.deepEqual(answers.map((answer) => answer.status), answers.map(() => 200));
  const kept = (await t.api("GET", `/conversations/${id}`)).json.settings;
  for (const [name, value] of Object.entries(settings)) assert.deepEqual(kept[name], value, name);
  const liked = (await t.api("GET", "/users/me/preferences")).json;
  for (const [name, value] of Object.entries(preferences)) assert.deepEqual(liked[name], value, name);
  await t.api("PATCH", "/users/me/preferences", { shared_memory: false, memory_approval: false });
});

test("lists: pinned first, then newest; trash and back; archive", async () => {
  const one = await talk({ title: "list one" }), two = await talk({ title: "list two" });
  await t.api("PATCH", `/conversations/${one.id}`, { pinned: true });
  const ids = async (query = "") => (await t.api("GET", `/conversations?limit=100${query}`)).json.items.map((c) => c.id);
  const order = await ids();
  assert.ok(order.indexOf(one.id) < order.indexOf(two.id));
  assert.equal((await t.api("DELETE", `/conversations/${two.id}`)).status, 204);
  assert.ok(!(await ids()).includes(two.id));
  assert.equal((await t.api("GET", `/conversations/${two.id}`)).status, 404);
  assert.equal((await t.api("POST", `/conversations/${two.id}/restore`)).status, 200);
  assert.ok((await ids()).includes(two.id));
  await t.api("PATCH", `/conversations/${two.id}`, { archived: true });
  assert.ok(!(await ids()).includes(two.id));
  assert.ok((await ids("&archived=true")).includes(two.id));
  const paged = [];
  for (let cursor = ""; cursor !== null;) {
    const page = (await t.api("GET", `/conversations?limit=3${cursor && `&cursor=${cursor}`}`)).json;
    paged.push(...page.items.map((c) => c.id));
    cursor = page.next_cursor;
  }
  assert.deepEqual(paged, await ids());
});

test("wrong input is named and changes nothing", async () => {
  const conversation = await talk();
  const rows = [
    [{}, 422, "content"],
    [{ content: "" }, 422, "content"],
    [{ content: 7 }, 422, "content"],
    [{ content: "x", repyl: true }, 422, "repyl"],
    [{ content: "x".repeat(100001) }, 422, "content"],
    [{ content: "a\u0000b" }, 422, "content"],
  ];
  for (const [body, status, field] of rows) {
    const answer = await t.api("POST", `/conversations/${conversation.id}/messages`, body);
    assert.equal(answer.status, status, JSON.stringify(body).slice(0, 60));
    assert.equal(answer.headers.get("content-type").split(";")[0], "application/problem+json");
    assert.equal(answer.json.errors[0].field, field);
  }
  assert.equal((await t.api("POST", `/conversations/${conversation.id}/messages`, '{"content":', { headers: { "content-type": "application/json" } })).status, 400);
  assert.equal((await path(conversation)).length, 1);
});

test("a repeated Idempotency-Key gives the first answer, and stores once", async () => {
  const conversation = await talk();
  const headers = { "idempotency-key": "k-1" };
  const first = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "once", reply: false }, { headers });
  const second = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "once", reply: false }, { headers });
  assert.equal(first.status, 201);
  assert.deepEqual(second.json, first.json);
  assert.equal(second.status, 201);
  assert.equal((await path(conversation)).length, 2);
  const other = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "twice", reply: false }, { headers });
  assert.equal(other.status, 422);
});
