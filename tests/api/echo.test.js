// The product's WebSocket on a real socket, at the sizes and in the pieces of the Autobahn suite: an echo server over src/net (tests/fakes/echo_socket.c), because
// Troupe itself never echoes. The rules of single frames are tests/unit/test_ws.c; here are writes that the kernel takes in part, and the ends of connections.
import { after, before, describe, test } from "node:test";
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { WebSocket } from "ws";
import { binary } from "./harness.js";

const MIB = 1 << 20;
const program = join(dirname(binary), "echo_socket");
let child, ended, port, said = "";

before(async () => {
  child = spawn(program, [], { stdio: ["ignore", "pipe", "pipe"] });
  child.stderr.on("data", (bytes) => (said += bytes));
  ended = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  port = await new Promise((resolve, reject) => {
    child.on("error", reject);
    child.stdout.on("data", (bytes) => resolve(Number(/:(\d+)\/echo/.exec(bytes)[1])));
  });
});

after(async () => {
  child.kill("SIGTERM");
  assert.equal(await ended, 0, said); // and no sanitizer spoke
});

const digest = (bytes) => createHash("sha256").update(bytes).digest("hex");

function open() {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo`, { maxPayload: 64 * MIB });
  const waiting = [], got = [];
  socket.on("message", (data, isBinary) => {
    const message = { data, isBinary };
    if (waiting.length) waiting.shift()(message);
    else got.push(message);
  });
  socket.next = () => (got.length ? Promise.resolve(got.shift()) : new Promise((resolve) => waiting.push(resolve)));
  socket.ended = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  return new Promise((resolve, reject) => { socket.on("open", () => resolve(socket)); socket.on("error", reject); });
}

/** A socket after the handshake, for bytes in any pieces; `all` gives what came until the server closed. */
function raw() {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let bytes = Buffer.alloc(0), head = false;
    socket.setNoDelay(true);
    socket.all = new Promise((done) => socket.on("close", (hadError) => done({ bytes, hadError })));
    socket.on("error", reject);
    socket.on("data", (piece) => {
      bytes = Buffer.concat([bytes, piece]);
      if (head || bytes.indexOf("\r\n\r\n") < 0) return;
      head = true;
      assert.match(bytes.toString("latin1"), /^HTTP\/1\.1 101 /);
      bytes = bytes.subarray(bytes.indexOf("\r\n\r\n") + 4);
      resolve(socket);
    });
    socket.write("GET /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  });
}

/** A frame as a client sends it, with a mask of zeros: the payload stays what it is. */
function frame(first, payload) {
  const form = payload.length < 126 ? 0 : payload.length < 65536 ? 2 : 8, head = Buffer.alloc(6 + form);
  head[0] = first;
  head[1] = 0x80 | (form === 0 ? payload.length : form === 2 ? 126 : 127);
  if (form === 2) head.writeUInt16BE(payload.length, 2);
  if (form === 8) head.writeBigUInt64BE(BigInt(payload.length), 2);
  return Buffer.concat([head, payload]);
}
const CLOSE = frame(0x88, Buffer.from([0x03, 0xe8]));

describe("echo over a real socket", () => {
  test("messages of up to 16 MiB come back whole (9.1, 9.2)", async () => {
    const socket = await open();
    for (const len of [0, 125, 126, 65535, 65536, MIB, 16 * MIB]) {
      const sent = randomBytes(len);
      socket.send(sent);
      const { data, isBinary } = await socket.next();
      assert.ok(isBinary);
      assert.equal(digest(data), digest(sent), `${len} bytes`);
    }
    socket.send("ü".repeat(4 * MIB));
    const { data, isBinary } = await socket.next();
    assert.ok(!isBinary);
    assert.equal(data.toString(), "ü".repeat(4 * MIB));
    socket.close(1000);
    assert.equal(await socket.ended, 1000);
  });

  test("4 MiB in fragments of 64 bytes are one message (9.3, 9.4)", async () => {
    const socket = await open(), sent = randomBytes(4 * MIB);
    for (let i = 0; i < sent.length; i += 64) socket.send(sent.subarray(i, i + 64), { fin: i + 64 >= sent.length, binary: true });
    const { data } = await socket.next();
    assert.equal(digest(data), digest(sent));
    socket.close(1000);
    assert.equal(await socket.ended, 1000);
  });

  test("however the stream is chopped, the answer is the same (2.6, 9.5, 9.6)", async () => {
    const text = Buffer.from("BAsd7&jh23ü".repeat(3000));
    const stream = Buffer.concat([frame(0x89, Buffer.alloc(125, 0xfe)), frame(0x01, text.subarray(0, 7)), frame(0x89, Buffer.from("in between")),
      frame(0x80, text.subarray(7)), CLOSE]);
    const answers = new Set();
    for (const piece of [1, 7, 64, 1024, stream.length]) {
      const socket = await raw();
      for (let i = 0; i < stream.length; i += piece) if (!socket.write(stream.subarray(i, i + piece))) await new Promise((resolve) => socket.once("drain", resolve));
      const { bytes, hadError } = await socket.all;
      assert.ok(!hadError, "no reset");
      answers.add(bytes.toString("latin1"));
    }
    assert.equal(answers.size, 1);
    const [answer] = answers, whole = Buffer.from(answer, "latin1");
    assert.deepEqual(whole.subarray(0, 2), Buffer.from([0x8a, 125]));
    assert.ok(whole.subarray(-4).equals(Buffer.from([0x88, 2, 0x03, 0xe8])), "the code of the close comes back, and nothing behind it");
    assert.equal(whole.indexOf(text), whole.length - 4 - text.length);
  });

  test("what was sent before a close is answered before it, to a peer that reads slowly; what comes behind it is not (7.1.4, 7.1.6)", async () => {
    const socket = await raw(), payload = Buffer.alloc(4 * MIB, "x");
    socket.pause();
    const stream = Buffer.concat([frame(0x81, payload), frame(0x81, Buffer.from("Hello World!")), CLOSE, frame(0x89, Buffer.from("late"))]);
    await new Promise((resolve) => socket.write(stream, resolve)); // the server has read the most of it, and nobody reads what it writes
    socket.resume();
    const { bytes, hadError } = await socket.all;
    assert.ok(!hadError, "no reset");
    assert.equal(bytes.length, 10 + payload.length + 2 + 12 + 4);
    assert.ok(bytes.subarray(10, 10 + payload.length).equals(payload));
    assert.equal(bytes.subarray(-16, -4).toString(), "Hello World!");
    assert.deepEqual(bytes.subarray(-4), Buffer.from([0x88, 2, 0x03, 0xe8]));
  });

  test("the server closes TCP first, after a good close and after a frame that is none", async () => {
    for (const [bytes, code] of [[CLOSE, 1000], [frame(0xc1, Buffer.from("x")), 1002]]) {
      const socket = await raw();
      socket.write(bytes);
      const { bytes: answer, hadError } = await socket.all; // without an end of ours
      assert.ok(!hadError, "no reset");
      assert.equal(answer.readUInt16BE(2), code);
    }
  });
});
