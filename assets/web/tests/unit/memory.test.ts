// Memory without a browser: the order of facts, what decided a recall, talks from files, the way to a message, and what the panel asks for.
import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, Client } from '../../src/api/client';
import type { Message } from '../../src/api/types';
import { dayOf, importanceOf, sortFacts, strongest, weightOf, type FactLike } from '../../src/lib/memory';
import { readTalk } from '../../src/lib/talkfile';
import { Remembered } from '../../src/state/memory.svelte';
import { reach, type Reachable } from '../../src/state/reach';
import { Room } from '../../src/state/rooms.svelte';

const fact = (id: string, change: Partial<FactLike> = {}): FactLike => ({ id, kind: 'fact', state: 'active', pinned: false, importance: 0.5, valid_to: null, ...change });

test('memory: facts by kind in the order of the server; what waits and what is over stand apart', () => {
  const sorted = sortFacts([
    fact('a', { kind: 'event' }), fact('b'), fact('c', { state: 'proposed' }), fact('d', { state: 'superseded', valid_to: '2026-01-01T00:00:00Z' }),
    fact('e'), fact('f', { valid_to: '2026-01-01T00:00:00Z' }), fact('g', { state: 'proposed', kind: 'event' }),
  ]);
  assert.deepEqual(sorted.groups.map((group) => [group.kind, group.facts.map((row) => row.id)]), [['fact', ['b', 'e']], ['event', ['a']]]);
  assert.deepEqual(sorted.proposed.map((row) => row.id), ['c', 'g']);
  assert.deepEqual(sorted.past.map((row) => row.id), ['d', 'f']);
});

test('memory: importance in words and back; a number that fits its word is kept', () => {
  const rows: [number, string][] = [[0, 'low'], [0.34, 'low'], [0.35, 'medium'], [0.69, 'medium'], [0.7, 'high'], [1, 'high']];
  rows.forEach(([value, word]) => assert.equal(weightOf(value), word));
  assert.equal(importanceOf('high', 0.83), 0.83);
  assert.equal(importanceOf('low', 0.83), 0.2);
  (['low', 'medium', 'high'] as const).forEach((word) => assert.equal(weightOf(importanceOf(word)), word));
});

test('memory: a day as people say it', () => {
  const now = new Date(2026, 10, 21, 1, 30);
  const rows: [Date, string][] = [
    [new Date(2026, 10, 21, 0, 1), 'today'], [new Date(2026, 10, 20, 23, 59), 'yesterday'], [new Date(2026, 10, 19, 12), '19 November'],
    [new Date(2026, 10, 22, 12), '22 November'], [new Date(2024, 1, 3), '3 February 2024'],
  ];
  rows.forEach(([at, said]) => assert.equal(dayOf(at.toISOString(), now, 'en-GB'), said));
  assert.equal(dayOf('never'), '');
});

test('memory: what decided stands first, what says nothing is left out, what counted against it is negative', () => {
  const shares = strongest({ sentence: 2, words: 4, question: -1, date: 0, time: 0.01 });
  assert.deepEqual(shares.map((row) => [row.name, row.share]), [['words', 1], ['sentence', 0.5], ['question', -0.25]]);
  assert.deepEqual(strongest({ sentence: 0 }), []);
});

const line = (at: number, change: object = {}): object => ({ role: at % 2 ? 'assistant' : 'user', content: `line ${at}`, created_at: `2023-03-0${at + 1}T10:00:00Z`, ...change });

test('memory: a talk from a file is told before it is sent', () => {
  const { talk } = readTalk(JSON.stringify({ title: 'Spring', messages: [line(2), line(1, { name: 'Greta' }), line(3)] }));
  assert.deepEqual([talk?.title, talk?.character, talk?.messages, talk?.from, talk?.to], ['Spring', 'Greta', 3, '2023-03-02T10:00:00Z', '2023-03-04T10:00:00Z']);
  assert.deepEqual([talk?.body['format'], talk?.body['character_name']], ['troupe', 'Greta']);
  const known = readTalk(JSON.stringify({ character_id: '0CMYWTK6E06A8', messages: [line(0)] })).talk;
  assert.equal('character_name' in (known?.body ?? {}), false, 'a character that is named by its id needs no name');
});

test('memory: what is wrong with a file is found before it is sent', () => {
  const rows: [string, string, number][] = [
    ['{', 'not_json', 0], ['[]', 'not_json', 0], ['null', 'not_json', 0], ['"x"', 'not_json', 0], ['{}', 'no_messages', 0], ['{"messages":{}}', 'no_messages', 0],
    ['{"messages":[]}', 'no_messages', 0], [JSON.stringify({ messages: [line(0)] }), 'no_character', 0],
    [JSON.stringify({ character_name: 'G', messages: [line(0), line(1, { role: 'system' })] }), 'bad_message', 2],
    [JSON.stringify({ character_name: 'G', messages: [line(0, { created_at: 'then' })] }), 'bad_message', 1],
    [JSON.stringify({ character_name: 'G', messages: [line(0, { content: null })] }), 'bad_message', 1],
    [JSON.stringify({ character_name: 'G', messages: [null] }), 'bad_message', 1],
  ];
  rows.forEach(([text, fault, at]) => assert.deepEqual(readTalk(text), { talk: null, fault, at }));
  assert.equal(readTalk(JSON.stringify({ messages: [line(0)] }), 'Greta').talk?.character, 'Greta');
});

/** A talk of which the newest page is read; older pages come one by one. */
function talkOf(ids: string[], shown: number, pages = 2, exists = (id: string): boolean => ids.includes(id)): Reachable & { reads: number } {
  const room = {
    messages: ids.slice(-shown).map((id) => ({ id }) as Message),
    older: ids.length > shown ? 'x' : null,
    loadingOlder: false,
    reads: 0,
    async loadOlder() {
      room.reads += 1;
      const from = Math.max(0, ids.length - room.messages.length - pages);
      room.messages = ids.slice(from).map((id) => ({ id }) as Message);
      room.older = from > 0 ? 'x' : null;
    },
    async readMessage(id: string) {
      if (!exists(id)) {
        throw new ApiError(404, null);
      }
      return { value: { id } as Message };
    },
  };
  return room;
}

test('memory: a message is reached through older pages; one on another branch is known without reading all', async () => {
  const ids = ['A', 'C', 'E', 'G', 'I', 'K', 'M', 'O'];
  assert.equal(await reach(talkOf(ids, 2), 'O'), 'here');
  const far = talkOf(ids, 2);
  assert.equal(await reach(far, 'C'), 'here');
  assert.equal(far.reads, 3);
  const beside = talkOf(ids, 2, 2, () => true);
  assert.equal(await reach(beside, 'J'), 'elsewhere');
  assert.equal(beside.reads, 1, 'what is older than it need not be read');
  assert.equal(await reach(talkOf(ids, 2), 'B'), 'gone');
});

test('memory: a page that is under way already is waited for', async () => {
  const room = talkOf(['A', 'B', 'C'], 1, 5);
  Object.assign(room, { loadingOlder: true });
  setTimeout(() => Object.assign(room, { loadingOlder: false }), 80);
  assert.equal(await reach(room, 'A'), 'here');
  assert.equal(room.reads, 1);
});

test('memory: an answer that was overtaken is thrown away, a change carries its ETag and is followed by a new reading', async () => {
  const asked: string[] = [];
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  const fetch = async (url: string, init: RequestInit): Promise<Response> => {
    const headers = new Headers(init.headers);
    asked.push(`${init.method} ${url.replace('/api/v1/memory/C', '')}${headers.get('if-match') ?? ''}`);
    if (url.includes('q=slow')) {
      await held;
    }
    const body = url.includes('q=') ? { items: [{ id: url.includes('slow') ? 'slow' : 'quick' }] } : url.includes('state=all') ? { facts: [], index: { pending: 0 } } : { items: [], next_cursor: null };
    return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } });
  };
  const memory = new Remembered('C', new Client({ fetch, lock: (work) => work() }));
  const slow = memory.search('slow');
  await memory.search('quick');
  release();
  await slow;
  assert.deepEqual(memory.found?.map((row) => row.id), ['quick']);
  await memory.search('  ');
  assert.equal(memory.found, null);
  asked.length = 0;
  await memory.change('F', { pinned: true }, '"r3-1"');
  assert.equal(asked[0], 'PATCH /facts/F"r3-1"');
  assert.ok(asked.some((call) => call.startsWith('GET ?state=all')), 'and read anew');
  asked.length = 0;
  await memory.weigh('cats', true);
  assert.deepEqual(asked, ['POST /forget'], 'weighing changes nothing, so nothing is read anew');
});

test('memory: a room passes on that something was learnt, and how far work has come', () => {
  const room = new Room('C', new Client({ fetch: async () => new Response('{}'), lock: (work) => work() }));
  room.apply({ type: 'memory:updated', data: { what: 'facts' } });
  room.apply({ type: 'memory:updated', data: { what: 'forgotten' } });
  assert.equal(room.memoryNews, 2);
  room.apply({ type: 'job:progress', data: { id: 'J', kind: 'memory.learn', state: 'running', progress: 3, total: 9, reason: '' } });
  assert.deepEqual([room.job?.id, room.job?.progress], ['J', 3]);
});
