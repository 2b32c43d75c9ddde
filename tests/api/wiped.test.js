// What stays of a secret in the memory of the process: nothing, once it has been used. Seen from outside: the whole memory of the server is searched.
import { test } from "node:test";
import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { binary, PASSWORD, start, until } from "./harness.js";
import { startEmbedder } from "../fakes/embedder.js";
import { startFake } from "../fakes/endpoint.js";

const PIECE = 1 << 20;

/** Where the writable memory of a process holds these bytes: [what, around]. Reading another process's memory is allowed to its parent. */
function holders(pid, secret) {
  const memory = openSync(`/proc/${pid}/mem`, "r"), found = [];
  const search = (from, to, name) => {
    for (let at = from; at < to; at += PIECE) {
      const bytes = Buffer.alloc(Math.min(PIECE + secret.length, to - at)); // with the beginning of the next piece
      let got = 0;
      try { got = readSync(memory, bytes, 0, bytes.length, at); } catch { continue; } // a page that went meanwhile
      const place = bytes.subarray(0, got).indexOf(secret);
      if (place >= 0) found.push([name, bytes.subarray(Math.max(0, place - 32), place + 8).toString("latin1").replace(/[^ -~]/g, ".")]);
    }
  };
  for (const line of readFileSync(`/proc/${pid}/maps`, "utf8").split("\n")) {
    const [, from, to, name] = line.match(/^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ \S+\s*(.*)$/) ?? [];
    if (from && !name.startsWith("/dev/")) search(parseInt(from, 16), parseInt(to, 16), name || "anonymous");
  }
  closeSync(memory);
  return found;
}
const skip = !existsSync("/proc/self/mem") ? "this system does not show the memory of a process"
  : readFileSync(binary).includes("__asan_init") ? "a sanitizer maps terabytes of its own" : false;
const isGone = (t, secret, what) => until(() => holders(t.child.pid, secret).length === 0, what, 15000).catch((error) => {
  throw new Error(`${error.message}: ${JSON.stringify(holders(t.child.pid, secret))}`);
});

test("the key of a model and of an embedder is in memory only while it is used", { skip }, async (context) => {
  const key = "sk-quokka7f3a9c51d2e8", other = "sk-wombat40b8d7e6c2a1";
  const fake = await startFake({ key, script: [{ reply: "Good evening to you.", wait_ms: 1500 }] });
  const embedder = await startEmbedder({ key: other, dims: 32 });
  context.after(async () => { await fake.close(); await embedder.close(); });
  const t = await start();
  context.after(() => t.stop());
  assert.ok(holders(t.child.pid, "troupe").length > 0, "what is there is found");
  const model = await t.api("POST", "/admin/models", { name: "Fake", provider: "openai", base_url: fake.url, model: "gpt-fake", api_key: key });
  assert.equal(model.status, 201, model.text);
  await isGone(t, key, "a key that was entered");
  await t.api("PUT", "/admin/routes", { routes: [{ name: "default", model_ids: [model.json.id] }] });
  const tried = await t.api("POST", `/admin/models/${model.json.id}/test`);
  assert.equal(tried.status, 200, tried.text);
  const { id } = (await t.api("POST", "/characters", { name: "Ada", first_mes: "Good evening." })).json;
  const talk = (await t.api("POST", "/conversations", { character_ids: [id] })).json.id;
  const said = t.api("POST", `/conversations/${talk}/messages`, { content: "Good evening." });
  await until(() => holders(t.child.pid, key).length > 0, "it is there while it is used", 10000);
  assert.equal((await said).json.reply.content, "Good evening to you.");
  await isGone(t, key, "a key that was used");
  const changed = await t.api("PUT", "/admin/embedder", { provider: "openai", base_url: embedder.url, model: "tiny", api_key: other });
  assert.ok(changed.status < 300, changed.text);
  await until(async () => { const now = (await t.api("GET", "/admin/embedder")).json; return now.model === "tiny" && now.next === null && now.state === "ready"; }, "everything is embedded anew", 120000);
  await isGone(t, other, "the embedder's key");
});

test("a password is not in memory any more when it has been checked", { skip }, async (context) => {
  const t = await start();
  context.after(() => t.stop());
  await t.login(t.owner.email);
  assert.equal((await t.api("POST", "/auth/login", { email: t.owner.email, password: "numbat wallaby 9d1c" }, { token: null })).status, 401);
  await isGone(t, PASSWORD, "the right one");
  await isGone(t, "numbat wallaby 9d1c", "a wrong one");
});
