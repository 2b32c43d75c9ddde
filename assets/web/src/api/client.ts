// One way to call the server: JSON in and out, problem+json as an error, the access token in memory only.
//
// The access token lives for minutes and never touches storage. When it is refused, the refresh cookie (HttpOnly, so
// out of our reach) buys a new one, once, and the call is made again. Refresh tokens rotate and a replayed one ends the
// whole family, so a lock across all tabs lets one of them refresh at a time.
// A POST carries an Idempotency-Key; so when the network breaks under it, it may be sent again without doing it twice.

import { t } from '../lib/i18n.svelte';
import type { Kept } from './kept';
import type { Problem, SignedIn, User } from './types';
import { upload } from './upload';

export class ApiError extends Error {
  readonly status: number;
  readonly problem: Problem | null;
  readonly retryAfterMs: number | null;

  constructor(status: number, problem: Problem | null, retryAfterMs: number | null = null) {
    super(problem?.detail || problem?.title || fallbackReason(status));
    this.name = 'ApiError';
    this.status = status;
    this.problem = problem;
    this.retryAfterMs = retryAfterMs;
  }

  /** What the server says about one field of the form. */
  field(name: string): string | undefined {
    return this.problem?.errors?.find((row) => row.field === name)?.message;
  }
}

function fallbackReason(status: number): string {
  if (status === 0) {
    return t('common.unreachable');
  }
  return status >= 500
    ? t('common.server_trouble')
    : t('common.server_refused', { status: String(status) });
}

/** The words for a person, whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : t('common.went_wrong');
}

/** No answer at all: no network, or no server. */
export function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

export interface CallOptions {
  query?: Record<string, string | number | boolean | null | undefined>;
  body?: unknown;
  /** A file as the whole body. */
  file?: Blob;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Of a long body: hears which share of it has been sent. */
  onsent?: (share: number) => void;
  anonymous?: boolean;
  /** Of a POST that may be sent again by whoever calls: without one, each call has its own. */
  key?: string;
}

type Fetch = (url: string, init: RequestInit) => Promise<Response>;
type Lock = <T>(work: () => Promise<T>) => Promise<T>;

export interface ClientOptions {
  fetch?: Fetch;
  lock?: Lock;
  base?: string;
  retryWaitMs?: number;
}

const RETRIES = 2;
const RENEW_BEFORE_MS = 20_000;

export class Client {
  onSignedOut: () => void = () => {};
  /** Where reads are kept, and found again while the server cannot be reached. */
  kept: Kept | null = null;
  /** Whom the server last gave a token. */
  user: User | null = null;
  #token: string | null = null;
  #expiresAt = 0;
  #refreshing: Promise<boolean> | null = null;
  #leaving = false;
  #owed = false; // the network cut off the last refresh: before anything else it comes again
  readonly #fetch: Fetch;
  readonly #lock: Lock;
  readonly #base: string;
  readonly #retryWaitMs: number;

  constructor(options: ClientOptions = {}) {
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
    this.#lock = options.lock ?? lockAcrossTabs;
    this.#base = options.base ?? '/api/v1';
    this.#retryWaitMs = options.retryWaitMs ?? 400;
  }

  get token(): string | null {
    return this.#token;
  }

  signedIn(answer: SignedIn): void {
    this.user = answer.user;
    this.#token = answer.access_token;
    this.#expiresAt = Date.now() + answer.expires_in * 1000;
  }

  /** A token that will live long enough to be used, renewed first if it will not; null when signed out. */
  async freshToken(): Promise<string | null> {
    if (this.#token !== null && Date.now() > this.#expiresAt - RENEW_BEFORE_MS) {
      await this.refresh().catch(() => false);
    }
    return this.#token;
  }

  forget(): void {
    this.user = null;
    this.#token = null;
  }

  /** Whoever signs out wants no new token, though sockets close and ask for one before the page is gone. */
  leave(leaving: boolean): void {
    this.#leaving = leaving;
  }

  get<T>(path: string, query?: CallOptions['query'], signal?: AbortSignal): Promise<T> {
    return this.#keeping(path, queryText(query), () => this.call<T>('GET', path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) }));
  }

  async #keeping<T>(path: string, query: string, ask: () => Promise<T>): Promise<T> {
    try {
      const value = await ask();
      void this.kept?.keep(path, query, value);
      return value;
    } catch (error) {
      const found = isUnreachable(error) ? await this.kept?.read(path, query).catch(() => undefined) : undefined;
      if (found === undefined) {
        throw error;
      }
      return found as T;
    }
  }

  post<T>(path: string, body: unknown = {}, options: CallOptions = {}): Promise<T> {
    return this.call<T>('POST', path, { ...options, body });
  }

  patch<T>(path: string, body: unknown, options: CallOptions = {}): Promise<T> {
    return this.call<T>('PATCH', path, { ...options, body });
  }

  put<T>(path: string, body: unknown): Promise<T> {
    return this.call<T>('PUT', path, { body });
  }

  delete<T = void>(path: string, query?: CallOptions['query']): Promise<T> {
    return this.call<T>('DELETE', path, query ? { query } : {});
  }

  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const response = await this.send(method, path, options);
    if (response.status === 204 || response.headers.get('content-length') === '0') {
      return undefined as T;
    }
    return (await response.json()) as T;
  }

  /** A read that also gives the ETag, for the change that will follow it. */
  async read<T>(path: string): Promise<{ value: T; etag: string | null }> {
    let etag: string | null = null;
    const value = await this.#keeping(path, '', async () => {
      const response = await this.send('GET', path, {});
      etag = response.headers.get('etag');
      return (await response.json()) as T;
    });
    return { value, etag };
  }

  /** The raw answer of a call that succeeded; for downloads and streams. */
  async send(method: string, path: string, options: CallOptions): Promise<Response> {
    const key = method === 'POST' ? (options.key ?? randomKey()) : null;
    if (!options.anonymous) {
      await (this.#owed ? this.refresh().catch(() => false) : this.freshToken());
    }
    let response = await this.#attempt(method, path, options, key);
    if (response.status === 401 && !options.anonymous && (await this.refresh())) {
      response = await this.#attempt(method, path, options, key);
    }
    if (response.ok) {
      return response;
    }
    if (response.status === 401 && !options.anonymous) {
      this.forget();
      this.onSignedOut();
    }
    throw await toError(response);
  }

  /** Buys a new access token with the cookie. False: signed out. */
  refresh(): Promise<boolean> {
    if (this.#leaving) {
      return Promise.resolve(false);
    }
    const before = this.#token;
    this.#refreshing ??= this.#lock(async () => {
      if (this.#token !== null && this.#token !== before) {
        return true;
      }
      this.#owed = true;
      const response = await this.#attempt('POST', '/auth/refresh', { anonymous: true }, null);
      this.#owed = false;
      if (!response.ok) {
        if (response.status === 401 || response.status === 403) {
          return false;
        }
        throw await toError(response);
      }
      this.signedIn((await response.json()) as SignedIn);
      return true;
    }).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #attempt(
    method: string,
    path: string,
    options: CallOptions,
    key: string | null,
  ): Promise<Response> {
    const repeatable = method === 'GET' || key !== null;
    for (let tries = 0; ; tries += 1) {
      try {
        const url = this.#base + path + queryText(options.query), init = this.#init(method, options, key);
        return await (options.onsent ? upload(url, init, options.onsent) : this.#fetch(url, init));
      } catch (error) {
        if (options.signal?.aborted) {
          throw error;
        }
        if (!repeatable || tries >= RETRIES || globalThis.navigator?.onLine === false) {
          throw new ApiError(0, null);
        }
        await new Promise((resolve) => setTimeout(resolve, this.#retryWaitMs * (tries + 1)));
      }
    }
  }

  #init(method: string, options: CallOptions, key: string | null): RequestInit {
    const headers: Record<string, string> = { 'X-Troupe-Request': '1', ...options.headers };
    if (this.#token !== null && !options.anonymous) {
      headers['Authorization'] = `Bearer ${this.#token}`;
    }
    if (key !== null) {
      headers['Idempotency-Key'] = key;
    }
    const init: RequestInit = { method, headers, credentials: 'same-origin' };
    if (options.file) {
      headers['Content-Type'] = options.file.type || 'application/octet-stream';
      init.body = options.file;
    } else if (options.body !== undefined) {
      headers['Content-Type'] = 'application/json';
      init.body = JSON.stringify(options.body);
    }
    if (options.signal) {
      init.signal = options.signal;
    }
    return init;
  }
}

/** crypto.randomUUID exists on https and loopback only; a Troupe on the LAN may be plain http. */
export function randomKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function queryText(query: CallOptions['query']): string {
  const pairs = Object.entries(query ?? {}).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return pairs.length === 0
    ? ''
    : `?${new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString()}`;
}

async function toError(response: Response): Promise<ApiError> {
  const wait = Number.parseInt(response.headers.get('retry-after') ?? '', 10);
  const isProblem = (response.headers.get('content-type') ?? '').includes('json');
  const problem = isProblem ? ((await response.json().catch(() => null)) as Problem | null) : null;
  return new ApiError(response.status, problem, Number.isNaN(wait) ? null : wait * 1000);
}

/** Runs the work while no other tab does; without Web Locks (plain http on a LAN) only this tab is held. */
async function lockAcrossTabs<T>(work: () => Promise<T>): Promise<T> {
  const locks = globalThis.navigator?.locks;
  return locks ? ((await locks.request('troupe-refresh', work)) as T) : work();
}

export const client = new Client();
