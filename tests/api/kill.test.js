// kill -9 at random moments: nothing that was acknowledged is lost, torn or there twice (CHAT-11, OPS-5).
//
// 1,000 sends in all, some of them with a reply or a new swipe, while the process is killed again and again. After each restart every acknowledged message and
// variant is looked up, and SQLite judges the file.
import { test } from "node:test";
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { serve, start, until } from "./harness.js";

const SENDS = Number(process.env.TROUPE_KILL_SENDS ?? 1000);
const ROUNDS = Number(process.env.TROUPE_KILL_ROUNDS ?? 30);
const LANES = 4; // clients that send at the same time
const ROUND_LEAST = 8; // answers, before the process is killed: also a slow machine says something worth keeping

/** Sends until the process dies; keeps what was acknowledged. */
async function lane(server, conversation, book, state) {
  while (state.running && book.sent < state.until) {
    const number = book.sent++;
    try {
      const wantsReply = number % 5 === 0;
      const answer = await server.api("POST", `/conversations/${conversation.id}/messages`, { content: `line ${number}`, reply: wantsReply });
      if (answer.status !== 201) { // refused (a reply is under way): nothing was promised
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      state.answers++;
      book.messages.set(answer.json.message.id, `line ${number}`);
      if (answer.json.reply) book.messages.set(answer.json.reply.id, answer.json.reply.content);
      if (answer.json.reply && number % 10 === 0) {
        const swipe = await server.api("POST", `/conversations/${conversation.id}/messages/${answer.json.reply.id}/regenerate`);
        if (swipe.status === 201) book.variants.push([swipe.json.reply.id, swipe.json.reply.swipe.index, swipe.json.reply.content]);
      }
    } catch {
      return; // the process is gone: what was not answered was not promised
    }
  }
}

function judge(dir, book) {
  const sql = (query) => execFileSync("sqlite3", ["-readonly", "-cmd", ".timeout 20000", "-separator", "\t", join(dir, "troupe.db"), query], { maxBuffer: 1 << 28 }).toString();
  assert.equal(sql("PRAGMA integrity_check").trim(), "ok");
  assert.equal(sql("PRAGMA foreign_key_check").trim(), "");
  assert.equal(sql("SELECT count(*) FROM variant WHERE state = 'streaming'").trim(), "0", "nothing pretends to be spoken still");
  assert.equal(sql("SELECT count(*) FROM message m WHERE NOT EXISTS (SELECT 1 FROM variant v WHERE v.message_id = m.id AND v.place = m.chosen)").trim(), "0");
  assert.equal(sql("SELECT count(*) FROM (SELECT content FROM variant v JOIN message m ON m.id = v.message_id WHERE role = 'user' GROUP BY content HAVING count(*) > 1)").trim(), "0", "nothing is there twice");
  return sql;
}

async function lookUp(server, conversation, book) {
  const variants = new Map();
  for (const [id] of book.variants)
    if (!variants.has(id)) variants.set(id, (await server.api("GET", `/conversations/${conversation.id}/messages/${id}/variants`)).json.items);
  for (const [id, index, content] of book.variants)
    assert.equal(variants.get(id)?.find((variant) => variant.swipe === index)?.content, content, `variant ${index} of ${id} was acknowledged`);
  for (const [id, content] of book.messages) {
    const answer = await server.api("GET", `/conversations/${conversation.id}/messages/${id}`);
    const message = answer.json;
    assert.equal(answer.status, 200, `message ${id} (${content}) was acknowledged`);
    // a swipe that was not acknowledged may have been begun: the acknowledged text is then among the variants
    const texts = (await server.api("GET", `/conversations/${conversation.id}/messages/${id}/variants`)).json.items.map((variant) => variant.content);
    assert.ok(texts.includes(content), `its text is whole: ${content}`);
  }
}

test(`${SENDS} sends through ${ROUNDS} kills`, { timeout: 1800000 }, async () => {
  let server = await start({ settings: { "limits.turns_per_user": 100 } });
  const owner = server.owner;
  const character = (await server.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const conversation = (await server.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const book = { sent: 0, messages: new Map(), variants: [] };
  let restarts = 0;
  while (book.sent < SENDS || restarts < ROUNDS) {
    const state = { running: true, answers: 0, until: Math.min(SENDS, Math.ceil(((restarts + 1) * SENDS) / ROUNDS)) };
    const lanes = Array.from({ length: LANES }, () => lane(server, conversation, book, state));
    let over = false;
    Promise.all(lanes).then(() => { over = true; });
    await until(() => over || state.answers >= ROUND_LEAST, "some answers");
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 120)); // somewhere in between, each time somewhere else
    await server.kill();
    state.running = false;
    await Promise.all(lanes);
    server = await serve({ dir: server.dir, settings: { "understudy.tokens_per_second": restarts % 2 ? 200 : 0, "limits.turns_per_user": 100 } });
    server.owner = await server.login(owner.email);
    restarts++;
    judge(server.dir, book);
  }
  await lookUp(server, conversation, book);
  assert.ok(book.messages.size > SENDS / 4, `enough was acknowledged to mean something: ${book.messages.size}`);
  assert.equal((await server.stop({ keep: false })).code, 0);
});
