// The one live connection of a page: a WebSocket that joins rooms, and comes back by itself.
//
// It carries events only; commands go by POST, where they get a status and may be repeated safely. So a broken socket
// delays words on the screen and loses none: after each return a room says the last seq it saw, and the server either
// goes on from there or says `resumed: false`, and the room reads its messages again.
// Where WebSockets are barred (three attempts that never opened), each room is followed by SSE over fetch instead.

import { backoffMs } from '../lib/backoff';
import { SseReader } from '../lib/sse';
import type { Client } from './client';
import type { Frame, JobProgress, LiveEvent } from './events';
import type { Id } from './common';

export type LiveStatus = 'off' | 'connecting' | 'open' | 'waiting';

export interface Listener {
  onEvent(event: LiveEvent, seq: number | null): void;
}

interface Joined {
  listener: Listener;
  seq: number | null;
  stop: AbortController | null;
}

export interface LiveOptions {
  open?: (url: string, protocols: string[]) => WebSocket;
  url?: string;
  now?: () => number;
}

const PING_MS = 25_000;
const PONG_MS = 10_000;
const BARRED_AFTER = 3;
const CLOSED_UNAUTHORIZED = 4401;

export class Live {
  onStatus: (status: LiveStatus) => void = () => {};
  #client: Client;
  #options: LiveOptions;
  #socket: WebSocket | null = null;
  #rooms = new Map<Id, Joined>();
  #watchers = new Set<(job: JobProgress) => void>();
  #status: LiveStatus = 'off';
  #attempt = 0;
  #neverOpened = 0;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #ping: ReturnType<typeof setInterval> | null = null;
  #pong: ReturnType<typeof setTimeout> | null = null;

  constructor(client: Client, options: LiveOptions = {}) {
    this.#client = client;
    this.#options = options;
  }

  get status(): LiveStatus {
    return this.#status;
  }

  join(id: Id, listener: Listener): void {
    this.#rooms.set(id, { listener, seq: null, stop: null });
    if (this.#neverOpened >= BARRED_AFTER) {
      this.#follow(id);
    } else if (this.#status === 'open') {
      this.#sendJoin(id);
    } else {
      this.#connect();
    }
  }

  leave(id: Id): void {
    const room = this.#rooms.get(id);
    room?.stop?.abort();
    this.#rooms.delete(id);
    if (this.#status === 'open' && this.#socket) {
      this.#send({ type: 'conversation:leave', data: { id } });
    }
  }

  /** Hears of all work that goes on for this person, until what it returns is called. Only the socket tells of it. */
  watch(tell: (job: JobProgress) => void): () => void {
    this.#watchers.add(tell);
    if (this.#status === 'off' && this.#neverOpened < BARRED_AFTER) {
      this.#connect();
    }
    return () => {
      this.#watchers.delete(tell);
    };
  }

  get #isWanted(): boolean {
    return this.#rooms.size > 0 || this.#watchers.size > 0;
  }

  /** The network is back or the page is looked at again: no need to wait for the timer. */
  wake(): void {
    if (this.#status === 'waiting') {
      this.#attempt = 0;
      this.#connect();
    } else if (this.#status === 'open' && this.#socket) {
      this.#sendPing();
    }
  }

  close(): void {
    this.#rooms.forEach((room) => room.stop?.abort());
    this.#rooms.clear();
    this.#clearTimers();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(1000);
    this.#setStatus('off');
  }

  #setStatus(status: LiveStatus): void {
    if (this.#status !== status) {
      this.#status = status;
      this.onStatus(status);
    }
  }

  #clearTimers(): void {
    clearTimeout(this.#retry ?? undefined);
    clearInterval(this.#ping ?? undefined);
    clearTimeout(this.#pong ?? undefined);
    this.#retry = this.#ping = this.#pong = null;
  }

  #connect(): void {
    if (this.#socket || !this.#isWanted) {
      return;
    }
    this.#clearTimers();
    this.#setStatus('connecting');
    const url = this.#options.url ?? `${location.origin.replace(/^http/, 'ws')}/ws`;
    const socket = (this.#options.open ?? ((u, p) => new WebSocket(u, p)))(url, ['troupe.v1']);
    this.#socket = socket;
    let opened = false;
    socket.onopen = () => {
      opened = true;
      this.#neverOpened = 0;
      void this.#client.freshToken().then((token) => this.#send({ type: 'auth', token }));
    };
    socket.onmessage = (message) => {
      if (this.#socket === socket && typeof message.data === 'string') {
        this.#receive(JSON.parse(message.data) as Frame);
      }
    };
    socket.onclose = (event) => {
      if (this.#socket === socket) {
        this.#socket = null;
        this.#neverOpened += opened ? 0 : 1;
        void this.#closed(event.code);
      }
    };
  }

  async #closed(code: number): Promise<void> {
    this.#clearTimers();
    if (!this.#isWanted) {
      this.#setStatus('off'); // nobody listens; the next room opens it again
      return;
    }
    this.#setStatus('waiting');
    if (this.#neverOpened >= BARRED_AFTER) {
      this.#rooms.forEach((_, id) => this.#follow(id));
      return;
    }
    const wait = backoffMs(this.#attempt);
    this.#attempt += 1;
    if (code === CLOSED_UNAUTHORIZED) {
      const renewed = await this.#client.refresh().catch(() => true);
      if (!renewed) {
        this.close();
        this.#client.onSignedOut();
        return;
      }
    }
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case 'auth:ok':
        this.#attempt = 0;
        this.#setStatus('open');
        this.#rooms.forEach((_, id) => this.#sendJoin(id));
        this.#ping = setInterval(() => this.#sendPing(), PING_MS);
        return;
      case 'pong':
        clearTimeout(this.#pong ?? undefined);
        this.#pong = null;
        return;
      case 'error':
        return; // about a command of ours; the socket says the rest by closing
      default:
        this.#deliver(frame);
    }
  }

  #deliver(frame: Frame, forced?: Id): void {
    if (frame.type === 'job:progress') {
      this.#watchers.forEach((tell) => tell(frame.data as unknown as JobProgress));
    }
    const named = forced ?? frame.conversation_id ?? (frame.data?.['conversation_id'] as Id | undefined);
    const only = this.#rooms.size === 1 ? [...this.#rooms.keys()][0] : undefined;
    const room = this.#rooms.get(named ?? only ?? '');
    if (!room) {
      return;
    }
    const joinedSeq = frame.type === 'conversation:joined' ? (frame.data?.['seq'] as number) : null;
    const seq = frame.seq ?? joinedSeq;
    // After a return, events that were seen already may come once more.
    if (frame.type !== 'conversation:joined' && seq !== null && room.seq !== null && seq <= room.seq) {
      return;
    }
    // `joined` with resumed: true comes before the events that were missed, so it must not move the mark.
    const resumed = frame.type === 'conversation:joined' && frame.data?.['resumed'] === true;
    room.seq = resumed && room.seq !== null ? room.seq : (seq ?? room.seq);
    room.listener.onEvent({ type: frame.type, data: frame.data ?? {} } as LiveEvent, room.seq);
  }

  #sendJoin(id: Id): void {
    const seq = this.#rooms.get(id)?.seq ?? null;
    this.#send({ type: 'conversation:join', data: seq === null ? { id } : { id, after_seq: seq } });
  }

  #sendPing(): void {
    this.#send({ type: 'ping', data: {} });
    this.#pong ??= setTimeout(() => this.#socket?.close(4000, 'no pong'), PONG_MS);
  }

  #send(frame: object): void {
    if (this.#socket?.readyState === 1) {
      this.#socket.send(JSON.stringify(frame));
    }
  }

  /** SSE for one room, again and again until it is left. */
  #follow(id: Id): void {
    const room = this.#rooms.get(id);
    if (!room || room.stop) {
      return;
    }
    const stop = new AbortController();
    room.stop = stop;
    void (async () => {
      for (let attempt = 0; !stop.signal.aborted; attempt += 1) {
        const before = Date.now();
        await this.#followOnce(id, room, stop.signal).catch(() => {});
        this.#setStatus(this.#rooms.size > 0 ? 'waiting' : 'off');
        attempt = Date.now() - before > PING_MS ? 0 : attempt;
        await new Promise((resolve) => setTimeout(resolve, backoffMs(attempt)));
      }
    })();
  }

  async #followOnce(id: Id, room: Joined, signal: AbortSignal): Promise<void> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (room.seq !== null) {
      headers['Last-Event-ID'] = String(room.seq);
    }
    const response = await this.#client.send('GET', `/conversations/${id}/events`, { headers, signal });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    const lines = new SseReader();
    this.#setStatus('open');
    for (;;) {
      const piece = await reader?.read();
      if (!piece || piece.done) {
        return;
      }
      for (const event of lines.push(piece.value)) {
        this.#deliver(toFrame(event.event, event.data, event.id), id);
      }
    }
  }
}

/** SSE carries either the whole frame or only its data, with the type as event name and seq as id. */
function toFrame(type: string, text: string, id: string): Frame {
  const parsed = JSON.parse(text) as Frame;
  if (typeof parsed.type === 'string') {
    return parsed;
  }
  const seq = Number.parseInt(id, 10);
  return { type, data: parsed as unknown as Record<string, unknown>, ...(Number.isNaN(seq) ? {} : { seq }) };
}
