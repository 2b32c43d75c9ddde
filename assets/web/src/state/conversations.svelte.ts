// The list of one's conversations: newest first, pinned ones on top. A room tells it what was said last.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { Conversation, Message } from '../api/types';
import { plainText } from '../lib/markdown';

const PAGE_SIZE = 40;

class Conversations {
  list = $state.raw<Conversation[]>([]);
  cursor = $state<string | null>(null);
  loaded = $state(false);
  sorted = $derived(
    [...this.list].sort((a, b) => Number(b.pinned) - Number(a.pinned) || lastMoment(b) - lastMoment(a)),
  );

  async load(): Promise<void> {
    const page = await client.get<Page<Conversation>>('/conversations', { limit: PAGE_SIZE });
    this.list = page.items;
    this.cursor = page.next_cursor;
    this.loaded = true;
  }

  async more(): Promise<void> {
    if (this.cursor) {
      const page = await client.get<Page<Conversation>>('/conversations', { limit: PAGE_SIZE, cursor: this.cursor });
      const known = new Set(this.list.map((row) => row.id));
      this.list = [...this.list, ...page.items.filter((row) => !known.has(row.id))];
      this.cursor = page.next_cursor;
    }
  }

  async create(character: Id, options: { greeting_index?: number; persona_id?: Id } = {}): Promise<Conversation> {
    const made = await client.post<Conversation>('/conversations', { character_ids: [character], ...options });
    this.take(made);
    return made;
  }

  async change(id: Id, change: Partial<Pick<Conversation, 'title' | 'pinned' | 'archived' | 'persona_id' | 'settings'>>): Promise<Conversation> {
    const changed = await client.patch<Conversation>(`/conversations/${id}`, change);
    this.take(changed);
    return changed;
  }

  async remove(id: Id): Promise<void> {
    await client.delete(`/conversations/${id}`);
    this.list = this.list.filter((row) => row.id !== id);
  }

  async restore(id: Id): Promise<void> {
    this.take(await client.post<Conversation>(`/conversations/${id}/restore`));
  }

  take(conversation: Conversation): void {
    this.list = [conversation, ...this.list.filter((row) => row.id !== conversation.id)];
  }

  /** Something was said: the list shows it without asking the server. */
  said(message: Message): void {
    this.list = this.list.map((row) =>
      row.id === message.conversation_id
        ? { ...row, last_line: plainText(message.content).slice(0, 120), last_message_at: message.created_at }
        : row,
    );
  }
}

function lastMoment(conversation: Conversation): number {
  return Date.parse(conversation.last_message_at ?? conversation.created_at);
}

export const conversations = new Conversations();
