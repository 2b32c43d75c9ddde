// Who may do what, generated from the route table itself (openapi.json): every route with another person's ids, every route without a token, every admin route as
// a member. A new route is covered by being there (ASVS 8.2.1, 8.2.2).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { start, until } from "./harness.js";

let t, api, mine, stranger;

before(async () => {
  t = await start();
  api = (await t.api("GET", "/openapi.json")).json;
  stranger = await t.newUser({ name: "Stranger" });
  const character = (await t.api("POST", "/characters", { name: "Private Ada", first_mes: "Hello.", visibility: "private",
    character_book: { entries: [{ keys: ["clock"], content: "It ticks.", enabled: true, insertion_order: 1, extensions: {} }], extensions: {} } })).json;
  const conversation = (await t.api("POST", "/conversations", { character_ids: [character.id] })).json;
  const document = (await t.api("POST", `/characters/${character.id}/knowledge?name=a.md`, "# A\n\nText.", { headers: { "content-type": "text/markdown" } })).json.id;
  const said = (await t.api("POST", `/conversations/${conversation.id}/messages`, { content: "A secret." })).json;
  const persona = (await t.api("POST", "/users/me/personas", { name: "Me" })).json;
  const key = (await t.api("POST", "/auth/api-keys", { name: "k", scopes: ["read"] })).json;
  const session = (await t.api("GET", "/auth/sessions")).json.items[0];
  const invite = (await t.api("POST", "/admin/invites", {})).json;
  const books = (await t.api("GET", "/lorebooks")).json?.items ?? [];
  const book = books.find((item) => item.character_id === character.id) ?? books[0];
  const entries = book ? (await t.api("GET", `/lorebooks/${book.id}/entries`)).json?.items ?? [] : [];
  const fact = (await t.api("POST", `/memory/${conversation.id}/facts`, { text: "The key is under the mat." })).json;
  await t.api("POST", "/auth/forgot-password", { email: t.owner.email }, { token: null });
  const mail = await until(async () => (await t.api("GET", "/admin/outbox")).json.items[0], "a mail in the outbox");
  mine = { mail: mail.id, fact: fact.id, document, character: character.id, conversation: conversation.id, message: said.reply.id, persona: persona.id, key: key.id, session: session.id,
    invite: invite.id, book: book?.id, entry: entries[0]?.id, model: "0000000000001", user: t.owner.user.id };
});
after(() => t.stop());

/** Which of the owner's things the {names} of a path mean. */
function fill(path) {
  const kinds = [["/conversations/{id}", "conversation"], ["/characters/{id}", "character"], ["/personas/{id}", "persona"], ["/api-keys/{id}", "key"],
    ["/sessions/{id}", "session"], ["/invites/{id}", "invite"], ["/lorebooks/{id}", "book"], ["/admin/models/{id}", "model"], ["/users/{id}", "user"], ["/outbox/{id}", "mail"],
    ["/favorites/{character_id}", "character"]];
  const kind = kinds.find(([piece]) => path.includes(piece))?.[1];
  return path.replace("{message_id}", mine.message).replace(/\{(eid|entry_id)\}/, mine.entry ?? "0000000000001").replace("{character_id}", mine.character)
    .replace("{conversation_id}", mine.conversation).replace("{fact_id}", mine.fact).replace("{document_id}", mine.document).replace("{job_id}", "0000000000001")
    .replace("{id}", mine[kind] ?? "0000000000001").replace(/\{(n|revision)\}/, "1").replace(/\{(key|blob)\}/, "0".repeat(64));
}

/** The path with the parameters that must be there. */
function address(path, operation) {
  const needed = (operation.parameters ?? []).filter((parameter) => parameter.in === "query" && parameter.required);
  const query = needed.map(({ name, schema }) => `${name}=${encodeURIComponent(sample(resolve(schema), name))}`).join("&");
  return fill(path) + (query ? `?${query}` : "");
}

/** The smallest body that the schema takes. */
function bodyFor(operation) {
  const content = operation.requestBody?.content ?? {};
  if (content["multipart/form-data"]) {
    const form = new FormData();
    form.append("file", new Blob(["{}"], { type: "application/json" }), "card.json");
    return form;
  }
  const schema = resolve(content["application/json"]?.schema);
  if (!schema) return Object.keys(content).length > 0 ? new Uint8Array([1]) : undefined;
  const body = {};
  for (const name of schema.required ?? []) body[name] = sample(resolve(schema.properties[name]), name);
  return body;
}
const resolve = (schema) => (schema?.$ref ? api.components.schemas[schema.$ref.split("/").pop()] : schema);
function sample(schema, name) {
  if (schema.enum) return schema.enum[0];
  const type = [schema.type].flat()[0];
  if (type === "array") return [sample(resolve(schema.items), name.replace(/s$/, ""))];
  if (type === "integer" || type === "number") return schema.minimum ?? 0;
  if (type === "boolean") return true;
  if (type === "object") return {};
  if (name.endsWith("_id") || name === "message_id") return mine[name.replace("_id", "")] ?? "0000000000001";
  if (name === "scopes" || name === "scope") return "read";
  return "x".repeat(Math.max(schema.minLength ?? 1, 1));
}

function* operations() {
  for (const [path, item] of Object.entries(api.paths))
    for (const method of ["get", "post", "put", "patch", "delete"]) if (item[method]) yield { path, method: method.toUpperCase(), operation: item[method] };
}

test("another person's ids are not there: 404 or 403, whatever the route", async () => {
  let count = 0;
  // Portraits are named by the hash of their content and public profiles are for everybody: there, seeing is the purpose.
  const open = /\/media\/|\/users\/\{id\}$|\/avatar$/;
  for (const { path, method, operation } of operations()) {
    if (!path.includes("{") || (open.test(path) && method === "GET")) continue;
    const answer = await t.api(method, address(path, operation), bodyFor(operation), { token: stranger.token });
    assert.ok([403, 404].includes(answer.status), `${method} ${path} answered a stranger with ${answer.status}: ${answer.text.slice(0, 200)}`);
    count++;
  }
  assert.ok(count >= 25, `only ${count} routes were tried`);
  const still = await t.api("GET", `/conversations/${mine.conversation}/messages/${mine.message}`);
  assert.equal(still.status, 200, "and nothing was changed");
  assert.equal((await t.api("GET", `/characters/${mine.character}`)).status, 200);
});

test("without a token every route that is not open answers 401", async () => {
  const open = new Set(["getHealth", "getReadiness", "getMetrics", "getOpenapi", "getOpenApi", "getSetup", "setUp", "register", "login", "refresh", "logout", "getJwks", "openWebSocket",
    "forgotPassword", "resetPassword", "verifyEmail", "resendVerification"]);
  let count = 0;
  for (const { path, method, operation } of operations()) {
    if (open.has(operation.operationId) || /\/media\/|\/ws$|openapi/.test(path)) continue;
    const answer = await t.api(method, address(path, operation), bodyFor(operation), { token: null });
    assert.equal(answer.status, 401, `${method} ${path} answered nobody with ${answer.status}`);
    assert.match(answer.headers.get("www-authenticate") ?? "", /Bearer/);
    count++;
  }
  assert.ok(count >= 50, `only ${count} routes were tried`);
});

test("a member may not use what is for admins", async () => {
  let count = 0;
  for (const { path, method, operation } of operations()) {
    if (!path.includes("/admin/") && !path.endsWith("/setup/discover")) continue;
    const answer = await t.api(method, address(path, operation), bodyFor(operation), { token: stranger.token });
    assert.equal(answer.status, 403, `${method} ${path} answered a member with ${answer.status}`);
    count++;
  }
  assert.ok(count >= 10);
});

test("an API key may do what its scopes say, and never make or end keys", async () => {
  const make = async (scopes) => (await t.api("POST", "/auth/api-keys", { name: scopes.join(), scopes })).json.key;
  const read = await make(["read"]), chat = await make(["read", "chat"]), admin = await make(["admin"]);
  const say = (token) => t.api("POST", `/conversations/${mine.conversation}/messages`, { content: "by key", reply: false }, { token });
  assert.equal((await t.api("GET", "/conversations", undefined, { token: read })).status, 200);
  assert.equal((await say(read)).status, 403);
  assert.equal((await say(chat)).status, 201);
  assert.equal((await t.api("GET", "/admin/users", undefined, { token: chat })).status, 403);
  assert.equal((await t.api("GET", "/admin/users", undefined, { token: admin })).status, 200);
  for (const token of [read, chat, admin]) {
    assert.equal((await t.api("POST", "/auth/api-keys", { name: "more", scopes: ["read"] }, { token })).status, 403);
    assert.equal((await t.api("POST", "/auth/password", { current_password: "x", new_password: "y" }, { token })).status, 403);
  }
  const listed = (await t.api("GET", "/auth/api-keys")).json.items;
  assert.ok(listed.every((key) => key.key === undefined), "shown once");
  const id = listed.find((key) => key.name === "read,chat").id;
  assert.equal((await t.api("DELETE", `/auth/api-keys/${id}`)).status, 204);
  assert.equal((await say(chat)).status, 401, "revoked at once");
});

test("what reads changes nothing: a key that may only read leaves the mark of what nobody has seen", async () => {
  const make = async (scopes) => (await t.api("POST", "/auth/api-keys", { name: scopes.join(), scopes })).json.key;
  const read = await make(["read"]), chat = await make(["read", "chat"]);
  const where = `/conversations/${mine.conversation}`;
  const listed = async () => (await t.api("GET", "/conversations")).json.items.find((item) => item.id === mine.conversation);
  const sent = await t.api("POST", `${where}/messages?wait=false`, { content: "Nobody waits." });
  assert.equal(sent.status, 202, sent.text);
  const before = await until(async () => { const now = await listed(); return now.unread > 0 && now; }, "a reply that nobody has seen");
  for (const method of ["GET", "HEAD"]) assert.equal((await t.api(method, where, undefined, { token: read, raw: true })).status, 200);
  assert.equal((await t.api("HEAD", where, undefined, { raw: true })).status, 200);
  const last = await t.api("POST", "/users/me/personas", { name: "A write behind all others" }); // the writer takes them in order
  assert.equal(last.status, 201);
  assert.deepEqual(await listed(), before, "not the mark, not the revision");
  assert.equal((await t.api("GET", where, undefined, { token: chat })).status, 200);
  await until(async () => (await listed()).unread === 0, "who may talk has looked");
});
