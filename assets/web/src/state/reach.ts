// From a memory to the message where it was said: older pages are read until it is there. The ids of a path grow with it, so that a message
// that stands on another branch is known to be missing without reading the whole talk.

import { ApiError } from '../api/client';
import type { Id } from '../api/common';
import type { Message } from '../api/types';

export interface Reachable {
  readonly messages: readonly Message[];
  readonly older: string | null;
  readonly loadingOlder: boolean;
  loadOlder(): Promise<void>;
  readMessage(id: Id): Promise<{ value: Message }>;
}
export type Reached = 'here' | 'elsewhere' | 'gone';

const LOOK_AGAIN_MS = 30;

export async function reach(room: Reachable, id: Id): Promise<Reached> {
  const isHere = (): boolean => room.messages.some((row) => row.id === id);
  if (isHere()) {
    return 'here';
  }
  try {
    await room.readMessage(id);
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      return 'gone';
    }
    throw error;
  }
  while (!isHere() && room.older && (room.messages[0]?.id ?? id) >= id) {
    await (room.loadingOlder ? new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS)) : room.loadOlder());
  }
  return isHere() ? 'here' : 'elsewhere';
}
