// Short notices at the edge of the page: what was done, with a way back where there is one; what failed, and why.

import { reasonOf } from '../api/client';

export interface Toast {
  id: number;
  tone: 'plain' | 'good' | 'bad';
  text: string;
  action?: { label: string; run: () => unknown };
}

const SHOWN_MS = 6000;
const SHOWN_WITH_ACTION_MS = 12_000;
const SHOWN_AT_ONCE = 4;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  /** A notice that stays is there until it is answered. */
  say(text: string, action?: Toast['action'], tone: Toast['tone'] = 'plain', stays = false): void {
    const toast: Toast = { id: this.#next++, tone, text, ...(action ? { action } : {}) };
    this.list = [...this.list, toast].slice(-SHOWN_AT_ONCE);
    if (stays) {
      return;
    }
    setTimeout(() => this.dismiss(toast.id), action || tone === 'bad' ? SHOWN_WITH_ACTION_MS : SHOWN_MS);
  }

  fail(error: unknown): void {
    this.say(reasonOf(error), undefined, 'bad');
  }

  dismiss(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();

/** Runs what a button asks for; a failure becomes a notice. True when it worked. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    toasts.fail(error);
    return false;
  }
}
