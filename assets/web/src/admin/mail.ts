// What the states of a mail are called.

import type { Mail } from '../api/types';
import type { Key } from '../lib/i18n.svelte';
import '../lib/words/admin';

export const mailStates: Record<Mail['state'], Key> = {
  queued: 'admin.mail_queued',
  resting: 'admin.mail_resting',
  sent: 'admin.mail_sent',
  failed: 'admin.mail_failed',
  expired: 'admin.mail_expired',
};

/** The link of a mail: it has a line of its own. */
export function linkOf(text: string): string {
  return text.split('\n').find((line) => /^https?:\/\/\S+$/.test(line)) ?? '';
}
