// Node.js with what people take first: Fastify, ws, Socket.IO. One file of a server each, beside this one. Fastify holds its twenty
// characters in memory: no database, no accounts, the same JSON. The sockets know no accounts either, and one room.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SERVER_CORE, freePort, spawnServer } from "../stage.js";

const file = (name) => fileURLToPath(new URL(name, import.meta.url));
const missing = () => (existsSync(file("node_modules/fastify")) ? null : "npm ci in tests/bench/peers has not been run");
const start = (name) => async (stage) => {
  stage.write("characters.json", [JSON.stringify(await stage.must("GET", "/characters?limit=20"))]);
  return spawnServer(SERVER_CORE, process.execPath, [file(name), String(await freePort()), stage.file("characters.json")], { env: { NODE_ENV: "production" } });
};
const WORDS = "The lantern over the harbour was lit again, and nobody had asked for it. ".repeat(7);

export const fastify = {
  name: "Fastify", missing, start: start("fastify_server.js"),
  requests: { healthz: () => ["GET /healthz"], list: () => ["GET /api/v1/characters?limit=20"] },
};

export const ws = {
  missing, start: start("ws_server.js"),
  frames: { speak: JSON.stringify({ type: "message:received", data: WORDS }), heard: "message:received" },
};

/* "0" opens the connection, "40" joins, "42" is an event. */
export const socketio = {
  name: "Socket.IO", missing, start: start("socketio_server.js"),
  frames: { upgrade: "/socket.io/?EIO=4&transport=websocket", hello: "40", welcome: "40{", speak: `42${JSON.stringify(["say", WORDS])}`, heard: "message:received" },
};
