// Everything the server may say about a conversation, as one union. An event that is added here breaks the build in
// state/room.svelte.ts until it is handled there.

import type { Id } from './common';
import type { Message, MessageAuthor, Usage } from './types';

export interface Speech {
  message_id: Id;
  turn_id: Id;
  content: string;
  swipe: number;
}

/** Work in the background that somebody asked for; of all jobs of this person, whatever the conversation. */
export interface JobProgress {
  id: Id;
  kind: string;
  state: 'queued' | 'running' | 'done' | 'dead' | 'cancelled';
  progress: number;
  total: number | null;
  reason: string;
}

export type LiveEvent =
  | { type: 'conversation:joined'; data: { seq: number; resumed: boolean; streaming: Speech[] } }
  | { type: 'message:received'; data: { message: Message } }
  | {
      type: 'message:stream:start';
      data: {
        message_id: Id;
        parent_id?: Id | null;
        swipe: { index: number; count: number };
        author: MessageAuthor;
        turn_id: Id;
        /** The text that is there already stays and grows. */
        continues?: boolean;
        /** What followed this message belongs to another variant of it. */
        path_changed?: boolean;
      };
    }
  | { type: 'message:stream:chunk'; data: { message_id: Id; delta: string; reasoning?: string } }
  | {
      type: 'message:stream:complete';
      data: { message: Message; usage?: Usage; finish_reason?: string | null };
    }
  | {
      type: 'message:stream:error';
      data: { message_id: Id; message?: Message | null; error: { code: string; detail: string; retryable: boolean } };
    }
  | { type: 'message:updated'; data: { message: Message; path_changed?: boolean } }
  | { type: 'message:deleted'; data: { message_id?: Id; from_here?: boolean } }
  | { type: 'queue'; data: { position: number } }
  | { type: 'memory:updated'; data: { what: 'facts' | 'summary' | 'forgotten' } }
  | { type: 'job:progress'; data: JobProgress }
  | { type: 'typing:start' | 'typing:stop' | 'presence' | 'balance'; data: object };

/** What arrives on the wire: an event of a room, or a word about the socket itself. */
export interface Frame {
  type: string;
  seq?: number;
  data?: Record<string, unknown>;
  conversation_id?: Id;
}
