// A reply belongs to its conversation, not to a connection, and is not lost with the process (CHAT-2, CHAT-12).
//
// The Understudy speaks one token a second here, so that a reply takes about a minute: long enough to leave, to come back from elsewhere, and to pull the plug.
// What passes here is time, not work: all of it passes at once.
import { describe, test } from "node:test";
import assert from "node:assert/strict";
import { events, serve, start } from "./harness.js";

const SECOND = 1000;
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms)); // the passing of time is what is tested here
const slow = { settings: { "understudy.tokens_per_second": 1 } };

async function beginTalk(t) {
  const character = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening.", description: "A clockmaker." })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  return conversation;
}
const last = async (t, conversation) => (await t.api("GET", `/conversations/${conversation.id}/messages`)).json.items.at(-1);

describe("a reply survives", { concurrency: true }, () => {
  test("a reply of a minute: the page closes at 5 s, another client attaches at 20 s and hears the rest", { timeout: 200 * SECOND }, async () => {
    const t = await start(slow);
    const conversation = await beginTalk(t);
    const leaving = new AbortController();
    const page = await fetch(`${t.url}/api/v1/conversations/${conversation.id}/messages`, {
      method: "POST", signal: leaving.signal, body: JSON.stringify({ content: "Tell me a long story about the clocks in your workshop." }),
      headers: { authorization: `Bearer ${t.owner.token}`, "content-type": "application/json", accept: "text/event-stream" },
    });
    const began = Date.now();
    const atPage = [];
    const reading = (async () => { for await (const event of events(page)) atPage.push(event.data); })().catch(() => {});
    await sleep(5 * SECOND);
    leaving.abort();
    await reading;
    assert.ok(atPage.some((event) => event.type === "message:stream:chunk"), "something was heard before leaving");
    await sleep(15 * SECOND);

    const other = await t.login(t.owner.email);
    const stream = await t.api("GET", `/conversations/${conversation.id}/events`, undefined, { token: other.token, raw: true });
    let soFar = null, rest = "", complete = null;
    for await (const { data: event } of events(stream)) {
      if (event.type === "conversation:joined") soFar = event.data.streaming[0].content;
      if (event.type === "message:stream:chunk") rest += event.data.delta;
      if (event.type === "message:stream:complete") { complete = event.data.message; break; }
    }
    assert.ok(soFar.length > 10, "the text so far was shown at once");
    assert.equal(soFar + rest, complete.content, "so far and rest make the whole");
    assert.ok(Date.now() - began > 30 * SECOND, "it took its time");
    assert.deepEqual((await last(t, conversation)).content, complete.content);
    assert.equal((await t.api("GET", `/conversations/${conversation.id}`)).json.unread, 0, "somebody was there at the end");
    await t.stop();
  });

  test("everybody leaves: the reply is whole, and marked as unread", { timeout: 200 * SECOND }, async () => {
    const t = await start(slow);
    const conversation = await beginTalk(t);
    const sent = await t.api("POST", `/conversations/${conversation.id}/messages?wait=false`, { content: "Are you there?" });
    assert.equal(sent.status, 202);
    await sleep(3 * SECOND);
    assert.equal((await last(t, conversation)).state, "streaming");
    for (let tries = 0; tries < 150 && (await last(t, conversation)).state === "streaming"; tries++) await sleep(SECOND);
    const reply = await last(t, conversation);
    assert.equal(reply.state, "complete");
    assert.ok(reply.content.length > 40);
    const list = (await t.api("GET", "/conversations")).json.items;
    assert.equal(list.find((item) => item.id === conversation.id).unread, 1);
    assert.equal((await t.api("GET", `/conversations/${conversation.id}`)).json.unread, 1, "what one sees when one looks");
    await t.stop();
  });

  test("the process is killed in mid-reply: what was flushed is kept and marked; it can be gone on with", { timeout: 100 * SECOND }, async () => {
    const t = await start(slow);
    const conversation = await beginTalk(t);
    await t.api("POST", `/conversations/${conversation.id}/messages?wait=false`, { content: "Tell me about the tower clock." });
    await sleep(8 * SECOND);
    await t.kill();
    const again = await serve({ dir: t.dir, settings: { "understudy.tokens_per_second": 0 } });
    again.owner = await again.login(t.owner.email);
    const reply = await last(again, conversation);
    assert.equal(reply.state, "interrupted");
    assert.ok(reply.content.length > 5, `kept up to the last flush: ${JSON.stringify(reply.content)}`);
    const more = await again.api("POST", `/conversations/${conversation.id}/messages/${reply.id}/continue`);
    assert.equal(more.status, 201, more.text);
    assert.ok(more.json.reply.content.startsWith(reply.content));
    assert.equal(more.json.reply.state, "complete");
    await again.stop();
  });

  test("SIGTERM waits for the reply within the grace; past the grace it is kept and marked", { timeout: 100 * SECOND }, async () => {
    const patient = await start({ settings: { "understudy.tokens_per_second": 20, "net.grace_ms": 30000 } });
    const one = await beginTalk(patient);
    await patient.api("POST", `/conversations/${one.id}/messages?wait=false`, { content: "Quick, before the curtain." });
    await sleep(SECOND / 2);
    assert.deepEqual(await patient.stop({ keep: true }), { code: 0, signal: null });
    const after = await serve({ dir: patient.dir });
    after.owner = await after.login(patient.owner.email);
    assert.equal((await last(after, one)).state, "complete");
    await after.stop();

    const hasty = await start({ settings: { "understudy.tokens_per_second": 1, "net.grace_ms": 1000 } });
    const two = await beginTalk(hasty);
    await hasty.api("POST", `/conversations/${two.id}/messages?wait=false`, { content: "Take your time." });
    await sleep(4 * SECOND);
    assert.deepEqual(await hasty.stop({ keep: true }), { code: 0, signal: null });
    const back = await serve({ dir: hasty.dir });
    back.owner = await back.login(hasty.owner.email);
    const reply = await last(back, two);
    assert.equal(reply.state, "interrupted");
    assert.ok(reply.content.length > 5);
    await back.stop();
  });

  test("stop keeps what was said", { timeout: 60 * SECOND }, async () => {
    const t = await start(slow);
    const conversation = await beginTalk(t);
    const waiting = t.api("POST", `/conversations/${conversation.id}/messages`, { content: "Tell me everything." });
    await sleep(4 * SECOND);
    const busy = await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "And more." });
    assert.equal(busy.status, 409, "one reply at a time");
    const stopped = await t.api("POST", `/conversations/${conversation.id}/stop`);
    assert.deepEqual([stopped.status, stopped.json.stopped], [202, 1]);
    const answer = await waiting;
    assert.equal(answer.status, 201);
    assert.equal(answer.json.reply.state, "stopped");
    assert.equal(answer.json.reply.finish_reason, "stopped");
    assert.ok(answer.json.reply.content.length > 3);
    assert.equal((await t.api("POST", `/conversations/${conversation.id}/stop`)).json.stopped, 0);
    await t.stop();
  });
});
