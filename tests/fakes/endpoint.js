// Fake model servers, without dependencies. Each speaks its protocol as the real one does and misbehaves as its script says.
//
//   const fake = await startFake({ kind: "openai", script: [{ status: 429, headers: { "retry-after": "2" } }, { reply: "Hello." }] });
//   fake.url, fake.port; fake.requests: [{ method, path, headers, text, json, at, aborted }]; fake.play([...]); await fake.close();
//
// kind: openai, ollama, anthropic, llamacpp, lmstudio, koboldcpp, vllm. Request n of a chat is answered by step n of the script, later ones by the last step;
// a script may also be a function (request, n) => step. A step:
//
//   reply          text, cut into words, or an array of deltas          reasoning    text before it, likewise
//   wait_ms        before the headers (a model that loads)              first_ms     between headers and the first delta
//   token_ms       between deltas                                      usage        {prompt, reply}, or null for none
//   finish         the protocol's finish reason, null for none         done         false: no end mark
//   crlf           line ends CRLF                                      bytes        true: every byte in a write of its own
//   pings          comments or ping events between deltas              gzip         compressed, whatever was asked for
//   error_after    n deltas, then `error` (object or text) in mid-stream
//   stall_after    n deltas, then silence                              close_after  n deltas, then the connection ends properly too early
//   reset_after    n deltas, then RST                                  endless      one line without end
//   gate           a promise: the deltas come after it                 before_reset a function: RST comes after the promise that it gives (what was not read is lost by it)
//   status, headers, body, type                                        an answer as it is (no stream)
//   stream: false  one document instead of a stream                    hang: true   not even headers
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";

const MODELS = { openai: ["gpt-fake", "gpt-fake-mini"], ollama: ["llama-fake:latest", "qwen-fake:7b"], anthropic: ["claude-fake"], llamacpp: ["gguf-fake.gguf"],
  lmstudio: ["lmstudio-fake"], koboldcpp: ["koboldcpp/kobold-fake"], vllm: ["org/vllm-fake"] };

// --- the protocols: how a delta, a thought, an end and an error look -----------------------------------------------------------------

const sse = (data, event) => `${event ? `event: ${event}\n` : ""}data: ${typeof data === "string" ? data : JSON.stringify(data)}\n\n`;

const chunk = (delta, finish = null, more = {}) => sse({ id: "chatcmpl-1", object: "chat.completion.chunk", created: 1, model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }], ...more });

const openai = {
  path: "/v1/chat/completions",
  type: "text/event-stream",
  begin: () => chunk({ role: "assistant", content: "" }),
  delta: (text) => chunk({ content: text }),
  thought: (text) => chunk({ reasoning_content: text }),
  ping: () => ": ping\n\n",
  error: (error) => sse({ error: typeof error === "string" ? error : { message: "the fake fell over", type: "server_error", code: 500, ...error } }),
  end: ({ finish = "stop", usage, done = true }) => (finish === null ? "" : chunk({}, finish)) +
    (usage ? sse({ choices: [], usage: { prompt_tokens: usage.prompt, completion_tokens: usage.reply, total_tokens: usage.prompt + usage.reply } }) : "") +
    (done ? sse("[DONE]") : ""),
  document: (text, { finish = "stop", usage }) => ({ id: "chatcmpl-1", object: "chat.completion", choices: [{ index: 0, message: { role: "assistant", content: text }, finish_reason: finish }],
    usage: usage && { prompt_tokens: usage.prompt, completion_tokens: usage.reply } }),
};

const line = (object) => `${JSON.stringify({ model: "m", created_at: "2026-01-01T10:00:00.1Z", ...object })}\n`;

const ollama = {
  path: "/api/chat",
  type: "application/x-ndjson",
  begin: () => "",
  delta: (text) => line({ message: { role: "assistant", content: text }, done: false }),
  thought: (text) => line({ message: { role: "assistant", content: "", thinking: text }, done: false }),
  ping: () => "\n",
  error: (error) => `${JSON.stringify({ error: typeof error === "string" ? error : error.message ?? "the fake fell over" })}\n`,
  end: ({ finish = "stop", usage, done = true }) => (finish === null || !done ? "" : line({ message: { role: "assistant", content: "" }, done: true, done_reason: finish,
    ...(usage ? { prompt_eval_count: usage.prompt, eval_count: usage.reply } : {}) })),
  document: (text, { finish = "stop", usage }) => ({ model: "m", message: { role: "assistant", content: text }, done: true, done_reason: finish,
    ...(usage ? { prompt_eval_count: usage.prompt, eval_count: usage.reply } : {}) }),
};

const named = (data) => sse(data, data.type);

const anthropic = {
  path: "/v1/messages",
  type: "text/event-stream",
  begin: ({ usage }) => named({ type: "message_start", message: { id: "msg_1", type: "message", role: "assistant", content: [], usage: { input_tokens: usage?.prompt ?? 0, output_tokens: 1 } } }) +
    named({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }),
  delta: (text) => named({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } }),
  thought: (thinking) => named({ type: "content_block_delta", index: 0, delta: { type: "thinking_delta", thinking } }),
  ping: () => named({ type: "ping" }),
  error: (error) => named({ type: "error", error: typeof error === "string" ? error : { type: "api_error", message: "the fake fell over", ...error } }),
  end: ({ finish = "end_turn", usage, done = true }) => named({ type: "content_block_stop", index: 0 }) +
    (finish === null ? "" : named({ type: "message_delta", delta: { stop_reason: finish }, usage: { output_tokens: usage?.reply ?? 0 } })) + (done ? named({ type: "message_stop" }) : ""),
  document: (text, { finish = "end_turn", usage }) => ({ id: "msg_1", type: "message", role: "assistant", content: [{ type: "text", text }], stop_reason: finish,
    usage: { input_tokens: usage?.prompt ?? 0, output_tokens: usage?.reply ?? 0 } }),
};

const PROTOCOLS = { openai, ollama, anthropic, llamacpp: openai, lmstudio: openai, koboldcpp: openai, vllm: openai };

// --- what each server answers beside chats: how it is told from the others ------------------------------------------------------------

const list = (names, more = () => ({})) => ({ object: "list", data: names.map((id) => ({ id, object: "model", created: 1, owned_by: "fake", ...more(id) })) });
const tags = (names) => ({ models: names.map((name) => ({ name, model: name, size: 1, details: { family: "llama", families: null } })) });

const INFO = {
  openai: (names) => ({ "/v1/models": list(names) }),
  anthropic: (names) => ({ "/v1/models": { data: names.map((id) => ({ id, type: "model", display_name: id, max_input_tokens: 200000 })), has_more: false } }),
  ollama: (names) => ({ "/": "Ollama is running", "/api/version": { version: "0.12.3" }, "/api/tags": tags(names), "/v1/models": list(names, () => ({ owned_by: "library" })) }),
  llamacpp: (names) => ({ "/health": { status: "ok" }, "/props": { default_generation_settings: { n_ctx: 16384 }, total_slots: 1, build_info: "b9999-fake", chat_template: "x" },
    "/v1/models": list(names, () => ({ owned_by: "llamacpp", meta: { n_ctx_train: 131072 } })) }),
  lmstudio: (names) => ({ "/v1/models": list(names, () => ({ owned_by: "organization_owner" })),
    "/api/v0/models": { object: "list", data: names.map((id) => ({ id, object: "model", type: "llm", state: "loaded", loaded_context_length: 4096, max_context_length: 32768 })) } }),
  koboldcpp: (names) => ({ "/api/extra/version": { result: "KoboldCpp", version: "1.102", protected: false }, "/api/extra/true_max_context_length": { value: 8192 },
    "/api/v1/info/version": { result: "1.2.5" }, "/api/v1/model": { result: names[0] }, "/v1/models": list(names, () => ({ owned_by: "koboldcpp" })),
    "/api/version": { version: "0.7.0" }, "/api/tags": { models: names.map((name) => ({ name, details: { family: "koboldcpp" } })) } }),
  vllm: (names) => ({ "/version": { version: "0.11.0" }, "/health": "", "/v1/models": list(names, () => ({ owned_by: "vllm", max_model_len: 32768 })) }),
};

// --- playing a step ----------------------------------------------------------------------------------------------------------------------

const words = (text) => (Array.isArray(text) ? text : (text.match(/\s*\S+|\s+$/gu) ?? []));

async function writeBytes(response, bytes) {
  for (let i = 0; i < bytes.length && !response.destroyed; i++) {
    response.write(bytes.subarray(i, i + 1));
    await sleep(0);
  }
}

/** Sends a piece of the stream in the form that the step asks for. */
async function put(response, step, text) {
  const bytes = Buffer.from(step.crlf ? text.replace(/\n/g, "\r\n") : text);
  if (bytes.length === 0 || response.destroyed) return;
  if (step.bytes) await writeBytes(response, bytes);
  else response.write(bytes);
}

function answer(response, step) {
  const body = typeof step.body === "object" ? JSON.stringify(step.body) : step.body ?? "";
  const type = step.type ?? (typeof step.body === "object" ? "application/json" : "text/plain");
  response.writeHead(step.status ?? 200, { ...(type ? { "content-type": type } : {}), ...step.headers });
  response.end(body);
}

/** True when the step wants the stream to end here, in whatever bad way. */
async function misbehave(response, step, protocol, sent) {
  if (step.error_after === sent) {
    await put(response, step, protocol.error(step.error ?? {}));
    response.end(step.after_error ?? "");
    return true;
  }
  if (step.stall_after === sent) return true;
  if (step.close_after === sent) return response.end(), true;
  if (step.reset_after === sent) {
    await step.before_reset?.();
    return response.socket.resetAndDestroy(), true;
  }
  return false;
}

async function stream(response, step, protocol) {
  const usage = step.usage === undefined ? { prompt: 21, reply: words(step.reply).length } : step.usage;
  const full = { ...step, usage };
  response.writeHead(200, { "content-type": step.type ?? protocol.type, ...step.headers });
  response.flushHeaders();
  await sleep(step.first_ms ?? 0);
  await put(response, step, protocol.begin(full));
  await step.gate;
  for (const thought of words(step.reasoning ?? "")) await put(response, step, protocol.thought(thought));
  let sent = 0;
  for (const delta of words(step.reply)) {
    if (await misbehave(response, step, protocol, sent)) return;
    if (step.pings) await put(response, step, protocol.ping());
    await put(response, step, protocol.delta(delta));
    sent++;
    if (step.token_ms) await sleep(step.token_ms);
    if (response.destroyed) return;
  }
  if (await misbehave(response, step, protocol, sent)) return;
  await put(response, step, protocol.end(full));
  response.end();
}

/** The same stream, compressed as a whole and sent in small pieces. */
async function streamGzip(response, step, protocol) {
  const usage = step.usage === undefined ? { prompt: 21, reply: 1 } : step.usage;
  const whole = protocol.begin({ usage }) + words(step.reply).map(protocol.delta).join("") + protocol.end({ ...step, usage });
  response.writeHead(200, { "content-type": protocol.type, "content-encoding": "gzip" });
  await writeBytes(response, gzipSync(whole));
  response.end();
}

async function endless(response, protocol) {
  response.writeHead(200, { "content-type": protocol.type });
  response.write("data: ");
  const piece = Buffer.alloc(65536, "x");
  const closed = new Promise((resolve) => response.once("close", resolve));
  while (!response.destroyed) {
    if (!response.write(piece)) await Promise.race([closed, new Promise((resolve) => response.once("drain", resolve))]);
  }
}

async function play(response, step, protocol) {
  if (step.hang) return;
  await sleep(step.wait_ms ?? 0);
  if (step.endless) return endless(response, protocol);
  if (step.reply === undefined) return answer(response, step);
  if (step.stream === false) return answer(response, { body: protocol.document(words(step.reply).join(""), step), headers: step.headers });
  return step.gzip ? streamGzip(response, step, protocol) : stream(response, step, protocol);
}

// --- the server ----------------------------------------------------------------------------------------------------------------------------

async function read(message) {
  const parts = [];
  for await (const part of message) parts.push(part);
  return Buffer.concat(parts).toString("utf8");
}

const parse = (text) => { try { return JSON.parse(text); } catch { return undefined; } };

/** LM Studio answers every path with 200; the others say 404. */
function unknownPath(response, kind, request) {
  if (kind === "lmstudio") return answer(response, { body: { error: `Unexpected endpoint or method. (${request.method} ${request.path})` } });
  return answer(response, { status: 404, body: kind === "koboldcpp" ? "<html>Error 404</html>" : { error: { message: "Not found", code: 404 } } });
}

function inform(response, kind, info, request, key) {
  const known = info[request.path.split("?")[0]];
  const isProtected = key && !(request.headers.authorization ?? request.headers["x-api-key"] ?? "").includes(key) && request.path.startsWith("/v1");
  if (isProtected) return answer(response, { status: 401, body: { error: { message: "Invalid API Key", type: "authentication_error", code: 401 } } });
  if (known === undefined) return unknownPath(response, kind, request);
  return answer(response, { body: known });
}

/** `key`: /v1 wants it. `loading`: every path answers 503 as llama.cpp does while its model loads. `models`: names to list. */
export async function startFake({ kind = "openai", script = [{ reply: "Hello from the fake." }], port = 0, host = "127.0.0.1", key, loading = false, models = MODELS[kind] } = {}) {
  const protocol = PROTOCOLS[kind];
  const info = INFO[kind](models);
  const fake = { kind, models, requests: [], chats: [], connections: 0, script };
  const server = createServer(async (message, response) => {
    const request = { method: message.method, path: message.url, headers: message.headers, at: performance.now(), aborted: false };
    fake.requests.push(request);
    response.on("close", () => { request.aborted = !response.writableFinished; request.closedAt = performance.now(); });
    response.on("error", () => {});
    request.text = await read(message).catch(() => "");
    request.json = parse(request.text);
    if (loading) return answer(response, { status: 503, body: { error: { code: 503, message: "Loading model", type: "unavailable_error" } } });
    if (request.path !== protocol.path) return inform(response, kind, info, request, key);
    const number = fake.chats.push(request) - 1;
    const steps = fake.script;
    const step = typeof steps === "function" ? steps(request, number) : steps[Math.min(number, steps.length - 1)];
    await play(response, step, protocol).catch((error) => { if (!response.destroyed) throw error; });
  });
  server.on("connection", (socket) => { fake.connections++; socket.setNoDelay(true); socket.on("error", () => {}); });
  server.keepAliveTimeout = 60000;
  await new Promise((resolve, reject) => { server.once("error", reject); server.listen(port, host, resolve); });
  server.unref(); // a test that failed must not be held up by its fake
  fake.port = server.address().port;
  fake.url = `http://${host}:${fake.port}`;
  /** A new script, from its first step on. */
  fake.play = (steps) => { fake.script = steps; fake.chats.length = 0; };
  fake.close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
  return fake;
}
