// PocketBase: the same fields of characters and messages in two collections, the rules of a signed-in person, its batch interface to fill
// them (fewer messages than Troupe has: its import takes a second per thousand). A message that it accepted is not synced to disk.
//
// Debian has it in sid only, so it is never installed here: TROUPE_BENCH_POCKETBASE names the program, or PATH has it.
import { execFileSync, spawnSync } from "node:child_process";
import { SERVER_CORE, freePort, spawnServer } from "../stage.js";

const program = process.env.TROUPE_BENCH_POCKETBASE ?? "pocketbase";
const EMAIL = "owner@example.com", PASSWORD = "a long enough pass phrase";
const TALKS = 100, MESSAGES_EACH = 50, BATCH = 500;

async function call(url, method, path, body, token) {
  const answer = await fetch(`${url}${path}`, {
    method, headers: { "content-type": "application/json", ...(token ? { authorization: token } : {}) }, body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`PocketBase: ${method} ${path} answered ${answer.status}: ${text.slice(0, 300)}`);
  return text ? JSON.parse(text) : null;
}

const SIGNED_IN = '@request.auth.id != ""';
const collection = (name, fields, indexes = []) => ({
  name, type: "base", listRule: SIGNED_IN, viewRule: SIGNED_IN, createRule: SIGNED_IN, indexes,
  fields: [...fields.map((field) => (typeof field === "string" ? { name: field, type: "text", max: 100000 } : field)),
    { name: "created", type: "autodate", onCreate: true }, { name: "updated", type: "autodate", onCreate: true, onUpdate: true }],
});

async function fill(stage, url, admin) {
  const api = (method, path, body) => call(url, method, path, body, admin);
  await api("PATCH", "/api/settings", { batch: { enabled: true, maxRequests: BATCH, timeout: 60 } });
  const first = await stage.must("GET", `/characters/${stage.ids.character[0]}`);
  const texts = Object.keys(first).filter((key) => typeof first[key] === "string" && !["id", "created_at", "updated_at"].includes(key));
  await api("POST", "/api/collections", collection("characters", texts, ["CREATE INDEX character_newest ON characters (created)"]));
  await api("POST", "/api/collections", collection("messages", ["conversation", "role", "author", "content"],
    ["CREATE INDEX message_of ON messages (conversation, created)"]));
  const insert = async (name, rows) => {
    for (let i = 0; i < rows.length; i += BATCH) {
      const requests = rows.slice(i, i + BATCH).map((body) => ({ method: "POST", url: `/api/collections/${name}/records`, body }));
      await api("POST", "/api/batch", { requests });
    }
  };
  const card = Object.fromEntries(texts.map((key) => [key, first[key]]));
  await insert("characters", Array.from({ length: 1000 }, (_, i) => ({ ...card, name: `${card.name} ${i}` })));
  const said = (await stage.must("GET", `/conversations/${stage.ids.conversation[0]}/messages?limit=${MESSAGES_EACH}`)).items;
  await insert("messages", stage.ids.conversation.slice(0, TALKS).flatMap((conversation) =>
    said.map(({ role, author, content }) => ({ conversation, role, author: author.name, content }))));
  const { items } = await api("GET", "/api/collections/characters/records?perPage=500&skipTotal=1");
  stage.pocketbase_ids = items.map(({ id }) => id);
}

async function signIn(url, admin) {
  await call(url, "POST", "/api/collections/users/records", { email: "other@example.com", password: PASSWORD, passwordConfirm: PASSWORD }, admin);
  const { token } = await call(url, "POST", "/api/collections/users/auth-with-password", { identity: "other@example.com", password: PASSWORD });
  return token;
}

const records = (name, query) => `GET /api/collections/${name}/records?${query}&skipTotal=1`;
const talks = (stage) => stage.ids.conversation.slice(0, TALKS);

export const pocketbase = {
  name: "PocketBase",
  missing: () => (spawnSync(program, ["--version"]).error ? "PocketBase is not on PATH, nor named by TROUPE_BENCH_POCKETBASE" : null),
  async start(stage) {
    const dir = stage.file("pocketbase"), port = await freePort(), isNew = stage.pocketbase_ids === undefined;
    if (isNew) execFileSync(program, ["superuser", "upsert", EMAIL, PASSWORD, "--dir", dir], { stdio: "ignore" });
    const server = await spawnServer(SERVER_CORE, program, ["serve", "--http", `127.0.0.1:${port}`, "--dir", dir], { port });
    if (!isNew) return server;
    const { token } = await call(server.url, "POST", "/api/collections/_superusers/auth-with-password", { identity: EMAIL, password: PASSWORD });
    await fill(stage, server.url, token);
    stage.pocketbase_token = await signIn(server.url, token);
    return server;
  },
  requests: {
    healthz: () => ["GET /api/health"],
    list: () => [records("characters", "perPage=20&sort=-created")],
    get: (stage) => stage.pocketbase_ids.map((id) => `GET /api/collections/characters/records/${id}`),
    page: (stage) => talks(stage).map((id) => records("messages", `perPage=20&sort=-created&filter=(conversation='${id}')`)),
    send: (stage) => talks(stage).slice(0, 32).map((conversation) =>
      `POST /api/collections/messages/records\t${JSON.stringify({ conversation, role: "user", author: "Olive", content: "The lantern over the harbour was lit again." })}`),
  },
};
