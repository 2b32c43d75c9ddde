import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../../src/api/client';
import type { LiveEvent } from '../../src/api/events';
import { Live } from '../../src/api/live';

class FakeSocket {
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: { type: string; token?: string; data?: Record<string, unknown> }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  constructor() {
    FakeSocket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(code = 1000): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
  async accept(): Promise<void> {
    this.readyState = 1;
    this.onopen?.();
    await wait(1);
    this.say({ type: 'auth:ok' });
  }
  say(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

function setUp(): { live: Live; seen: LiveEvent[]; socket: () => FakeSocket } {
  FakeSocket.all = [];
  const client = new Client({ fetch: () => Promise.reject(new Error('none')), lock: (work) => work(), retryWaitMs: 1 });
  client.signedIn({ user: { id: 'U', display_name: 'O', role: 'member' }, access_token: 'T', expires_in: 900 });
  const live = new Live(client, { url: 'ws://x/ws', open: () => new FakeSocket() as unknown as WebSocket });
  const seen: LiveEvent[] = [];
  live.join('C1', { onEvent: (event) => seen.push(event) });
  return { live, seen, socket: () => FakeSocket.all.at(-1)! };
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

test('live: signs in by its first message and joins', async () => {
  const { live, socket } = setUp();
  await socket().accept();
  assert.deepEqual(socket().sent, [
    { type: 'auth', token: 'T' },
    { type: 'conversation:join', data: { id: 'C1' } },
  ]);
  live.close();
});

test('live: comes back after a break and asks for what came after the last event it saw', async () => {
  const { live, seen, socket } = setUp();
  await socket().accept();
  socket().say({ type: 'conversation:joined', data: { conversation_id: 'C1', seq: 40, resumed: false, streaming: [] } });
  socket().say({ type: 'message:stream:chunk', seq: 41, data: { conversation_id: 'C1', message_id: 'M', delta: 'a' } });
  socket().close(1006);
  assert.equal(live.status, 'waiting');
  await wait(700);
  await socket().accept();
  assert.deepEqual(socket().sent[1], { type: 'conversation:join', data: { id: 'C1', after_seq: 41 } });
  socket().say({ type: 'conversation:joined', data: { conversation_id: 'C1', seq: 43, resumed: true, streaming: [] } });
  socket().say({ type: 'message:stream:chunk', seq: 41, data: { conversation_id: 'C1', message_id: 'M', delta: 'a' } });
  socket().say({ type: 'message:stream:chunk', seq: 42, data: { conversation_id: 'C1', message_id: 'M', delta: 'b' } });
  const deltas = seen.flatMap((event) => (event.type === 'message:stream:chunk' ? [event.data.delta] : []));
  assert.deepEqual(deltas, ['a', 'b'], 'what was seen already is not seen twice');
  live.close();
});

test('live: events of a room that was left go nowhere', async () => {
  const { live, seen, socket } = setUp();
  await socket().accept();
  live.leave('C1');
  socket().say({ type: 'message:stream:chunk', seq: 1, data: { conversation_id: 'C1', message_id: 'M', delta: 'a' } });
  assert.equal(seen.length, 0);
  live.close();
});

test('live: a socket that ends when nobody listens is not opened again until somebody does', async () => {
  const { live, socket } = setUp();
  await socket().accept();
  live.leave('C1');
  socket().close(4401);
  await wait(700);
  assert.equal(FakeSocket.all.length, 1);
  live.join('C2', { onEvent: () => {} });
  assert.equal(FakeSocket.all.length, 2);
  live.close();
});

test('live: a closed connection stays closed', async () => {
  const { live, socket } = setUp();
  await socket().accept();
  live.close();
  await wait(800);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(live.status, 'off');
});

test('live: who watches work hears of it in no room, and the socket opens for them', async () => {
  FakeSocket.all = [];
  const client = new Client({ fetch: () => Promise.reject(new Error('none')), lock: (work) => work(), retryWaitMs: 1 });
  client.signedIn({ user: { id: 'U', display_name: 'O', role: 'member' }, access_token: 'T', expires_in: 900 });
  const live = new Live(client, { url: 'ws://x/ws', open: () => new FakeSocket() as unknown as WebSocket });
  const heard: number[] = [];
  const stop = live.watch((job) => heard.push(job.progress));
  const socket = FakeSocket.all.at(-1)!;
  await socket.accept();
  const tell = (progress: number): void => socket.say({ type: 'job:progress', data: { id: 'J', kind: 'x', state: 'running', progress, total: 9, reason: '' } });
  tell(1);
  tell(2);
  stop();
  tell(3);
  assert.deepEqual(heard, [1, 2]);
  live.close();
});
