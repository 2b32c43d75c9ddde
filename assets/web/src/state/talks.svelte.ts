// Talks on their way in from files, one after the other, and what became of each.
//
// How far a talk is: first which share of it has been sent, then how many of its messages the server has stored, which it tells by socket.
// Its events name no file, so the talk that is being sent takes the first whose number of messages is its own. Breaking off the call cancels
// it there; only when the last message was stored already does the talk come all the same: then it is shown as there, and can be taken back.

import { client, reasonOf } from '../api/client';
import type { Id } from '../api/common';
import type { JobProgress } from '../api/events';
import type { Conversation, ImportedConversation } from '../api/types';
import { readTalk, type Talk, type TalkFault } from '../lib/talkfile';
import { conversations } from './conversations.svelte';
import { Remembered } from './memory.svelte';
import { rooms } from './rooms.svelte';
import { attempt } from './toast.svelte';

export interface TalkRow {
  key: number;
  file: string;
  text: string;
  talk: Talk | null;
  fault: TalkFault | null;
  /** Of a fault: which message, from 1. */
  at: number;
  /** taken_back: it was stored, and lies in the trash. */
  state: 'ready' | 'sending' | 'done' | 'failed' | 'cancelled' | 'taken_back';
  /** While it is sent: shares from 0 to 1; stored is null before the server begins. */
  sent: number;
  stored: number | null;
  /** What the server calls this import, once it has told of it. */
  job: Id | null;
  reason: string;
  /** When it is there. */
  made: Conversation | null;
  memory: Remembered | null;
}

const KIND = 'conversation.import';

export class TalkImport {
  rows = $state.raw<TalkRow[]>([]);
  busy = $state(false);
  #next = 1;
  #stop = new AbortController();

  /** Listens for progress until what it returns is called. */
  listen(): () => void {
    return rooms.watch((job) => job.kind === KIND && this.#hear(job));
  }

  async read(files: File[]): Promise<void> {
    for (const file of files) {
      const text = await file.text();
      const { talk, fault, ...rest } = readTalk(text);
      const at = 'at' in rest ? rest.at : 0;
      this.rows = [
        ...this.rows,
        { key: this.#next++, file: file.name, text, talk, fault, at, state: 'ready', sent: 0, stored: null, job: null, reason: '', made: null, memory: null },
      ];
    }
  }

  /** A file that does not say with whom the talk was. */
  name(key: number, character: string): void {
    this.#put(key, (row) => ({ ...readTalk(row.text, character.trim()) }));
  }

  async send(): Promise<void> {
    this.busy = true;
    const stop = (this.#stop = new AbortController());
    for (const row of this.rows.filter(isWaiting)) {
      if (!stop.signal.aborted) {
        await this.#sendOne(row, stop.signal);
      }
    }
    this.busy = false;
  }

  /** What is under way is taken back; what has not begun stays ready. */
  cancel(): void {
    this.#stop.abort();
  }

  async #sendOne(row: TalkRow, signal: AbortSignal): Promise<void> {
    this.#put(row.key, () => ({ state: 'sending', sent: 0, stored: null, job: null }));
    const onsent = (sent: number): void => this.#put(row.key, () => ({ sent }));
    try {
      const { conversation } = await client.post<ImportedConversation>('/conversations/import', row.talk?.body, { signal, onsent });
      this.#arrived(row.key, conversation);
    } catch (error) {
      this.#put(row.key, () => (signal.aborted ? { state: 'cancelled' } : { state: 'failed', reason: reasonOf(error) }));
    }
  }

  #arrived(key: number, made: Conversation): void {
    this.#put(key, () => ({ state: 'done', made, memory: new Remembered(made.id) }));
    conversations.take(made);
  }

  #hear(job: JobProgress): void {
    const known = this.rows.find((row) => row.job === job.id);
    const row = known ?? this.rows.find(({ state, talk, job: taken }) => state === 'sending' && taken === null && talk?.messages === job.total && job.state === 'running');
    if (row?.state === 'sending') {
      this.#put(row.key, () => ({ job: job.id, stored: job.progress / (job.total ?? 1) }));
    } else if (row?.state === 'cancelled' && job.state === 'done') {
      void attempt(async () => this.#arrived(row.key, await client.get<Conversation>(`/conversations/${job.id}`)));
    }
  }

  /** Into the trash, and out of it. */
  async takeBack(key: number): Promise<void> {
    const made = this.#made(key);
    if (made) {
      await conversations.remove(made.id);
      this.#put(key, () => ({ state: 'taken_back' }));
    }
  }

  async bringBack(key: number): Promise<void> {
    const made = this.#made(key);
    if (made) {
      await conversations.restore(made.id);
      this.#put(key, () => ({ state: 'done' }));
    }
  }

  #made(key: number): Conversation | null {
    return this.rows.find((row) => row.key === key)?.made ?? null;
  }

  /** How far the memory of the new talks is; true while something still waits. */
  async look(): Promise<boolean> {
    const open = this.rows.flatMap((row) => (row.memory && row.state === 'done' ? [row.memory] : []));
    await Promise.all(open.map((memory) => memory.look()));
    return open.some((memory) => (memory.whole?.index.pending ?? 0) > 0);
  }

  #put(key: number, change: (row: TalkRow) => Partial<TalkRow>): void {
    this.rows = this.rows.map((row) => (row.key === key ? { ...row, ...change(row) } : row));
  }
}

/** What was cancelled may be sent once more. */
export function isWaiting(row: TalkRow): boolean {
  return row.talk !== null && (row.state === 'ready' || row.state === 'cancelled');
}
