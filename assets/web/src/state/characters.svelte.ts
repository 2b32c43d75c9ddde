// The cast: the list on the stage as it is searched and filtered, and single characters as they are opened and edited.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { Character, CharacterRevision, CharacterRevisionWhole, CharacterSummary, KnowledgeDocument, Prompt, Tag } from '../api/types';

export type CharacterDraft = Partial<Character>;
/** The texts that a prompt is made of. */
export type PreviewTexts = Pick<
  Character,
  'name' | 'nickname' | 'description' | 'personality' | 'scenario' | 'first_mes' | 'mes_example' | 'system_prompt' | 'post_history_instructions'
>;
/** What is asked of the cast: words, a tag, a tier, an order, and whose. */
export interface Question {
  q: string;
  tag: string;
  tier: '' | CharacterSummary['content_tier'];
  sort: 'relevance' | 'new' | 'meaning';
  whose: 'all' | 'mine' | 'trash';
}
export const EVERYBODY: Question = { q: '', tag: '', tier: '', sort: 'new', whose: 'all' };
export type ExportFormat = 'v3_png' | 'v2_png' | 'v3_json';

const PAGE_SIZE = 40;
const LOOKED_AT = 6;
const ENDING: Record<ExportFormat, string> = { v3_png: 'png', v2_png: 'png', v3_json: 'json' };

class Characters {
  list = $state.raw<CharacterSummary[]>([]);
  favourites = $state.raw<CharacterSummary[]>([]);
  tags = $state.raw<Tag[]>([]);
  cursor = $state<string | null>(null);
  loading = $state(false);
  loaded = $state(false);
  #asked = 0;
  #last: Question = EVERYBODY;

  /** Reads the first page for what is typed and picked; an answer that was overtaken by a newer question is dropped. */
  async find(question: Question): Promise<void> {
    const asked = ++this.#asked;
    this.#last = question;
    this.loading = true;
    try {
      const page = await this.#page(question, null);
      if (asked === this.#asked) {
        this.list = page.items;
        this.cursor = page.next_cursor;
        this.loaded = true;
      }
    } finally {
      if (asked === this.#asked) {
        this.loading = false;
      }
    }
  }

  /** The same question again, after something changed. */
  async again(): Promise<void> {
    if (this.loaded) {
      await Promise.all([this.find(this.#last), this.loadAround()]);
    }
  }

  async more(): Promise<void> {
    if (!this.cursor || this.loading) {
      return;
    }
    const asked = this.#asked;
    this.loading = true;
    try {
      const page = await this.#page(this.#last, this.cursor);
      if (asked === this.#asked) {
        this.list = [...this.list, ...page.items];
        this.cursor = page.next_cursor;
      }
    } finally {
      this.loading = false;
    }
  }

  #page({ q, tag, tier, sort, whose }: Question, cursor: string | null): Promise<Page<CharacterSummary>> {
    const narrow = { limit: PAGE_SIZE, cursor, ...(tag && { tag }), ...(tier && { tier }) };
    return q
      ? client.get<Page<CharacterSummary>>('/characters/search', { ...narrow, q, sort })
      : client.get<Page<CharacterSummary>>('/characters', { ...narrow, mine: whose === 'mine', trash: whose === 'trash' });
  }

  /** A few that are like this one. */
  async similar(id: Id): Promise<CharacterSummary[]> {
    return (await client.get<Page<CharacterSummary>>(`/characters/${id}/similar`, { limit: LOOKED_AT })).items;
  }

  /** A few that answer to these words, without touching what the stage shows. */
  async look(query: string): Promise<CharacterSummary[]> {
    return (await client.get<Page<CharacterSummary>>('/characters/search', { q: query, limit: LOOKED_AT })).items;
  }

  async loadAround(): Promise<void> {
    const [favourites, tags] = await Promise.all([
      client.get<Page<CharacterSummary>>('/users/me/favorites', { limit: PAGE_SIZE }),
      client.get<Page<Tag>>('/tags', { limit: PAGE_SIZE }),
    ]);
    this.favourites = favourites.items;
    this.tags = tags.items;
  }

  /** One character with its ETag: a stale editor is refused, not obeyed. */
  open(id: Id): Promise<{ value: Character; etag: string | null }> {
    return client.read<Character>(`/characters/${id}`);
  }

  create(draft: CharacterDraft): Promise<Character> {
    return client.post<Character>('/characters', draft);
  }

  async save(id: Id, draft: CharacterDraft, etag: string | null): Promise<Character> {
    const saved = await client.patch<Character>(`/characters/${id}`, draft, {
      headers: etag ? { 'If-Match': etag } : {},
    });
    this.#replace(saved);
    return saved;
  }

  /** The prompt that these texts would send; nothing is stored. */
  preview(texts: PreviewTexts & { message: string }): Promise<Prompt> {
    const { name, nickname, description, personality, scenario, first_mes, mes_example, system_prompt, post_history_instructions, message } = texts;
    const asked = { name, nickname, description, personality, scenario, first_mes, mes_example, system_prompt, post_history_instructions, message };
    return client.post<Prompt>('/characters/preview', asked);
  }

  async revisions(id: Id): Promise<CharacterRevision[]> {
    return (await client.get<Page<CharacterRevision>>(`/characters/${id}/revisions`, { limit: 100 })).items;
  }

  revision(id: Id, n: number): Promise<CharacterRevisionWhole> {
    return client.get<CharacterRevisionWhole>(`/characters/${id}/revisions/${n}`);
  }

  /** What an earlier revision said becomes the newest one. */
  bringBack(id: Id, n: number): Promise<Character> {
    return client.post<Character>(`/characters/${id}/revisions/${n}/restore`);
  }

  async knowledge(id: Id): Promise<KnowledgeDocument[]> {
    return (await client.get<Page<KnowledgeDocument>>(`/characters/${id}/knowledge`)).items;
  }

  addKnowledge(id: Id, file: File): Promise<KnowledgeDocument> {
    return client.call<KnowledgeDocument>('POST', `/characters/${id}/knowledge`, { file, query: { name: file.name.slice(0, 200) } });
  }

  removeKnowledge(id: Id, document: Id): Promise<void> {
    return client.delete(`/characters/${id}/knowledge/${document}`);
  }

  async setAvatar(id: Id, picture: File): Promise<void> {
    await client.call('PUT', `/characters/${id}/avatar`, { file: picture });
  }

  duplicate(id: Id): Promise<Character> {
    return client.post<Character>(`/characters/${id}/duplicate`);
  }

  async remove(id: Id): Promise<void> {
    await client.delete(`/characters/${id}`);
    this.list = this.list.filter((row) => row.id !== id);
    this.favourites = this.favourites.filter((row) => row.id !== id);
  }

  restore(id: Id): Promise<Character> {
    return client.post<Character>(`/characters/${id}/restore`);
  }

  async setFavourite(character: CharacterSummary, favourite: boolean): Promise<void> {
    if (favourite) {
      await client.post('/users/me/favorites', { character_id: character.id });
    } else {
      await client.delete(`/users/me/favorites/${character.id}`);
    }
    const changed = { ...character, favourite };
    this.#replace(changed);
    const others = this.favourites.filter((row) => row.id !== character.id);
    this.favourites = favourite ? [changed, ...others] : others;
  }

  /** How many entries the character's own lorebook has. */
  loreCount(character: Character): number {
    const book = character.character_book as { entries?: unknown[] } | null;
    return book?.entries?.length ?? 0;
  }

  /** The card as a file that the browser saves. */
  async download(character: CharacterSummary, format: ExportFormat): Promise<void> {
    const response = await client.send('GET', `/characters/${character.id}/export`, { query: { format } });
    const url = URL.createObjectURL(await response.blob());
    const link = document.createElement('a');
    link.href = url;
    link.download = `${character.name.replace(/[^\p{L}\p{N} _-]/gu, '').trim() || 'character'}.${ENDING[format]}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  #replace(character: CharacterSummary): void {
    const swap = (row: CharacterSummary): CharacterSummary => (row.id === character.id ? character : row);
    this.list = this.list.map(swap);
    this.favourites = this.favourites.map(swap);
  }
}

export const characters = new Characters();
