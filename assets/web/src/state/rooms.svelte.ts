// Open conversations: the path of messages that is shown, the replies that are being spoken, and every command.
//
// Server data is a cache: reload() may replace it at any time. A reply under way is a Stream beside the messages: its
// text grows with each delta, and what is shown follows on animation frames. Events that arrive while messages are
// being read wait in line, so that nothing is applied to a list that is about to be replaced.

import { SvelteMap } from 'svelte/reactivity';
import { ApiError, client as theClient, reasonOf, type Client } from '../api/client';
import type { JobProgress, LiveEvent, Speech } from '../api/events';
import { Live, type Listener, type LiveStatus } from '../api/live';
import type { Id, Page } from '../api/common';
import type { Branch, Conversation, Message, MessageAuthor, MessageRevision, Prompt, Variant } from '../api/types';
import { backoffMs } from '../lib/backoff';
import { t } from '../lib/i18n.svelte';
import { Frames } from '../lib/frames';
import { revealEnd } from '../lib/reveal';
import { conversations } from './conversations.svelte';
import { prefersStill } from './settings.svelte';
import { Spoken } from './spoken.svelte';

export interface Pending {
  key: number;
  text: string;
  failed: string;
}

interface Stream {
  text: string;
  shown: number;
  /** The finished message, waiting until the eye has caught up. */
  final: Message | null;
}

const PAGE_SIZE = 40;
const SHORT_LIST = 1000; // branches or variants: more than anybody looks through
const DRAFT = 'troupe.draft.';

export class Room implements Listener {
  readonly id: Id;
  conversation = $state.raw<Conversation | null>(null);
  messages = $state.raw<Message[]>([]);
  pending = $state.raw<Pending[]>([]);
  /** Message id to the text that is shown while it is spoken. */
  speaking = new Spoken();
  /** Message id to what went wrong with it. */
  problems = new SvelteMap<Id, string>();
  loaded = $state(false);
  failed = $state('');
  older = $state<string | null>(null);
  loadingOlder = $state(false);
  queued = $state<number | null>(null);
  draft = $state('');
  /** Grows whenever the character has learnt or forgotten something. */
  memoryNews = $state(0);
  /** The newest word about work in the background. */
  job = $state.raw<JobProgress | null>(null);
  isSpeaking = $derived(this.speaking.size > 0 || this.messages.some((row) => row.state === 'streaming'));

  #client: Client;
  #streams = new Map<Id, Stream>();
  #frames = new Frames((elapsed_ms) => this.#showMore(elapsed_ms));
  #loads = 0;
  #again = false; // joined while messages were being read: what was said between the two is in neither
  #waiting: (() => void)[] = [];
  #failures = 0; // readings in a row
  #later: ReturnType<typeof setTimeout> | undefined;
  #nextKey = 1;

  constructor(id: Id, client: Client = theClient) {
    this.id = id;
    this.#client = client;
    this.draft = globalThis.localStorage?.getItem(DRAFT + id) ?? '';
  }

  get path(): string {
    return `/conversations/${this.id}`;
  }

  // --- reading -------------------------------------------------------------------------------------------------------

  async load(): Promise<void> {
    this.#loads += 1;
    try {
      const [conversation, page] = await Promise.all([
        this.#client.get<Conversation>(this.path),
        this.#client.get<Page<Message>>(`${this.path}/messages`, { limit: PAGE_SIZE }),
      ]);
      this.conversation = conversation;
      this.#takePage(page);
      this.loaded = true;
      this.failed = '';
    } catch (error) {
      this.failed = error instanceof ApiError && error.status === 404 ? t('common.conversation_gone') : reasonOf(error);
    } finally {
      this.#drain();
    }
  }

  async reload(): Promise<void> {
    this.#loads += 1;
    try {
      this.#takePage(await this.#client.get<Page<Message>>(`${this.path}/messages`, { limit: PAGE_SIZE }));
      this.loaded = true;
      this.#failures = 0;
    } catch (error) {
      if (!this.loaded) {
        this.failed = reasonOf(error);
      } else if (isPassing(error)) {
        this.#readLater();
      }
    } finally {
      this.#drain();
    }
  }

  /** What was shown before stays meanwhile: a reply that has ended would else hang as being spoken. */
  #readLater(): void {
    clearTimeout(this.#later);
    this.#later = setTimeout(() => void this.reload(), backoffMs(this.#failures));
    this.#failures += 1;
  }

  /** Nobody looks any more. */
  close(): void {
    clearTimeout(this.#later);
  }

  /** The newest page replaces what is shown; older messages before it stay while the path still holds together. */
  #takePage(page: Page<Message>): void {
    const seam = this.messages.findIndex((row) => row.id === page.items[0]?.id);
    const known = new Map(this.messages.map((row) => [row.id, row]));
    const items = page.items.map((row) => same(known.get(row.id), row));
    if (seam > 0) {
      this.messages = [...this.messages.slice(0, seam), ...items];
    } else {
      this.messages = items;
      this.older = page.next_cursor;
    }
    const ids = new Set(page.items.map((row) => row.id));
    this.pending = this.pending.filter((row) => row.failed !== '' || !page.items.some((item) => isCopy(item, row)));
    [...this.#streams.keys()].filter((id) => !ids.has(id)).forEach((id) => this.#endStream(id));
  }

  /** The last of the reads under way lets the waiting events in. */
  #drain(): void {
    this.#loads -= 1;
    if (this.#loads === 0 && this.#again) {
      this.#again = false;
      void this.reload();
    } else if (this.#loads === 0) {
      const waiting = this.#waiting;
      this.#waiting = [];
      waiting.forEach((work) => work());
    }
  }

  async loadOlder(): Promise<void> {
    if (!this.older || this.loadingOlder) {
      return;
    }
    this.loadingOlder = true;
    try {
      const page = await this.#client.get<Page<Message>>(`${this.path}/messages`, { limit: PAGE_SIZE, cursor: this.older });
      const known = new Set(this.messages.map((row) => row.id));
      this.messages = [...page.items.filter((row) => !known.has(row.id)), ...this.messages];
      this.older = page.next_cursor;
    } finally {
      this.loadingOlder = false;
    }
  }

  // --- events --------------------------------------------------------------------------------------------------------

  onEvent(event: LiveEvent): void {
    if (this.#loads > 0 && event.type !== 'conversation:joined') {
      this.#waiting.push(() => this.apply(event));
    } else {
      this.apply(event);
    }
  }

  apply(event: LiveEvent): void {
    switch (event.type) {
      case 'conversation:joined':
        this.#onJoined(event.data.resumed, event.data.streaming);
        return;
      case 'message:received':
        this.#settle(event.data.message);
        this.#upsert(event.data.message);
        conversations.said(event.data.message);
        return;
      case 'message:stream:start':
        this.queued = null;
        this.#begin(event.data);
        return;
      case 'message:stream:chunk':
        this.#grow(event.data.message_id, event.data.delta);
        return;
      case 'message:stream:complete':
        this.#finish(event.data.message);
        return;
      case 'message:stream:error':
        this.queued = null;
        this.problems.set(event.data.message_id, event.data.error.detail);
        this.#fail(event.data.message_id, event.data.message ?? null);
        return;
      case 'message:updated':
        this.#upsert(event.data.message, false);
        if (event.data.path_changed) {
          void this.reload();
        }
        return;
      case 'message:deleted':
        void this.#readAnew();
        return;
      case 'queue':
        this.queued = event.data.position || null; // 0: it is this reply's turn
        return;
      case 'memory:updated':
        this.memoryNews += 1;
        return;
      case 'job:progress':
        this.job = event.data;
        return;
      case 'typing:start':
      case 'typing:stop':
      case 'presence':
      case 'balance':
        return; // not shown in this view yet
    }
  }

  /** Resumed: the missed events follow. Otherwise the messages are read again, and what is being spoken is given whole; events
   *  that still wait are older than both (the end of what one of them begins may have been missed). */
  #onJoined(resumed: boolean, streaming: Speech[]): void {
    if (resumed) {
      return;
    }
    this.#waiting = [(): void => this.#takeSpeech(streaming)];
    if (this.#loads > 0) {
      this.#again = true;
    } else {
      void this.reload();
    }
  }

  #takeSpeech(streaming: Speech[]): void {
    const spoken = new Set(streaming.map((speech) => speech.message_id));
    [...this.#streams.keys()].filter((id) => !spoken.has(id)).forEach((id) => this.#endStream(id));
    streaming.forEach((speech) => this.#attach(speech));
    // A reply that ended between the reading of the messages and the join is complete by now.
    if (this.messages.some((row) => row.state === 'streaming' && !spoken.has(row.id))) {
      void this.reload();
    }
  }

  #attach(speech: Speech): void {
    const known = this.messages.find((row) => row.id === speech.message_id);
    if (known && known.state !== 'streaming') {
      return;
    }
    if (!known) {
      const speaker = this.conversation?.characters[0];
      const author: MessageAuthor = { kind: 'character', id: speaker?.id ?? null, name: speaker?.name ?? '' };
      this.#upsert(emptyReply(this.id, speech.message_id, author));
    }
    this.#streams.set(speech.message_id, { text: speech.content, shown: speech.content.length, final: null });
    this.speaking.set(speech.message_id, speech.content);
  }

  #begin(start: Extract<LiveEvent, { type: 'message:stream:start' }>['data']): void {
    const id = start.message_id;
    const at = this.messages.findIndex((row) => row.id === id);
    const known = this.messages[at] ?? { ...emptyReply(this.id, id, start.author), parent_id: start.parent_id ?? null };
    const text = start.continues ? known.content : '';
    if (start.path_changed && at >= 0) {
      this.messages = this.messages.slice(0, at + 1);
    }
    this.problems.delete(id);
    this.#upsert({ ...known, content: text, state: 'streaming', swipe: start.swipe });
    this.#streams.set(id, { text, shown: text.length, final: null });
    this.speaking.set(id, text);
  }

  #grow(id: Id, delta: string): void {
    const stream = this.#streams.get(id);
    if (stream) {
      stream.text += delta;
      this.#frames.want();
    }
  }

  #finish(message: Message): void {
    conversations.said(message);
    const stream = this.#streams.get(message.id);
    if (!stream) {
      this.#upsert(message);
      return;
    }
    stream.final = message;
    stream.text = message.content;
    stream.shown = Math.min(stream.shown, stream.text.length);
    this.#frames.want();
  }

  #fail(id: Id, message: Message | null): void {
    const known = this.messages.find((row) => row.id === id);
    const text = this.#streams.get(id)?.text ?? known?.content ?? '';
    this.#endStream(id);
    if (message) {
      this.#upsert(message);
    } else if (known) {
      this.#upsert({ ...known, content: text, state: 'failed' });
    }
  }

  // --- the flow of words ---------------------------------------------------------------------------------------------

  #showMore(elapsed_ms: number): void {
    const still = prefersStill();
    let unfinished = false;
    for (const [id, stream] of this.#streams) {
      if (stream.shown < stream.text.length) {
        stream.shown = revealEnd(stream.text, stream.shown, elapsed_ms, still);
        this.speaking.set(id, stream.text.slice(0, stream.shown));
      }
      if (stream.shown < stream.text.length) {
        unfinished = true;
      } else if (stream.final) {
        this.#upsert(stream.final);
        this.#endStream(id);
      }
    }
    if (unfinished) {
      this.#frames.want();
    }
  }

  #endStream(id: Id): void {
    this.#streams.delete(id);
    this.speaking.delete(id);
  }

  // --- the list ------------------------------------------------------------------------------------------------------

  #upsert(message: Message, append = true): void {
    const at = this.messages.findIndex((row) => row.id === message.id);
    if (at >= 0) {
      this.messages = this.messages.map((row, index) => (index === at ? message : row));
    } else if (append) {
      this.messages = [...this.messages, message];
    }
  }

  /** Our own words have come back from the server: the copy that was waiting goes. */
  #settle(message: Message): void {
    if (message.role === 'user') {
      const at = this.pending.findIndex((row) => row.failed === '' && isCopy(message, row));
      this.pending = this.pending.filter((_, index) => index !== at);
    }
  }

  // --- commands ------------------------------------------------------------------------------------------------------

  /** Puts somebody's words before one's own, as a quotation. */
  quote(text: string): void {
    const quoted = text.trim().split('\n').map((line) => `> ${line}`).join('\n');
    this.setDraft(`${this.draft.trim() === '' ? '' : `${this.draft.trimEnd()}\n\n`}${quoted}\n\n`);
  }

  setDraft(text: string): void {
    this.draft = text;
    if (text === '') {
      localStorage.removeItem(DRAFT + this.id);
    } else {
      localStorage.setItem(DRAFT + this.id, text);
    }
  }

  async send(text: string): Promise<void> {
    const entry: Pending = { key: this.#nextKey++, text, failed: '' };
    this.pending = [...this.pending, entry];
    try {
      const sent = await this.#client.post<{ message: Message }>(`${this.path}/messages`, { content: text }, { query: { wait: false } });
      this.pending = this.pending.filter((row) => row.key !== entry.key);
      this.#keepUnsent('');
      if (!this.messages.some((row) => row.id === sent.message.id)) {
        this.#upsert(sent.message);
      }
    } catch (error) {
      this.pending = this.pending.map((row) => (row.key === entry.key ? { ...row, failed: reasonOf(error) } : row));
      this.#keepUnsent(text);
    }
  }

  /** What could not be sent outlives the page as the draft, unless another one was begun. */
  #keepUnsent(text: string): void {
    if (this.draft !== '') {
      return;
    }
    if (text === '') {
      globalThis.localStorage?.removeItem(DRAFT + this.id);
    } else {
      globalThis.localStorage?.setItem(DRAFT + this.id, text);
    }
  }

  drop(key: number): void {
    this.pending = this.pending.filter((row) => row.key !== key);
  }

  stop(): Promise<void> {
    return this.#client.post(`${this.path}/stop`);
  }

  regenerate(id: Id): Promise<void> {
    return this.#client.post(`${this.path}/messages/${id}/regenerate`, {}, { query: { wait: false } });
  }

  goOn(id: Id): Promise<void> {
    return this.#client.post(`${this.path}/messages/${id}/continue`, {}, { query: { wait: false } });
  }

  /** Another variant; what follows may belong to the old one, so the path is read again. */
  async select(id: Id, swipe: number): Promise<void> {
    this.#upsert(await this.#client.post<Message>(`${this.path}/messages/${id}/select`, { swipe }), false);
    if (this.messages[this.messages.length - 1]?.id !== id) {
      await this.reload();
    }
  }

  readMessage(id: Id): Promise<{ value: Message; etag: string | null }> {
    return this.#client.read<Message>(`${this.path}/messages/${id}`);
  }

  async edit(id: Id, content: string, etag: string | null): Promise<void> {
    const headers: Record<string, string> = etag ? { 'If-Match': etag } : {};
    this.#upsert(await this.#client.patch<Message>(`${this.path}/messages/${id}`, { content }, { headers }), false);
  }

  async setHidden(id: Id, hidden: boolean): Promise<void> {
    this.#upsert(await this.#client.patch<Message>(`${this.path}/messages/${id}`, { hidden }), false);
  }

  async remove(id: Id, fromHere: boolean): Promise<void> {
    await this.#client.delete(`${this.path}/messages/${id}`, { from_here: fromHere });
    await this.#readAnew();
  }

  async restore(id: Id): Promise<void> {
    await this.#client.post(`${this.path}/messages/${id}/restore`);
    await this.#readAnew();
  }

  branch(id: Id): Promise<Conversation> {
    return this.#client.post<Conversation>(`${this.path}/branch`, { message_id: id });
  }

  branches(): Promise<Branch[]> {
    return this.#all<Branch>(`${this.path}/branches`);
  }

  variants(id: Id): Promise<Variant[]> {
    return this.#all<Variant>(`${this.path}/messages/${id}/variants`);
  }

  revisions(id: Id): Promise<MessageRevision[]> {
    return this.#all<MessageRevision>(`${this.path}/messages/${id}/revisions`);
  }

  /** Shows the branch that ends with this message. */
  async activate(leaf: Id): Promise<void> {
    await this.#client.post(`${this.path}/messages/${leaf}/activate`);
    this.messages = [];
    await this.#readAnew();
  }

  /** After the end of the talk became another one: the list of talks tells that too. */
  async #readAnew(): Promise<void> {
    await this.reload();
    const last = this.messages.at(-1);
    if (last && last.state !== 'streaming') {
      conversations.said(last);
    }
  }

  /** A list that is short by its nature, all pages of it. */
  async #all<Row>(path: string): Promise<Row[]> {
    const rows: Row[] = [];
    let cursor: string | null = null;
    do {
      const page: Page<Row> = await this.#client.get<Page<Row>>(path, { limit: 100, ...(cursor ? { cursor } : {}) });
      rows.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor && rows.length < SHORT_LIST);
    return rows;
  }

  prompt(id: Id): Promise<Prompt> {
    return this.#client.get<Prompt>(`${this.path}/messages/${id}/prompt`);
  }

  async change(change: Parameters<typeof conversations.change>[1]): Promise<void> {
    this.conversation = await conversations.change(this.id, change);
  }
}

/** Trying again may help. */
function isPassing(error: unknown): boolean {
  return !(error instanceof ApiError) || [0, 429].includes(error.status) || error.status >= 500; // 0: no answer at all
}

/** The message as it is known, if nothing about it is new: what is drawn already is then left alone. */
function same(known: Message | undefined, row: Message): Message {
  return known && JSON.stringify(known) === JSON.stringify(row) ? known : row;
}

function isCopy(message: Message, pending: Pending): boolean {
  return message.role === 'user' && message.content.trim() === pending.text.trim();
}

function emptyReply(conversation: Id, id: Id, author: MessageAuthor): Message {
  const now = new Date().toISOString();
  return {
    id,
    conversation_id: conversation,
    parent_id: null,
    role: 'assistant',
    author,
    content: '',
    swipe: { index: 0, count: 1 },
    state: 'streaming',
    hidden: false,
    revision: 0,
    created_at: now,
    updated_at: now,
  };
}

class Rooms {
  status = $state<LiveStatus>('off');
  #live = new Live(theClient);
  #open = new Map<Id, Room>();
  #ahead: Room | null = null;

  start(): void {
    this.#live.onStatus = (status) => (this.status = status);
    addEventListener('online', () => this.#live.wake());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') {
        this.#live.wake();
      }
    });
  }

  /** Reads a conversation that is about to be entered. */
  expect(id: Id): void {
    this.#ahead = new Room(id);
    void this.#ahead.load();
  }

  enter(id: Id): Room {
    const room = this.#ahead?.id === id ? this.#ahead : new Room(id);
    if (room !== this.#ahead) {
      void room.load();
    }
    this.#ahead = null;
    this.#open.set(id, room);
    this.#live.join(id, room);
    return room;
  }

  leave(id: Id): void {
    this.#open.get(id)?.close();
    this.#open.delete(id);
    this.#live.leave(id);
  }

  /** Work that goes on for this person, whatever the conversation; until what it returns is called. */
  watch(tell: (job: JobProgress) => void): () => void {
    return this.#live.watch(tell);
  }
}

export const rooms = new Rooms();
