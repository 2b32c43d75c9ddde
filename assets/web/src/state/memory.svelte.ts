// What a character remembers of one conversation (or, when it is shared, of all with this person), as the panel shows it. Server data is a
// cache: load() may replace it at any time, and an answer that was overtaken by a later question is thrown away.
//
// The only place that calls /memory.

import { client as theClient, type Client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { Episode, Fact, Forgotten, Memory, MemoryJob, Recalled, Relationship, Summary } from '../api/types';

export type FactDraft = Pick<Fact, 'text' | 'kind' | 'importance'> & { pinned?: boolean };
export type FactChange = Partial<Pick<Fact, 'text' | 'kind' | 'importance' | 'pinned' | 'valid_to'>>;

const TIMELINE_PAGE = 50;
const FOUND = 20;

export class Remembered {
  readonly id: Id;
  whole = $state.raw<Memory | null>(null);
  bond = $state.raw<Relationship | null>(null);
  summaries = $state.raw<Summary[]>([]);
  episodes = $state.raw<Episode[]>([]);
  /** Where the timeline goes on. */
  later = $state<string | null>(null);
  /** What a search found; null: nobody searches. */
  found = $state.raw<Recalled[] | null>(null);
  /** The extraction that was asked for here. */
  job = $state<Id | null>(null);
  #client: Client;
  #loads = 0;
  #searches = 0;

  constructor(id: Id, client: Client = theClient) {
    this.id = id;
    this.#client = client;
  }

  get #path(): string {
    return `/memory/${this.id}`;
  }

  async load(): Promise<void> {
    const turn = ++this.#loads;
    const [whole, bonds, summaries, timeline] = await Promise.all([
      this.#client.get<Memory>(this.#path, { state: 'all' }),
      this.#client.get<Page<Relationship>>(`${this.#path}/relationships`),
      this.#client.get<Page<Summary>>(`${this.#path}/summary`),
      this.#timeline(),
    ]);
    if (turn === this.#loads) {
      this.whole = whole;
      this.bond = bonds.items[0] ?? null;
      this.summaries = summaries.items;
      this.episodes = timeline.items;
      this.later = timeline.next_cursor;
    }
  }

  /** As much of the timeline as is shown already, and at least a page. */
  async #timeline(): Promise<Page<Episode>> {
    const items: Episode[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<Episode> = await this.#client.get<Page<Episode>>(`${this.#path}/timeline`, { limit: TIMELINE_PAGE, cursor });
      items.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && items.length < this.episodes.length);
    return { items, next_cursor: cursor };
  }

  async more(): Promise<void> {
    if (this.later) {
      const page = await this.#client.get<Page<Episode>>(`${this.#path}/timeline`, { limit: TIMELINE_PAGE, cursor: this.later });
      this.episodes = [...this.episodes, ...page.items];
      this.later = page.next_cursor;
    }
  }

  /** How far the index is, and what the switches say; lighter than load(). */
  async look(): Promise<void> {
    const turn = this.#loads;
    const whole = await this.#client.get<Memory>(this.#path, { state: 'all' });
    if (turn === this.#loads) {
      this.whole = whole;
    }
  }

  async search(q: string): Promise<void> {
    const turn = ++this.#searches;
    if (q.trim() === '') {
      this.found = null;
      return;
    }
    const page = await this.#client.get<Page<Recalled>>(`${this.#path}/search`, { q: q.trim(), limit: FOUND });
    if (turn === this.#searches) {
      this.found = page.items;
    }
  }

  // --- changes: each is followed by a new reading, because one change may close, merge or forget others ------------------

  async add(draft: FactDraft): Promise<void> {
    await this.#client.post<Fact>(`${this.#path}/facts`, draft);
    await this.load();
  }

  read(id: Id): Promise<{ value: Fact; etag: string | null }> {
    return this.#client.read<Fact>(`${this.#path}/facts/${id}`);
  }

  async change(id: Id, change: FactChange, etag: string | null = null): Promise<void> {
    await this.#client.patch<Fact>(`${this.#path}/facts/${id}`, change, etag ? { headers: { 'If-Match': etag } } : {});
    await this.load();
  }

  async approve(id: Id): Promise<void> {
    await this.#client.post<Fact>(`${this.#path}/facts/${id}/approve`);
    await this.load();
  }

  /** Final: nothing of it is kept, nor, if wanted, is anything recalled of the messages it comes from. */
  async forget(id: Id, with_messages: boolean): Promise<void> {
    await this.#client.delete(`${this.#path}/facts/${id}`, { with_messages });
    this.found = null;
    await this.load();
  }

  /** What a topic would take away. */
  weigh(topic: string, with_messages: boolean): Promise<Forgotten> {
    return this.#client.post<Forgotten>(`${this.#path}/forget`, { topic, with_messages, dry_run: true });
  }

  async forgetTopic(topic: string, with_messages: boolean): Promise<Forgotten> {
    const gone = await this.#client.post<Forgotten>(`${this.#path}/forget`, { topic, with_messages, dry_run: false });
    this.found = null;
    await this.load();
    return gone;
  }

  async forgetAll(): Promise<void> {
    await this.#client.delete(this.#path);
    this.found = null;
    await this.load();
  }

  async rewrite(kind: Summary['kind'], text: string): Promise<void> {
    await this.#client.patch<Summary>(`${this.#path}/summary`, { kind, text });
    await this.load();
  }

  // --- learning from the whole talk --------------------------------------------------------------------------------------

  async extract(): Promise<void> {
    this.job = (await this.#client.post<MemoryJob>('/memory/extract', { conversation_id: this.id })).job_id;
  }

  async stopExtract(): Promise<void> {
    if (this.job) {
      const job = this.job;
      this.job = null;
      await this.#client.delete(`/memory/extract/${job}`);
    }
  }
}
