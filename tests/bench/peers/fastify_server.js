// fastify_server.js PORT CHARACTERS
import Fastify from "fastify";
import { readFileSync } from "node:fs";

const [port, file] = process.argv.slice(2);
const characters = JSON.parse(readFileSync(file, "utf8"));
const app = Fastify();
app.get("/healthz", async () => ({ status: "ok" }));
app.get("/api/v1/characters", async (request) => ({ ...characters, items: characters.items.slice(0, Number(request.query.limit ?? 20)) }));
await app.listen({ port: Number(port), host: "127.0.0.1" });
console.log(`listening on http://127.0.0.1:${port}`);
