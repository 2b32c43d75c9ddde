// Cards on their way in, from a drop anywhere or from the button: a queue of files, what became of each, and a way to stop.
//
// Files go in batches, one request each, because the server takes only so many costly requests in a minute; when it asks for patience,
// the queue waits and says so. A batch has a key: sent again after the network broke, it is answered with what the first one did, so
// no card joins twice. To stop calls back what has not left this machine; what has left is answered, and the answer is waited for.

import { ApiError, client, isUnreachable, randomKey, reasonOf } from '../api/client';
import type { Id } from '../api/common';
import type { ImportedFile, ImportReport } from '../api/types';
import { filesForm } from '../lib/multipart';
import { characters } from './characters.svelte';

const FILES_AT_ONCE = 50;
const BYTES_AT_ONCE = 16 << 20; // one request: some seconds on a slow line, and what a stop may lose
const FILE_LIMIT_BYTES = 63 << 20; // the server takes 64 MiB with what is around a file
const ASK_AGAIN_MS = 2000;
const ASK_LIMIT = 15;
const SHARED = 'troupe-shared'; // where the service worker puts what other apps share

export type RowState = 'waiting' | 'sending' | 'reading' | 'joined' | 'failed' | 'stopped';

interface Batch {
  key: string;
  rows: CardRow[];
  /** How often it was told that its first sending is still being read. */
  asked: number;
}

export class CardRow {
  readonly key: number;
  readonly file: File;
  state = $state<RowState>('waiting');
  /** How much of it has left, from 0 to 1. */
  sent = $state(0);
  /** Who joined with it. */
  character = $state.raw<{ id: Id; name: string } | null>(null);
  warnings = $state.raw<string[]>([]);
  /** Why it did not join: in the server's words, or one of ours. */
  reason = $state('');
  fault = $state<'' | 'gone' | 'large'>('');
  /** Trying again may help: it was not refused for what it is. */
  mayRetry = $state(true);
  /** What it was sent with, until that is answered. */
  batch: Batch | null = null;

  constructor(key: number, file: File) {
    this.key = key;
    this.file = file;
  }

  take(item: ImportedFile | undefined): void {
    this.batch = null;
    this.state = item?.character ? 'joined' : 'failed';
    this.character = item?.character ? { id: item.character.id, name: item.character.name } : null;
    this.warnings = item?.warnings ?? [];
    this.reason = item?.error ?? '';
    this.mayRetry = item?.may_retry ?? true;
  }

  fail(fault: CardRow['fault'], reason = ''): void {
    this.state = 'failed';
    this.mayRetry = fault !== 'large';
    this.fault = fault;
    this.reason = reason;
  }

  again(): void {
    this.fail('');
    this.state = 'waiting';
    this.sent = 0;
  }
}

class Imports {
  rows = $state.raw<CardRow[]>([]);
  busy = $state(false);
  /** The list is shown; closed while it is busy, it goes on behind a line at the edge. */
  open = $state(false);
  stopping = $state(false);
  /** The server asked for patience. */
  patient = $state(false);
  /** Shared with the app by another one, and not asked about yet. */
  shared = $state.raw<File[]>([]);
  #nextKey = 1;
  #sending: AbortController | null = null;
  #haveLeft = false;

  /** More may be added while others are on their way. */
  async take(files: File[]): Promise<void> {
    if (files.length === 0) {
      return;
    }
    const before = this.busy || this.open ? this.rows : [];
    this.rows = [...before, ...files.map((file) => new CardRow(this.#nextKey++, file))];
    this.open = true;
    await this.#run();
  }

  /** What was stopped, or failed for a reason that may pass. */
  get retriable(): CardRow[] {
    return this.rows.filter((row) => row.state === 'stopped' || (row.state === 'failed' && row.mayRetry));
  }

  async again(): Promise<void> {
    this.retriable.forEach((row) => row.again());
    await this.#run();
  }

  stop(): void {
    this.stopping = this.busy;
    if (!this.#haveLeft) {
      this.#sending?.abort();
    }
  }

  dismiss(): void {
    this.open = false;
    if (!this.busy) {
      this.rows = [];
    }
  }

  /** The list goes, and can be had back; what it says is kept. */
  hide(): void {
    this.open = false;
  }

  async #run(): Promise<void> {
    if (this.busy) {
      return;
    }
    this.busy = true;
    this.stopping = false;
    for (let batch = this.#next(); batch && !this.stopping; batch = this.#next()) {
      await this.#send(batch);
    }
    this.rows.filter((row) => row.state === 'waiting').forEach((row) => (row.state = 'stopped'));
    this.busy = false;
    this.stopping = false;
    await characters.again().catch(() => {});
  }

  /** One that was sent and not answered goes as it was; otherwise as many as fit. */
  #next(): Batch | null {
    const first = this.rows.find((row) => row.state === 'waiting');
    if (!first || first.batch) {
      return first?.batch ?? null;
    }
    const rows: CardRow[] = [];
    let bytes = 0;
    for (const row of this.rows) {
      if (row.state !== 'waiting' || row.batch) {
        continue;
      }
      bytes += row.file.size;
      if (rows.length > 0 && (bytes > BYTES_AT_ONCE || rows.length === FILES_AT_ONCE)) {
        break;
      }
      rows.push(row);
    }
    return { key: randomKey(), rows, asked: 0 };
  }

  async #send(wanted: Batch): Promise<void> {
    const batch = await readable(wanted);
    if (batch.rows.length === 0) {
      return;
    }
    const { body, starts } = filesForm('files', batch.rows.map((row) => row.file), batch.key);
    batch.rows.forEach((row) => {
      row.batch = batch;
      row.state = 'sending';
    });
    this.#haveLeft = false;
    this.#sending = new AbortController();
    const onsent = (share: number): void => {
      this.#haveLeft = share === 1;
      batch.rows.forEach((row, at) => {
        row.sent = share === 1 ? 1 : Math.max(0, Math.min(1, (share * body.size - (starts[at] ?? 0)) / Math.max(1, row.file.size)));
        row.state = row.sent === 1 ? 'reading' : 'sending';
      });
    };
    try {
      const options = { file: body, onsent, key: batch.key, signal: this.#sending.signal };
      const report = await client.call<ImportReport>('POST', '/characters/import', options);
      batch.rows.forEach((row, at) => row.take(report.items[at]));
    } catch (error) {
      await this.#broken(batch, error);
    } finally {
      this.#sending = null;
      this.#haveLeft = false;
    }
  }

  async #broken(batch: Batch, error: unknown): Promise<void> {
    const wait = this.stopping ? null : patienceFor(batch, error);
    this.#haveLeft = false;
    if (this.#sending?.signal.aborted) {
      batch.rows.forEach((row) => (row.state = 'stopped'));
    } else if (wait !== null) {
      batch.rows.forEach((row) => row.again());
      await this.#wait(wait);
    } else {
      batch.rows.forEach((row) => {
        row.fail('', reasonOf(error));
        row.batch = isUnreachable(error) ? batch : null; // a refusal would be answered with the same refusal
      });
      // Nobody answers, or not us: what waits would fare no better.
      this.stopping ||= isUnreachable(error) || (error instanceof ApiError && error.status === 401);
    }
  }

  async #wait(for_ms: number): Promise<void> {
    const signal = this.#sending?.signal;
    this.patient = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, for_ms);
      signal?.addEventListener('abort', () => {
        clearTimeout(timer);
        resolve();
      });
    });
    this.patient = false;
  }

  /** Takes what was put aside; it is imported only when the person says so, because any page could have sent it. */
  async readShared(): Promise<void> {
    if (!globalThis.caches || !(await caches.has(SHARED))) {
      return;
    }
    const cache = await caches.open(SHARED);
    const answers = await Promise.all((await cache.keys()).map((key) => cache.match(key)));
    await caches.delete(SHARED);
    this.shared = await Promise.all(
      answers.flatMap((answer) => (answer ? [answer] : [])).map(async (answer) => {
        const body = await answer.blob();
        return new File([body], decodeURIComponent(answer.headers.get('X-Name') ?? ''), { type: body.type });
      }),
    );
  }

  async answerShared(wanted: boolean): Promise<void> {
    const files = this.shared;
    this.shared = [];
    if (wanted) {
      await this.take(files);
    }
  }
}

/** Without what cannot be sent: a file that is gone since it was chosen would break the whole request. Fewer files are another request. */
async function readable(batch: Batch): Promise<Batch> {
  for (const row of batch.rows) {
    if (row.file.size > FILE_LIMIT_BYTES) {
      row.fail('large');
    } else if (!(await row.file.slice(0, 1).arrayBuffer().then(() => true, () => false))) {
      row.fail('gone');
    }
  }
  const rows = batch.rows.filter((row) => row.state !== 'failed');
  return rows.length === batch.rows.length ? batch : { key: randomKey(), rows, asked: 0 };
}

/** How long to wait before the same is sent again; null when that would not help. */
function patienceFor(batch: Batch, error: unknown): number | null {
  if (!(error instanceof ApiError)) {
    return null;
  }
  if (error.status === 409 && batch.asked < ASK_LIMIT) {
    batch.asked += 1; // its answer was lost on the way, and it is still being read
    return ASK_AGAIN_MS;
  }
  return error.retryAfterMs;
}

export const imports = new Imports();
