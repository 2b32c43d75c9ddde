import './browserish';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, Client } from '../../src/api/client';

type Answer = { status: number; body?: unknown; headers?: Record<string, string> } | 'broken';

/** A client whose network plays the given answers in order and writes down what was asked. */
function play(answers: Answer[]): { client: Client; asked: { url: string; init: RequestInit }[] } {
  const asked: { url: string; init: RequestInit }[] = [];
  const fetch = (url: string, init: RequestInit): Promise<Response> => {
    asked.push({ url, init });
    const answer = answers.shift();
    if (answer === undefined || answer === 'broken') {
      return Promise.reject(new TypeError('network'));
    }
    const body = answer.body === undefined ? null : JSON.stringify(answer.body);
    return Promise.resolve(new Response(body, { status: answer.status, headers: { 'content-type': 'application/json', ...answer.headers } }));
  };
  return { client: new Client({ fetch, lock: (work) => work(), retryWaitMs: 1 }), asked };
}

const header = (init: RequestInit, name: string): string | undefined => (init.headers as Record<string, string>)[name];
const user = { id: 'U', display_name: 'Olive', role: 'owner' as const };
const signedIn = { user, access_token: 'new', expires_in: 900 };

test('client: a refused token is renewed once and the call made again, with the same idempotency key', async () => {
  const { client, asked } = play([{ status: 401 }, { status: 200, body: signedIn }, { status: 201, body: { ok: true } }]);
  client.signedIn({ user, access_token: 'old', expires_in: 900 });
  assert.deepEqual(await client.post('/things', { a: 1 }), { ok: true });
  assert.deepEqual(asked.map((row) => row.url), ['/api/v1/things', '/api/v1/auth/refresh', '/api/v1/things']);
  assert.equal(header(asked[2]!.init, 'Authorization'), 'Bearer new');
  assert.equal(header(asked[0]!.init, 'Idempotency-Key'), header(asked[2]!.init, 'Idempotency-Key'));
  assert.equal(header(asked[1]!.init, 'X-Troupe-Request'), '1');
  assert.equal(header(asked[1]!.init, 'Authorization'), undefined, 'the refresh goes by cookie alone');
});

test('client: a refresh that the network cut off comes again before anything is asked', async () => {
  const { client, asked } = play(['broken', { status: 200, body: signedIn }, { status: 200, body: 1 }]);
  await assert.rejects(client.refresh());
  assert.equal(await client.get('/things'), 1);
  assert.deepEqual(asked.map((row) => row.url), ['/api/v1/auth/refresh', '/api/v1/auth/refresh', '/api/v1/things']);
  assert.equal(header(asked[2]!.init, 'Authorization'), 'Bearer new');
});

test('client: a token that is about to end is renewed before it is used', async () => {
  const { client, asked } = play([{ status: 200, body: signedIn }, { status: 200, body: 1 }]);
  client.signedIn({ user, access_token: 'old', expires_in: 5 });
  await client.get('/a');
  assert.deepEqual(asked.map((row) => row.url), ['/api/v1/auth/refresh', '/api/v1/a']);
});

test('client: many refused calls at once make one refresh', async () => {
  const answers: Answer[] = [{ status: 401 }, { status: 401 }, { status: 401 }, { status: 200, body: signedIn }];
  const { client, asked } = play([...answers, { status: 200, body: 1 }, { status: 200, body: 2 }, { status: 200, body: 3 }]);
  client.signedIn({ user, access_token: 'old', expires_in: 900 });
  await Promise.all([client.get('/a'), client.get('/b'), client.get('/c')]);
  assert.equal(asked.filter((row) => row.url.endsWith('/auth/refresh')).length, 1);
});

test('client: when the refresh is refused too, the person is signed out and told', async () => {
  const { client } = play([{ status: 401 }, { status: 401 }]);
  let told = 0;
  client.onSignedOut = () => (told += 1);
  client.signedIn({ user, access_token: 'old', expires_in: 900 });
  await assert.rejects(client.get('/a'), (error: ApiError) => error.status === 401);
  assert.equal(told, 1);
  assert.equal(client.token, null);
});

test('client: a wrong password is no reason to refresh or to sign out', async () => {
  const { client, asked } = play([{ status: 401, body: { title: 'no', detail: 'E-mail or password is wrong.', status: 401, type: 'x' } }]);
  client.onSignedOut = () => assert.fail('signed out');
  await assert.rejects(client.post('/auth/login', {}, { anonymous: true }), /password is wrong/);
  assert.equal(asked.length, 1);
});

test('client: a broken network is tried again for what may be repeated, and only for that', async () => {
  const good = play(['broken', 'broken', { status: 200, body: 5 }]);
  assert.equal(await good.client.get('/a'), 5);
  const bad = play(['broken', { status: 200, body: {} }]);
  await assert.rejects(bad.client.patch('/a', {}), (error: ApiError) => error.status === 0 && /cannot be reached/.test(error.message));
  assert.equal(bad.asked.length, 1, 'a PATCH has no idempotency key and is not repeated');
});

test('client: problems carry their words and fields', async () => {
  const problem = { type: 'x', title: 'Some fields', status: 422, errors: [{ field: 'name', message: 'too long' }] };
  const { client } = play([{ status: 422, body: problem }, { status: 429, headers: { 'retry-after': '3' } }]);
  await assert.rejects(client.post('/a'), (error: ApiError) => error.field('name') === 'too long' && error.message === 'Some fields');
  await assert.rejects(client.post('/a'), (error: ApiError) => error.retryAfterMs === 3000);
});

test('client: queries leave out what is empty', async () => {
  const { client, asked } = play([{ status: 200, body: {} }]);
  await client.get('/a', { q: 'x y', tag: '', cursor: null, limit: 3 });
  assert.equal(asked[0]!.url, '/api/v1/a?q=x+y&limit=3');
});
