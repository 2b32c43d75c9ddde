// The rows of the table: what is done, by whom, and what must be reached. A row:
//
//   name       by which ./dev bench chooses it
//   work       its words in the table
//   parties    (stage, options) => { party: measure }: who is measured, in turns. measure(round) measures once and gives numbers
//              (`errors` other than 0 ends the row); of each number the median of all rounds is taken
//   checks     (figures) => lines of the table, from the medians: { label, theirs, ours, unit, value, goal, better, isRatio }
//   peers      { peer: (stage, options) => number-giving promise }: others beside us (peers/index.js), where they are installed
//   beside     which number of theirs is shown below the row, and how: { key, unit, scale }; nothing: the checks say what of theirs
//   rounds     when it needs another number of rounds than the run
//
// Rows of other things (memory: embedding, scan of vectors, recall) stand in files of their own beside this one, named *_rows.js, which
// export `rows` likewise; run.js finds them.
import WebSocket from "ws";
import { peerHttp, peers, peerSockets } from "./peers/index.js";
import { freePort } from "./stage.js";

const CLIENTS = 32;
const TEXT = "The lantern over the harbour was lit again, and nobody had asked for it. I walked down to see who it was.";
const SOCKETS = 10000, LISTENERS = 1000, TURNS = 1000;

/* --- requests in a closed loop ------------------------------------------------------------------------------------------------ */

function cpuCheck(figures, goal) {
  const { bare, troupe } = figures;
  return { label: "CPU of a request", theirs: bare.cpu_us, ours: troupe.cpu_us, unit: "us", value: troupe.cpu_us / bare.cpu_us, goal, better: "less", isRatio: true };
}

function rateCheck(figures) {
  return { label: "rate", theirs: figures.bare.rate, ours: figures.troupe.rate, unit: "/s" };
}

/** Our rate as a multiple of a peer's; nothing where the peer is not here. */
function timesCheck(figures, peer, goal) {
  if (figures[peer] === undefined) return [];
  const value = figures.troupe.rate / figures[peer].rate;
  return [{ label: `rate, times ${peers[peer].name ?? peer}'s`, theirs: figures[peer].rate, ours: figures.troupe.rate, unit: "/s", value, goal, better: "more", isRatio: true }];
}

/** Both answer the same requests; `lines` gives them for a party. */
function httpParties(lines, { check, connections = CLIENTS } = {}) {
  return async (stage, options) => {
    if (check) for (const path of check(stage)) await stage.checkSame(path);
    const measure = (party) => async () => {
      const server = await stage.server(party);
      return stage.load("http", {
        port: server.port, pid: server.pid, connections, seconds: options.seconds,
        requests: stage.write(`${party}.requests`, lines(stage, party)), token: party === "troupe" ? stage.token : undefined,
      });
    };
    return { bare: measure("bare"), troupe: measure("troupe") };
  };
}

const REQUEST_CPU = { key: "cpu_us", unit: "us", and: { key: "rate", unit: "/s" } };

/** Peers by name that do the work of this row. */
function askPeers(row, ...names) {
  return Object.fromEntries(names.map((name) => {
    const measure = peerHttp(name, row);
    return [name, (stage, options) => measure(stage, { connections: CLIENTS, seconds: options.seconds })];
  }));
}

function readRow(name, work, goal, lines, { peers = [], ...options } = {}) {
  return {
    name, work, parties: httpParties(lines, options), checks: (figures) => [cpuCheck(figures, goal), rateCheck(figures)],
    peers: askPeers(name, ...peers), beside: REQUEST_CPU,
  };
}

const get = (path) => `GET ${path}`;
const api = (path) => `/api/v1${path}`;

/** Thirty-two people who write, each in a conversation of their own. */
const sendLines = (stage) => stage.ids.conversation.slice(0, CLIENTS).map((id) =>
  `POST ${api(`/conversations/${id}/messages`)}\t${JSON.stringify({ content: TEXT, reply: false })}`);

/* --- a turn ------------------------------------------------------------------------------------------------------------------- */

export const turnLine = (id) => `POST ${api(`/conversations/${id}/messages`)}\t${JSON.stringify({ content: TEXT })}`;
export const OURS = { "first-mark": "message:stream:chunk", "end-mark": "message:stream:complete", word: "murmur" };
const DIRECT = { "first-mark": "murmur", "end-mark": "[DONE]", word: "murmur" };

/** The request that a client without Troupe would send: the same talk, as a prompt. */
async function directLine(stage) {
  const { items } = await stage.must("GET", `/conversations/${stage.ids.history[0]}/messages?limit=50`);
  const messages = items.map(({ role, content }) => ({ role, content }));
  return `POST /v1/chat/completions\t${JSON.stringify({ model: "bench", stream: true, messages })}`;
}

async function firstTokenParties(stage) {
  await stage.useRoute("quick", stage.ids.history);
  const direct = stage.write("direct.requests", [await directLine(stage)]);
  const ours = stage.write("turn.requests", stage.ids.history.map(turnLine));
  const rounds = stage.ids.history.length;
  const measure = (server, requests, marks, token) => async () => {
    const { port, pid } = await stage.server(server);
    return stage.load("turns", { port, pid, requests, token, rounds, connections: 1, tokens: 5, ...marks });
  };
  return { direct: measure("quick", direct, DIRECT), troupe: measure("troupe", ours, OURS, stage.token) };
}

function firstTokenChecks({ direct, troupe }) {
  const added_ms = (troupe.first_p50_us - direct.first_p50_us) / 1000, p99_ms = troupe.first_p99_us / 1000;
  return [
    { label: "added", ours: added_ms, unit: "ms", value: added_ms, goal: 0.5, better: "less" },
    { label: "p99", theirs: direct.first_p99_us / 1000, ours: p99_ms, unit: "ms", value: p99_ms, goal: 8, better: "less" },
    { label: "CPU of the whole turn", ours: troupe.cpu_us_each, unit: "us" },
  ];
}

async function streamParties(stage) {
  /* Not the talks of the row that sends: theirs hold ten thousand equal messages by now, which is another question. */
  const ids = [...stage.ids.conversation.slice(CLIENTS), ...stage.ids.history].slice(0, TURNS);
  await stage.useRoute("steady", ids);
  const direct = stage.write("proxy.requests", [await directLine(stage)]);
  const ours = stage.write("streams.requests", ids.map(turnLine));
  const measure = (name, requests, marks, token) => async () => {
    const { port, pid } = await stage.restart(name);
    /* One turn before: what a process opens once (libcurl, its connection to the disk) belongs to no stream. */
    await stage.load("turns", { port, requests, token, rounds: 1, connections: 1, ...marks });
    return stage.load("turns", {
      port, pid, requests, token, rounds: TURNS, "per-second": 200, "warm-seconds": 0.5, seconds: 5, tokens: 300, ...marks,
    });
  };
  return { proxy: measure("proxy", direct, DIRECT), troupe: measure("troupe", ours, OURS, stage.token) };
}

function streamChecks({ proxy, troupe }) {
  const p99_ms = troupe.first_p99_us / 1000, each_kb = troupe.bytes_each / 1024;
  return [
    { label: "CPU of a token", theirs: proxy.cpu_us_per_token, ours: troupe.cpu_us_per_token, unit: "us",
      value: troupe.cpu_us_per_token / proxy.cpu_us_per_token, goal: 1, better: "less", isRatio: true },
    { label: "first token p99", theirs: proxy.first_p99_us / 1000, ours: p99_ms, unit: "ms", value: p99_ms, goal: 40, better: "less" },
    { label: "memory each", theirs: proxy.bytes_each / 1024, ours: each_kb, unit: "KB", value: each_kb, goal: 24, better: "less" },
  ];
}

/* --- sockets ------------------------------------------------------------------------------------------------------------------ */

const joinLine = (id) => JSON.stringify({ type: "conversation:join", data: { id } });
const sayLine = (id) => JSON.stringify({ type: "message:send", data: { conversation_id: id, content: TEXT, reply: false } });

/** Pages of the database that joining will touch belong to no socket: they are read before. */
async function touchConversations(stage, ids) {
  const { port } = await stage.server("troupe");
  await stage.load("http", {
    port, connections: 4, seconds: 1, token: stage.token, requests: stage.write("touch.requests", ids.map((id) => get(api(`/conversations/${id}`)))),
  });
}

async function socketParties(stage) {
  const ids = stage.ids.conversation;
  const hello = stage.write("join.hello", ids.map(joinLine));
  return {
    async bare() {
      const { port, pid } = await stage.restart("bare");
      return stage.load("sockets", { port, pid, connections: SOCKETS, seconds: 1 });
    },
    async troupe() {
      const { port, pid } = await stage.restart("troupe");
      await touchConversations(stage, ids);
      return stage.load("sockets", { port, pid, connections: SOCKETS, seconds: 1, token: stage.token, hello, welcome: "conversation:joined" });
    },
  };
}

function socketChecks({ bare, troupe }) {
  const each_kb = troupe.pss_bytes_each / 1024;
  return [{ label: "memory each", theirs: bare.pss_bytes_each / 1024, ours: each_kb, unit: "KB", value: each_kb, goal: 2, better: "less" }];
}

/** What a listener hears when somebody speaks: the yardstick sends the same bytes. */
async function sampleEvent(stage, id) {
  const { url } = await stage.server("troupe");
  const socket = new WebSocket(`${url.replace("http", "ws")}/ws`, { headers: { authorization: `Bearer ${stage.token}` } });
  return new Promise((resolve, reject) => {
    socket.on("error", reject);
    socket.on("open", () => socket.send(joinLine(id)));
    socket.on("message", (bytes) => {
      const text = bytes.toString(), { type } = JSON.parse(text);
      if (type === "conversation:joined") socket.send(sayLine(id));
      if (type !== "message:received") return;
      socket.close();
      resolve(text);
    });
  });
}

async function fanoutParties(stage) {
  const id = stage.ids.conversation.at(-1);
  const hello = stage.write("fanout.hello", [joinLine(id)]);
  const event = stage.write("event.say", [await sampleEvent(stage, id)]);
  const say = stage.write("message.say", [sayLine(id)]);
  const measure = (party, speak, more) => async () => {
    const { port, pid } = await stage.restart(party);
    return stage.load("fanout", { port, pid, connections: LISTENERS, rounds: 300, speak, heard: "message:received", ...more });
  };
  return { bare: measure("bare", event), troupe: measure("troupe", say, { token: stage.token, hello, welcome: "conversation:joined" }) };
}

function fanoutChecks({ bare, troupe }) {
  return [
    { label: "CPU of a listener", theirs: bare.cpu_us_each, ours: troupe.cpu_us_each, unit: "us",
      value: troupe.cpu_us_each / bare.cpu_us_each, goal: 1.2, better: "less", isRatio: true },
    { label: "last one hears p99", theirs: bare.p99_us / 1000, ours: troupe.p99_us / 1000, unit: "ms" },
  ];
}

/* --- start and rest ----------------------------------------------------------------------------------------------------------- */

async function startParties(stage) {
  for (const name of ["troupe", "bare"]) {
    await stage.server(name);
    await stage.running[name].stop();
    delete stage.running[name];
  }
  const port = await freePort();
  const measure = (command) => () => stage.load("start", { port, rounds: 11 }, command);
  return { bare: measure(stage.bareCommand(port)), troupe: measure(stage.troupeCommand(stage.file("house"), port)) };
}

function startChecks({ bare, troupe }) {
  const ms = troupe.start_us / 1000;
  return [{ label: "to the first answer", theirs: bare.start_us / 1000, ours: ms, unit: "ms", value: ms, goal: 10, better: "less" }];
}

async function restParties(stage) {
  return {
    async bare() {
      const { pid } = await stage.restart("bare");
      return stage.memoryOf(pid);
    },
    async troupe(round) {
      const { pid, stop } = await stage.freshHouse(`rest-${round}`);
      await new Promise((resolve) => setTimeout(resolve, 2000));
      const memory = stage.memoryOf(pid);
      await stop();
      return memory;
    },
  };
}

function restChecks({ bare, troupe }) {
  return [
    { label: "resident", theirs: bare.rss_mb, ours: troupe.rss_mb, unit: "MB", value: troupe.rss_mb, goal: 8, better: "less" },
    { label: "of that its own", theirs: bare.anonymous_mb, ours: troupe.anonymous_mb, unit: "MB" },
  ];
}

/* --- the table ---------------------------------------------------------------------------------------------------------------- */

export const rows = [
  readRow("healthz", "GET /healthz", 1.3, () => [get("/healthz")], { peers: ["nginx", "fastify", "pocketbase"] }),
  readRow("list", "list 20 characters", 1.3, () => [get(api("/characters?limit=20"))],
    { check: () => ["/characters?limit=20"], peers: ["fastify", "pocketbase"] }),
  readRow("get", "get one character", 1.6, (stage) => stage.ids.character.map((id) => get(api(`/characters/${id}`))),
    { check: (stage) => stage.ids.character.slice(0, 3).map((id) => `/characters/${id}`), peers: ["pocketbase"] }),
  readRow("page", "page of 20 messages", 1.3, (stage) => stage.ids.conversation.map((id) => get(api(`/conversations/${id}/messages?limit=20`))),
    { check: (stage) => stage.ids.conversation.slice(0, 3).map((id) => `/conversations/${id}/messages?limit=20`), peers: ["pocketbase"] }),
  {
    name: "send", work: "send a message, durable", writes: true,
    parties: httpParties(sendLines),
    checks: (figures) => [
      cpuCheck(figures, 2), rateCheck(figures),
      { label: "p99", theirs: figures.bare.p99_us / 1000, ours: figures.troupe.p99_us / 1000, unit: "ms",
        value: figures.troupe.p99_us / 1000, goal: 8, better: "less" },
      ...timesCheck(figures, "pocketbase", 15),
      { label: "CPU that follows, words and learning", ours: figures.troupe.behind_us / figures.troupe.requests, unit: "us" },
    ],
    peers: askPeers("send", "pocketbase"), beside: REQUEST_CPU,
  },
  {
    name: "asset", work: "asset of 11 KB",
    parties: httpParties((stage, party) => [get(party === "bare" ? "/asset" : `/assets/${stage.asset.name}`)]),
    checks: (figures) => [{ ...rateCheck(figures) }, { ...cpuCheck(figures), goal: undefined }, ...timesCheck(figures, "nginx", 1)],
    peers: askPeers("asset", "nginx"), beside: REQUEST_CPU,
  },
  { name: "first-token", writes: true, work: "first token of a turn", parties: firstTokenParties, checks: firstTokenChecks },
  { name: "streams", writes: true, work: "1,000 turns at 20 tokens/s", parties: streamParties, checks: streamChecks },
  {
    name: "sockets", work: "10,000 idle WebSockets", parties: socketParties, checks: socketChecks,
    peers: Object.fromEntries(["ws", "socketio"].map((name) => [name, peerSockets(name, "sockets", { connections: SOCKETS, seconds: 1 })])),
    beside: { key: "pss_bytes_each", scale: 1 / 1024, unit: "KB" },
  },
  {
    name: "fanout", writes: true, work: "fan-out to 1,000", parties: fanoutParties, checks: fanoutChecks,
    peers: Object.fromEntries(["ws", "socketio"].map((name) => [name, peerSockets(name, "fanout", { connections: LISTENERS, rounds: 300 })])),
    beside: { key: "cpu_us_each", unit: "us" },
  },
  { name: "start", work: "start, 100,000 messages", parties: startParties, checks: startChecks },
  { name: "rest", work: "idle after set-up", parties: restParties, checks: restChecks },
];
