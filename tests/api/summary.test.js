// What a person writes into the summary of the last stretch stays there, whatever is summed up since, until they take it out again.
import { test } from "node:test";
import assert from "node:assert/strict";
import { start, until } from "./harness.js";
import { startFake } from "../fakes/endpoint.js";

const OWN = "Olive promised Ada the blue kayak.";

async function talkOn(t) {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const { id } = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const recent = async () => (await t.api("GET", `/memory/${id}/summary`)).json.items.find(({ kind }) => kind === "recent");
  return {
    id, recent,
    write: async (text) => {
      const answer = await t.api("PATCH", `/memory/${id}/summary`, { kind: "recent", text });
      assert.equal(answer.status, 200, answer.text);
      return answer.json;
    },
    /** Six messages that turn on a word, and the summary once it tells of them. */
    stretch: async (word) => {
      for (let i = 0; i < 6; i++)
        assert.equal((await t.api("POST", `/conversations/${id}/messages`, { content: `The ${word} stood by the ${word} house at hour ${i}.`, reply: false })).status, 201);
      return until(async () => { const now = await recent(); return now?.text.includes(word) && now; }, `a summary that tells of ${word}`);
    },
  };
}

test("what a person wrote of the last stretch stays before every next one, and goes when they or forgetting take it out", async (context) => {
  const t = await start({ settings: { "memory.summary_every": 6, "memory.every": 1 } });
  context.after(() => t.stop());
  const talk = await talkOn(t);
  await talk.stretch("harbour");
  const edited = await talk.write(OWN);
  assert.deepEqual([edited.text, edited.is_edited, edited.made_by], [OWN, true, "person"]);
  const second = await talk.stretch("tower");
  assert.ok(second.text.startsWith(`${OWN}\n`), second.text);
  assert.doesNotMatch(second.text, /harbour/, "it was written over by the person");
  const third = await talk.stretch("quarry");
  assert.ok(third.text.startsWith(`${OWN}\n`), third.text);
  assert.doesNotMatch(third.text, /tower/, "of what was added the last stretch stands there");
  assert.equal(third.is_edited, true);

  assert.equal((await t.api("POST", `/memory/${talk.id}/forget`, { topic: "quarry" })).status, 200);
  assert.equal((await talk.recent()).text, OWN, "what was added is forgotten, what the person wrote stays");
  await talk.write(`${OWN} Ada laughed at the walrus.`);
  await talk.stretch("orchard");
  assert.equal((await t.api("POST", `/memory/${talk.id}/forget`, { topic: "walrus" })).status, 200);
  const lighter = await talk.recent();
  assert.ok(lighter.text.startsWith(`${OWN}\n`), lighter.text);
  assert.match(lighter.text, /orchard/);
  const fourth = await talk.stretch("violin");
  assert.ok(fourth.text.startsWith(`${OWN}\n`), fourth.text);
  assert.doesNotMatch(fourth.text, /walrus|orchard/);

  const released = await talk.write("");
  assert.deepEqual([released.text, released.is_edited], ["", false]);
  const fifth = await talk.stretch("candle");
  assert.doesNotMatch(fifth.text, /kayak|^\n/);
  assert.equal(fifth.is_edited, false);
});

test("a person who writes of the last stretch while a model sums up the next is not written over", async (context) => {
  let thinks = false, hold = 0;
  const fake = await startFake({ script: (request) => {
    if (!/You keep the summaries of/.test(request.text)) return { reply: JSON.stringify({ memories: [] }) };
    const word = request.text.slice(request.text.indexOf("<<new")).match(/The (\w+) stood/)[1];
    thinks = true;
    return { wait_ms: hold, reply: JSON.stringify({ recent: `They spoke of the ${word}.`, full: "They talk.", relationship: "They get on.", status: "friends", closeness: 0.5, mood: "calm", title: "Talk", episode: "They talked.", importance: 0.4 }) };
  } });
  context.after(() => fake.close());
  const t = await start({ settings: { "memory.summary_every": 6, "memory.every": 1 } });
  context.after(() => t.stop());
  const model = await t.api("POST", "/admin/models", { name: "Fake", provider: "openai", base_url: fake.url, model: "gpt-fake" });
  assert.ok((await t.api("PUT", "/admin/routes", { routes: [{ name: "default", model_ids: [model.json.id] }] })).status < 300);
  const talk = await talkOn(t);
  assert.equal((await talk.stretch("harbour")).text, "They spoke of the harbour.");
  [thinks, hold] = [false, 1500];
  const next = talk.stretch("tower");
  await until(() => thinks, "a model thinks of the next stretch");
  await talk.write(OWN);
  assert.equal((await next).text, `${OWN}\nThey spoke of the tower.`);
  hold = 0;
  assert.equal((await talk.stretch("quarry")).text, `${OWN}\nThey spoke of the quarry.`);
});
