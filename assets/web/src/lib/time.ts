// Moments for people: "just now", "14:05", "Tuesday", "3 March"; of what is to come: "in 5 min". The exact moment belongs into a title.

import { t, words } from './i18n.svelte';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

export function shortMoment(iso: string | null | undefined, now = new Date(), locale = words.locale): string {
  const at = iso ? new Date(iso) : null;
  if (!at || Number.isNaN(at.getTime())) {
    return '';
  }
  const ago = now.getTime() - at.getTime();
  if (ago < -MINUTE_MS && ago > -HOUR_MS) {
    return new Intl.RelativeTimeFormat(locale, { style: 'short' }).format(Math.ceil(-ago / MINUTE_MS), 'minute');
  }
  if (Math.abs(ago) <= MINUTE_MS) {
    return t('common.just_now');
  }
  if (ago > 0 && ago < HOUR_MS) {
    return t('common.minutes_ago', { n: Math.floor(ago / MINUTE_MS) });
  }
  if (at.toDateString() === now.toDateString()) {
    return at.toLocaleTimeString(locale, { hour: '2-digit', minute: '2-digit' });
  }
  if (Math.abs(ago) < 6 * DAY_MS) {
    return at.toLocaleDateString(locale, { weekday: 'long' });
  }
  const year = at.getFullYear() === now.getFullYear() ? {} : ({ year: 'numeric' } as const);
  return at.toLocaleDateString(locale, { day: 'numeric', month: 'short', ...year });
}

export function fullMoment(iso: string | null | undefined, locale = words.locale): string {
  const at = iso ? new Date(iso) : null;
  return !at || Number.isNaN(at.getTime()) ? '' : full(locale).format(at);
}

let writer: Intl.DateTimeFormat | undefined;
let written = '';

/** To make one costs more than to draw the message under it: a talk of a thousand makes one. */
function full(locale: string): Intl.DateTimeFormat {
  if (!writer || written !== locale) {
    writer = new Intl.DateTimeFormat(locale, { dateStyle: 'long', timeStyle: 'short' });
    written = locale;
  }
  return writer;
}
