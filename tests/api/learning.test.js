// What characters learn of people: by rules and by a model, in the background; approval, sharing, forgetting.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { events, serve, start, until } from "./harness.js";
import { startFake } from "../fakes/endpoint.js";

const SECRET_CARD = "Ada keeps the lighthouse of Point Quarry and collects brass barometers.";

let t;
before(async () => { t = await start(); });
after(() => t.stop());

async function talk(server = t, { card = {}, token, settings } = {}) {
  const character = (await server.api("POST", "/characters", { name: "Ada", description: SECRET_CARD, first_mes: "Good evening. The lamp is lit.", ...card }, { token })).json;
  const conversation = (await server.api("POST", "/conversations", { character_ids: [character.id] }, { token })).json;
  if (settings) await server.api("PATCH", `/conversations/${conversation.id}`, { settings }, { token });
  return {
    id: conversation.id, character,
    say: async (content, more = {}) => {
      const answer = await server.api("POST", `/conversations/${conversation.id}/messages`, { content, reply: false, ...more }, { token });
      assert.equal(answer.status, 201, answer.text);
      return answer.json;
    },
    memory: async (state = "active") => (await server.api("GET", `/memory/${conversation.id}?state=${state}`, undefined, { token })).json,
    api: (method, path, body, more) => server.api(method, `/memory/${conversation.id}${path}`, body, { token, ...more }),
  };
}

/** Waits until a fact whose sentence matches is known. */
const fact = (talk, pattern, state = "active") => until(async () => (await talk.memory(state)).facts.find((item) => pattern.test(item.text)), `a fact like ${pattern}`);
const filler = async (talk, count) => { for (let i = 0; i < count; i++) await talk.say(`The sea was grey at hour ${i}.`); };

test("without a model, rules learn from what is said, with source and moment, and say that they are rules", async () => {
  const ada = await talk();
  const { message } = await ada.say("I live in Bristol and I work as a nurse.");
  await ada.say("My cat's name is Luna. Do I like dogs? If I had a dog I would call it Rex.");
  await filler(ada, 4);
  const lives = await fact(ada, /lives in Bristol/);
  assert.deepEqual([lives.subject, lives.predicate, lives.object, lives.made_by, lives.state], ["user", "lives_in", "Bristol", "rules", "active"]);
  assert.deepEqual(lives.source_message_ids, [message.id]);
  assert.equal(lives.valid_from, message.created_at);
  assert.equal(lives.valid_to, null);
  const all = (await ada.memory("all")).facts.map((item) => item.predicate).sort();
  assert.deepEqual(all, ["has_pet", "lives_in", "works_as"]);
});

test("what changes closes the old fact with a date, and is not stored twice when it is said again", async () => {
  const ada = await talk();
  await ada.say("Remember that I live in Bristol.");
  const before = await fact(ada, /lives in Bristol/);
  const { message } = await ada.say("Please remember, I moved to Leeds.");
  await fact(ada, /lives in Leeds/);
  await ada.say("Don't forget that I live in Leeds.");
  await until(async () => (await ada.memory()).facts.find((item) => item.object === "Leeds")?.source_message_ids.length === 2, "the repeat");
  const all = (await ada.memory("all")).facts;
  assert.equal(all.length, 2);
  const old = all.find((item) => item.id === before.id), now = all.find((item) => item.id !== before.id);
  assert.deepEqual([old.state, old.valid_to, old.superseded_by], ["superseded", message.created_at, now.id]);
  assert.ok(now.confidence > before.confidence, "said twice is surer");
  assert.deepEqual((await ada.memory()).facts.map((item) => item.object), ["Leeds"]);
});
