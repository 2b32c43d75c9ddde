// Talks on their way in from files, one after the other, and what became of each.

import { client, reasonOf } from '../api/client';
import type { ImportedConversation } from '../api/types';
import { readTalk, type Talk, type TalkFault } from '../lib/talkfile';
import { conversations } from './conversations.svelte';
import { Remembered } from './memory.svelte';

export interface TalkRow {
  key: number;
  file: string;
  text: string;
  talk: Talk | null;
  fault: TalkFault | null;
  /** Of a fault: which message, from 1. */
  at: number;
  state: 'ready' | 'sending' | 'done' | 'failed';
  reason: string;
  /** When it is done. */
  made: ImportedConversation | null;
  memory: Remembered | null;
}

export class TalkImport {
  rows = $state.raw<TalkRow[]>([]);
  busy = $state(false);
  #next = 1;

  async read(files: File[]): Promise<void> {
    for (const file of files) {
      const text = await file.text();
      const { talk, fault, ...rest } = readTalk(text);
      this.rows = [
        ...this.rows,
        { key: this.#next++, file: file.name, text, talk, fault, at: 'at' in rest ? rest.at : 0, state: 'ready', reason: '', made: null, memory: null },
      ];
    }
  }

  /** A file that does not say with whom the talk was. */
  name(key: number, character: string): void {
    this.#put(key, (row) => ({ ...readTalk(row.text, character.trim()) }));
  }

  async send(): Promise<void> {
    this.busy = true;
    for (const row of this.rows.filter((one) => one.talk && one.state === 'ready')) {
      this.#put(row.key, () => ({ state: 'sending' }));
      try {
        const made = await client.post<ImportedConversation>('/conversations/import', row.talk?.body);
        this.#put(row.key, () => ({ state: 'done', made, memory: new Remembered(made.conversation.id), text: '' }));
        conversations.take(made.conversation);
      } catch (error) {
        this.#put(row.key, () => ({ state: 'failed', reason: reasonOf(error) }));
      }
    }
    this.busy = false;
  }

  /** How far the memory of the new talks is; true while something still waits. */
  async look(): Promise<boolean> {
    const open = this.rows.flatMap((row) => (row.memory ? [row.memory] : []));
    await Promise.all(open.map((memory) => memory.look()));
    return open.some((memory) => (memory.whole?.index.pending ?? 0) > 0);
  }

  #put(key: number, change: (row: TalkRow) => Partial<TalkRow>): void {
    this.rows = this.rows.map((row) => (row.key === key ? { ...row, ...change(row) } : row));
  }
}
