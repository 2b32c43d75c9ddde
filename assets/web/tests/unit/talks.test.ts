import './browserish';
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import type { JobProgress } from '../../src/api/events';
import { client } from '../../src/api/client';
import type { Conversation } from '../../src/api/types';
import { TalkImport } from '../../src/state/talks.svelte';
import { rooms } from '../../src/state/rooms.svelte';

/** An importer whose calls end when the test says so, and the ear with which it hears of jobs. */
async function setUp(t: TestContext, files: string[], count = 3): Promise<{ imports: TalkImport; tell: (job: Partial<JobProgress>) => void; sent: { finish: (made: Conversation) => void }[] }> {
  t.after(() => {
    for (const [owner, name] of [[rooms, 'watch'], [client, 'post'], [client, 'get']] as const) {
      Reflect.deleteProperty(owner, name); // what stands there again is the class's own
    }
  });
  let ear: (job: JobProgress) => void = () => {};
  rooms.watch = (tell) => ((ear = tell), () => {});
  const sent: { finish: (made: Conversation) => void }[] = [];
  client.post = ((_: string, __: unknown, { signal }: { signal: AbortSignal }) =>
    new Promise((resolve, reject) => {
      sent.push({ finish: (conversation) => resolve({ conversation, messages: [] }) });
      signal.addEventListener('abort', () => reject(new DOMException('broken off', 'AbortError')));
    })) as typeof client.post;
  client.get = (async (path: string) => ({ id: path.split('/').at(-1), title: 'late' })) as typeof client.get;
  const imports = new TalkImport();
  imports.listen();
  const message = { role: 'user', content: 'Hi', created_at: '2024-01-01T00:00:00Z' };
  await imports.read(files.map((name) => new File([JSON.stringify({ character_name: name, messages: Array(count).fill(message) })], name)));
  return { imports, sent, tell: (job) => ear({ id: 'J', kind: 'conversation.import', state: 'running', progress: 0, total: count, reason: '', ...job }) };
}
const states = (imports: TalkImport): string[] => imports.rows.map((row) => row.state);
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

test('talks: what is stored is told by the job that has as many messages, and by that one only', async (t) => {
  const { imports, tell, sent } = await setUp(t, ['a']);
  const done = imports.send();
  tell({ id: 'other', total: 9, progress: 5 });
  assert.equal(imports.rows[0]?.stored, null);
  tell({ progress: 1 });
  tell({ id: 'another tab', progress: 3 });
  assert.equal(imports.rows[0]?.stored, 1 / 3);
  sent[0]?.finish({ id: 'J', title: 'a' } as Conversation);
  await done;
  assert.deepEqual([states(imports), imports.rows[0]?.made?.id], [['done'], 'J']);
});

test('talks: stopping ends the one under way, leaves the rest ready, and a stopped one may be sent again', async (t) => {
  const { imports, tell, sent } = await setUp(t, ['a', 'b']);
  const done = imports.send();
  tell({ progress: 2 });
  imports.cancel();
  await done;
  assert.deepEqual(states(imports), ['cancelled', 'ready']);
  tell({ state: 'cancelled', progress: 2 });
  assert.deepEqual(states(imports), ['cancelled', 'ready']);
  const again = imports.send();
  tell({ state: 'cancelled', progress: 2 }); // of the first try
  assert.equal(imports.rows[0]?.stored, null);
  sent[1]?.finish({ id: 'K', title: 'a' } as Conversation);
  await turn();
  sent[2]?.finish({ id: 'L', title: 'b' } as Conversation);
  await again;
  assert.deepEqual(states(imports), ['done', 'done']);
});

test('talks: one that was stopped too late is shown as there, and no other talk is taken for it', async (t) => {
  const { imports, tell, sent } = await setUp(t, ['a', 'b']);
  const first = imports.send();
  tell({ progress: 3 });
  imports.cancel();
  await first;
  tell({ id: 'somebody else', state: 'done', progress: 3 });
  await turn();
  assert.deepEqual(states(imports), ['cancelled', 'ready']);
  tell({ state: 'done', progress: 3 });
  await turn();
  assert.deepEqual([states(imports), imports.rows[0]?.made?.id], [['done', 'ready'], 'J']);
  assert.equal(sent.length, 1);
});
