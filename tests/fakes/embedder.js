// A fake endpoint that embeds, without dependencies. The same text always gets the same vector; texts that share words are near to each other.
//
//   const fake = await startEmbedder({ dims: 32, model: "tiny" });
//   fake.url; fake.texts (how many were embedded); fake.requests: [{ path, headers, json }]; await fake.close();
//   fake.behave = (request, n) => step | undefined, or a promise of it
//
// It answers POST /v1/embeddings and POST /api/embed. A step is what it does instead of answering well:
//
//   status, headers, body   an answer as it is               wait_ms   before the answer
//   hang: true              nothing at all                   reset: true   the connection breaks off
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";

// FNV-1a, so that a word is always the same numbers.
function hash(word) {
  let h = 0x811c9dc5;
  for (const c of word) h = Math.imul(h ^ c.codePointAt(0), 0x01000193) >>> 0;
  return h;
}

export function vectorOf(text, dims) {
  const vector = new Array(dims).fill(0);
  for (const word of text.toLowerCase().match(/\p{L}+|\d+/gu) ?? ["nothing"])
    for (let k = 0; k < 4; k++) vector[hash(`${word}:${k}`) % dims] += hash(`${k}:${word}`) % 2 ? 1 : -1;
  if (vector.every((x) => x === 0)) vector[0] = 1;
  return vector;
}

export async function startEmbedder({ dims = 32, model = "tiny", key, behave } = {}) {
  const fake = { dims, model, key, behave, texts: 0, requests: [] };
  const answer = async (request, response) => {
    let text = "";
    for await (const bytes of request) text += bytes;
    const json = text ? JSON.parse(text) : undefined;
    const number = fake.requests.push({ path: request.url, headers: request.headers, json }) - 1;
    const step = await fake.behave?.(fake.requests[number], number);
    const send = (status, body, headers = {}) => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(typeof body === "string" ? body : JSON.stringify(body));
    };
    if (step?.wait_ms) await sleep(step.wait_ms);
    if (step?.hang) return;
    if (step?.reset) return request.socket.resetAndDestroy();
    if (step?.status) return send(step.status, step.body ?? "", step.headers);
    if (fake.key && request.headers.authorization !== `Bearer ${fake.key}`) return send(401, { error: { message: "wrong key" } });
    const isOllama = request.url === "/api/embed";
    if (!isOllama && request.url !== "/v1/embeddings") return send(404, "404 page not found");
    if (json.model !== fake.model) return send(404, isOllama ? { error: `model '${json.model}' not found` } : { error: { message: "no such model", type: "not_found" } });
    const inputs = [].concat(json.input);
    fake.texts += inputs.length;
    const vectors = inputs.map((input) => vectorOf(input, fake.dims));
    if (isOllama) return send(200, { model: fake.model, embeddings: vectors });
    const data = vectors.map((embedding, index) => ({ object: "embedding", index, embedding })).reverse(); // order is told by index only
    send(200, { object: "list", model: fake.model, data, usage: { prompt_tokens: 1, total_tokens: 1 } });
  };
  const server = createServer((request, response) => answer(request, response).catch(() => response.destroy()));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  server.unref(); // a test that failed must not be held up by its fake
  fake.port = server.address().port;
  fake.url = `http://127.0.0.1:${fake.port}`;
  fake.close = () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); });
  return fake;
}
