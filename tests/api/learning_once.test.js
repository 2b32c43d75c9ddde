// Learning pays a model once for a window of talk, whatever asks for it and whatever dies in between.
import { test } from "node:test";
import assert from "node:assert/strict";
import { serve, start, until } from "./harness.js";
import { hurry, importTalk, jobsDone, messagesOf } from "./talks.js";
import { startFake } from "../fakes/endpoint.js";

const isLearning = (request) => /You keep the memory of/.test(request.text);
const newTowns = (request) => [...request.text.slice(request.text.indexOf("<<new")).matchAll(/\[\d+\] user [^:]+: [^\n]*?town (\d+)/g)].map(([, town]) => Number(town));

test("a talk is learnt from by one job at a time: after a death no window is paid for twice", async (context) => {
  const asked = []; // of each call the towns, and whether it was answered when its process still lived
  let dies = true;
  const fake = await startFake({ script: (request) => {
    if (!isLearning(request)) return { reply: "I see." };
    asked.push({ towns: newTowns(request), dies });
    return { wait_ms: dies && asked.length > 1 ? 3000 : 400, reply: JSON.stringify({ memories: [] }) };
  } });
  context.after(() => fake.close());
  let server = await start({ settings: { "accounts.access_token_s": 86400 } });
  const model = await server.api("POST", "/admin/models", { name: "Fake", provider: "openai", base_url: fake.url, model: "gpt-fake", concurrency: 8 });
  assert.equal(model.status, 201, model.text);
  assert.ok((await server.api("PUT", "/admin/routes", { routes: [{ name: "default", model_ids: [model.json.id] }] })).status < 300);
  const character = (await server.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const { id } = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const say = async (content) => assert.equal((await server.api("POST", `/conversations/${id}/messages`, { content, reply: false })).status, 201);
  for (let i = 0; i < 70; i++) await say(`I saw town ${i} on the way.`);
  await until(() => asked.length >= 2, "learning is under way");
  await server.kill();
  dies = false;
  const before = asked.length;
  server.moveClock(61000); // the lease of the job whose process died is over: it comes again beside the next
  const { dir } = server;
  server = await serve({ dir, settings: { "accounts.access_token_s": 86400 } });
  context.after(() => server.stop());
  server.owner = await server.login("owner@example.com");
  for (let i = 70; i < 73; i++) await say(`Remember that I saw town ${i}.`); // each asks for a job at once
  await until(async () => { await hurry(server, "memory.learn"); return asked.flatMap(({ towns }) => towns).includes(72); }, "all of it was read");
  await jobsDone(server, "memory.learn");
  const again = asked.slice(before).flatMap(({ towns }) => towns);
  assert.deepEqual(again.filter((town, i) => again.indexOf(town) !== i), [], `read twice since: ${JSON.stringify(asked.slice(before).map(({ towns }) => towns.length))}`);
});

test("who asks for a whole talk again and again has it read once more, not as often as they asked", async (context) => {
  let windows = 0;
  const fake = await startFake({ script: (request) => {
    if (!isLearning(request)) return { reply: "I see." };
    windows++;
    return { wait_ms: 1000, reply: JSON.stringify({ memories: [] }) };
  } });
  context.after(() => fake.close());
  const server = await start();
  context.after(() => server.stop());
  const model = await server.api("POST", "/admin/models", { name: "Fake", provider: "openai", base_url: fake.url, model: "gpt-fake" });
  assert.ok((await server.api("PUT", "/admin/routes", { routes: [{ name: "default", model_ids: [model.json.id] }] })).status < 300);
  const { id } = await importTalk(server, messagesOf(20, (n) => `I saw town ${n} on the way.`));
  const extract = async () => {
    const answer = await server.api("POST", "/memory/extract", { conversation_id: id });
    assert.equal(answer.status, 202, answer.text);
    return answer.json.job_id;
  };
  const first = await extract();
  await until(() => windows === 1, "the model is asked");
  const again = await Promise.all(Array.from({ length: 6 }, extract));
  assert.deepEqual([...new Set(again)].length, 1, "one more waits in line");
  assert.notEqual(again[0], first, "the first has begun");
  await jobsDone(server, "memory.learn");
  assert.equal(windows, 2);
});
