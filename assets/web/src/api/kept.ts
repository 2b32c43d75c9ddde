// What was read is kept for reading again without a network: the newest conversations with their last page of messages,
// the lists around them, and who one is. By account, in the browser's Cache, and gone at sign-out. Only answers of the
// paths below are kept, as plain JSON: no header, no token, nothing of /auth. Where there is no Cache (plain http on a
// network) nothing is kept.

import type { Id } from './common';

const PREFIX = 'troupe-kept-';
const CONVERSATIONS = 30;
const ID = '[0-9A-Za-z]{13}';
const KEPT = new RegExp(
  `^/(?:users/me|users/me/preferences|users/me/personas|users/me/favorites|tags|characters|characters/${ID}|conversations|conversations/${ID}|conversations/${ID}/messages)$`,
);
const TALK = new RegExp(`^/kept/conversations/(${ID})(?:/messages)?$`);

export class Kept {
  #name = '';
  readonly #caches: CacheStorage | undefined;

  constructor(storage: CacheStorage | undefined = globalThis.caches) {
    this.#caches = storage;
  }

  open(person: Id): void {
    this.#name = PREFIX + person;
  }

  /** Older pages (with a cursor) are not kept: the last page of a talk is what one reads again. */
  async keep(path: string, query: string, value: unknown): Promise<void> {
    if (!this.#caches || this.#name === '' || !KEPT.test(path) || /[?&](cursor|q)=./.test(query)) {
      return;
    }
    try {
      const cache = await this.#caches.open(this.#name);
      // One step, which a page that is left cannot cut in two; what is put again is the newest (Service Workers, Batch Cache Operations).
      await cache.put(keyOf(path, query), new Response(JSON.stringify(value), { headers: { 'Content-Type': 'application/json' } }));
      await this.#trim(cache);
    } catch {
      // A full disk must not keep anybody from reading what the server just said.
    }
  }

  async read(path: string, query: string): Promise<unknown> {
    if (!this.#caches || this.#name === '') {
      return undefined;
    }
    const cache = await this.#caches.open(this.#name);
    const found = await cache.match(keyOf(path, query));
    return found ? ((await found.json()) as unknown) : undefined;
  }

  async #trim(cache: Cache): Promise<void> {
    const keys = (await cache.keys()).map((request) => ({ request, talk: TALK.exec(new URL(request.url).pathname)?.[1] }));
    const newest = [...new Set(keys.map((row) => row.talk).filter(Boolean).reverse())].slice(0, CONVERSATIONS);
    await Promise.all(keys.filter((row) => row.talk && !newest.includes(row.talk)).map((row) => cache.delete(row.request)));
  }

  /** Everything of everybody: whoever signs out here leaves nothing to read. */
  async forget(): Promise<void> {
    this.#name = '';
    const names = (await this.#caches?.keys()) ?? [];
    await Promise.all(names.filter((name) => name.startsWith(PREFIX) || name === 'troupe-pictures' || name === 'troupe-shared').map((name) => this.#caches?.delete(name)));
  }
}

function keyOf(path: string, query: string): string {
  return `/kept${path}?${query.replace(/^\?/, '')}`;
}

export const kept = new Kept();
