import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client } from '../../src/api/client';
import type { Message } from '../../src/api/types';
import { Room } from '../../src/state/rooms.svelte';

const author = { kind: 'character' as const, id: 'K', name: 'Mira' };

function message(id: string, change: Partial<Message> = {}): Message {
  return {
    id, conversation_id: 'C', parent_id: null, role: 'assistant', author, content: `text of ${id}`, swipe: { index: 0, count: 1 },
    state: 'complete', hidden: false, revision: 1, created_at: '2026-11-21T10:00:00.000Z', updated_at: '2026-11-21T10:00:00.000Z', ...change,
  };
}

const conversation = { id: 'C', title: 'T', characters: [{ id: 'K', name: 'Mira', avatar_url: null }], settings: {} };

/** A room over a server that holds these messages; `hold` delays the answers until released. */
function roomOver(messages: () => Message[], hold?: Promise<void>): Room {
  const fetch = async (url: string): Promise<Response> => {
    await hold;
    const body = url.includes('/messages') ? { items: messages(), next_cursor: null } : conversation;
    return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } });
  };
  return new Room('C', new Client({ fetch, lock: (work) => work() }));
}

const settle = (ms = 60): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const start = (id: string, index = 0, continues = false) => ({
  type: 'message:stream:start' as const,
  data: { message_id: id, swipe: { index, count: index + 1 }, author, turn_id: 'T', continues },
});
const chunk = (id: string, delta: string) => ({ type: 'message:stream:chunk' as const, data: { message_id: id, delta } });

test('room: a reply grows by its deltas and ends as the server stored it', async () => {
  const room = roomOver(() => [message('A')]);
  await room.load();
  room.onEvent(start('B'));
  assert.ok(room.isSpeaking);
  'One two three.'.split(' ').forEach((word) => room.onEvent(chunk('B', `${word} `)));
  await settle(400);
  assert.equal(room.speaking.get('B'), 'One two three. ');
  room.onEvent({ type: 'message:stream:complete', data: { message: message('B', { content: 'One two three.' }) } });
  await settle(100);
  assert.equal(room.speaking.size, 0);
  assert.equal(room.isSpeaking, false);
  assert.deepEqual(room.messages.map((row) => row.content), ['text of A', 'One two three.']);
});

test('room: read again, what has not changed stays the very same', async () => {
  let last = message('B');
  const room = roomOver(() => [message('A'), last]);
  await room.load();
  const [first, second] = room.messages;
  last = message('B', { hidden: true, revision: 2 });
  await room.reload();
  assert.equal(room.messages[0], first, 'nothing to draw anew');
  assert.notEqual(room.messages[1], second);
  assert.equal(room.messages[1]?.hidden, true);
});

test('room: another variant starts empty, a continued one keeps its text', async () => {
  const room = roomOver(() => [message('A')]);
  await room.load();
  room.onEvent(start('A', 1));
  assert.equal(room.speaking.get('A'), '');
  assert.deepEqual(room.messages[0]?.swipe, { index: 1, count: 2 });
  room.onEvent({ type: 'message:stream:complete', data: { message: message('A', { content: 'second', swipe: { index: 1, count: 2 } }) } });
  await settle();
  room.onEvent(start('A', 1, true));
  assert.equal(room.speaking.get('A'), 'second');
});

test('room: another variant of an earlier reply takes what followed the old one off the path', async () => {
  const room = roomOver(() => [message('A'), message('B'), message('C')]);
  await room.load();
  const event = start('B', 1);
  room.onEvent({ ...event, data: { ...event.data, path_changed: true } });
  assert.deepEqual(room.messages.map((row) => row.id), ['A', 'B']);
});

test('room: joined in mid-reply, the text so far is shown and goes on', async () => {
  const room = roomOver(() => [message('A', { state: 'streaming', content: 'flushed' })]);
  await room.load();
  const streaming = [{ message_id: 'A', turn_id: 'T', content: 'flushed and more', swipe: 0 }];
  room.onEvent({ type: 'conversation:joined', data: { seq: 5, resumed: false, streaming } });
  room.onEvent(chunk('A', ', on'));
  await settle(200);
  assert.equal(room.speaking.get('A'), 'flushed and more, on');
});

test('room: events wait while messages are being read, and none is lost', async () => {
  let release = (): void => {};
  const room = roomOver(() => [message('A')], new Promise((resolve) => (release = resolve)));
  const loaded = room.load();
  room.onEvent({ type: 'conversation:joined', data: { seq: 5, resumed: false, streaming: [] } });
  room.onEvent(start('B'));
  room.onEvent(chunk('B', 'x'));
  assert.equal(room.messages.length, 0);
  release();
  await loaded;
  await settle();
  assert.deepEqual(room.messages.map((row) => row.id), ['A', 'B']);
  assert.equal(room.speaking.get('B'), 'x');
});

test('room: what was said after the messages were read and before the room was joined is not missed', async () => {
  let release = (): void => {};
  let there = [message('A')];
  const answers: Message[][] = [];
  const room = roomOver(() => answers.shift() ?? there, new Promise((resolve) => (release = resolve)));
  answers.push(there); // the server read before B was said; its answer is still on its way
  const loaded = room.load();
  there = [message('A'), message('B')];
  room.onEvent({ type: 'conversation:joined', data: { seq: 5, resumed: false, streaming: [] } });
  room.onEvent({ type: 'message:received', data: { message: message('C') } });
  release();
  await loaded;
  await settle();
  assert.deepEqual(room.messages.map((row) => row.id), ['A', 'B', 'C']);
});

test('room: what waits from before a new join is over: the end of it may have been missed', async () => {
  let release = (): void => {};
  let there = [message('A')];
  const answers: Message[][] = [];
  const room = roomOver(() => answers.shift() ?? there, new Promise((resolve) => (release = resolve)));
  answers.push(there);
  const loaded = room.load();
  room.onEvent(start('B'));
  there = [message('A'), message('B', { content: 'all of it' })];
  room.onEvent({ type: 'conversation:joined', data: { seq: 9, resumed: false, streaming: [] } });
  release();
  await loaded;
  await settle();
  assert.equal(room.isSpeaking, false);
  assert.deepEqual(room.messages.map((row) => row.content), there.map((row) => row.content));
});

test('room: resumed means that the missed events follow, so nothing is read again', async () => {
  let reads = 0;
  const room = roomOver(() => (reads += 1, [message('A')]));
  await room.load();
  room.onEvent({ type: 'conversation:joined', data: { seq: 5, resumed: true, streaming: [{ message_id: 'A', turn_id: 'T', content: 'zzz', swipe: 0 }] } });
  await settle();
  assert.equal(reads, 1);
  assert.equal(room.speaking.size, 0);
});

test('room: a reply that ended while nobody looked does not hang as speaking', async () => {
  let state: Message['state'] = 'streaming';
  const room = roomOver(() => [message('A', { state })]);
  await room.load();
  assert.ok(room.isSpeaking);
  state = 'complete';
  room.onEvent({ type: 'conversation:joined', data: { seq: 9, resumed: false, streaming: [] } });
  await settle();
  assert.equal(room.isSpeaking, false);
});

test('room: a reading that fails is done again, so that nothing hangs', async () => {
  let state: Message['state'] = 'streaming';
  let failures = 0;
  const room = roomOver(() => {
    if (failures > 0) {
      failures -= 1;
      throw new TypeError('no network');
    }
    return [message('A', { state })];
  });
  await room.load();
  state = 'complete';
  failures = 3; // the client itself asks three times
  await room.reload();
  assert.ok(room.isSpeaking);
  await settle(1200);
  assert.equal(room.isSpeaking, false);
});

test('room: a failed reply keeps what was said and the reason', async () => {
  const room = roomOver(() => []);
  await room.load();
  room.onEvent(start('B'));
  room.onEvent(chunk('B', 'half a'));
  room.onEvent({ type: 'message:stream:error', data: { message_id: 'B', message: null, error: { code: 'upstream', detail: 'It went away.', retryable: true } } });
  assert.equal(room.messages[0]?.state, 'failed');
  assert.equal(room.messages[0]?.content, 'half a');
  assert.equal(room.problems.get('B'), 'It went away.');
});

test('room: what was sent shows once, whichever comes first', async () => {
  const room = roomOver(() => []);
  await room.load();
  const mine = message('M', { role: 'user', content: 'hello' });
  const sending = room.send('hello');
  assert.equal(room.pending.length, 1);
  room.onEvent({ type: 'message:received', data: { message: mine } });
  assert.equal(room.pending.length, 0);
  assert.equal(room.messages.length, 1);
  await sending;
});

test('room: what could not be sent is kept with the reason', async () => {
  const problem = { title: 'Busy', status: 409, type: 'x', detail: 'A reply is under way.' };
  const fetch = (): Promise<Response> =>
    Promise.resolve(new Response(JSON.stringify(problem), { status: 409, headers: { 'content-type': 'application/problem+json' } }));
  const room = new Room('C', new Client({ fetch, lock: (work) => work() }));
  await room.send('hello');
  assert.deepEqual(room.pending.map((row) => [row.text, row.failed]), [['hello', 'A reply is under way.']]);
});

test('room: drafts outlive the room', () => {
  const room = roomOver(() => []);
  room.setDraft('not yet');
  assert.equal(roomOver(() => []).draft, 'not yet');
  room.setDraft('');
  assert.equal(roomOver(() => []).draft, '');
});
