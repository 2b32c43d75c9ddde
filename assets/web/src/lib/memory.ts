// How what is remembered is put in order for people: facts by kind, in the order in which one would tell them; what was replaced apart; and
// of the many shares of a score those that decided.

import { words } from './i18n.svelte';

const DAY_MS = 24 * 60 * 60 * 1000;

/** A day as people say it: "today", "yesterday", "3 March", "3 March 2024". Since when something is so needs no clock. */
export function dayOf(iso: string, now = new Date(), locale = words.locale): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) {
    return '';
  }
  const midnight = (day: Date): number => new Date(day.getFullYear(), day.getMonth(), day.getDate()).getTime();
  const ago = Math.round((midnight(now) - midnight(at)) / DAY_MS);
  if (ago === 0 || ago === 1) {
    return new Intl.RelativeTimeFormat(locale, { numeric: 'auto' }).format(-ago, 'day');
  }
  const year = at.getFullYear() === now.getFullYear() ? {} : ({ year: 'numeric' } as const);
  return at.toLocaleDateString(locale, { day: 'numeric', month: 'long', ...year });
}

/** Where to read the words that it comes from, when they were said in another talk than this one. */
export function elsewhere(said: { message_id: string | null; conversation_id: string }, here: string): string | undefined {
  return said.message_id && said.conversation_id !== here ? `/chat/${said.conversation_id}?message=${said.message_id}` : undefined;
}

export interface FactLike {
  id: string;
  kind: 'fact' | 'preference' | 'relationship' | 'event';
  state: 'active' | 'proposed' | 'superseded';
  pinned: boolean;
  importance: number;
  valid_to: string | null;
}

export const KINDS = ['fact', 'preference', 'relationship', 'event'] as const;
export type Kind = (typeof KINDS)[number];

export interface Sorted<Fact> {
  /** What waits for an answer. */
  proposed: Fact[];
  /** What holds, by kind; kinds of which nothing is known are left out. */
  groups: { kind: Kind; facts: Fact[] }[];
  /** What was replaced, or is over. */
  past: Fact[];
}

/** Keeps the order in which the server gives them within each part. */
export function sortFacts<Fact extends FactLike>(facts: readonly Fact[]): Sorted<Fact> {
  const holding = facts.filter((fact) => fact.state === 'active' && fact.valid_to === null);
  return {
    proposed: facts.filter((fact) => fact.state === 'proposed'),
    groups: KINDS.map((kind) => ({ kind, facts: holding.filter((fact) => fact.kind === kind) })).filter((group) => group.facts.length > 0),
    past: facts.filter((fact) => fact.state === 'superseded' || (fact.state === 'active' && fact.valid_to !== null)),
  };
}

export const WEIGHTS = ['low', 'medium', 'high'] as const;
export type Weight = (typeof WEIGHTS)[number];
const IMPORTANCE: Record<Weight, number> = { low: 0.2, medium: 0.5, high: 0.9 };

/** How much it matters, as one of three words. */
export function weightOf(importance: number): Weight {
  return importance < 0.35 ? 'low' : importance < 0.7 ? 'medium' : 'high';
}

/** The number for a word; the old number when the word is still the right one. */
export function importanceOf(weight: Weight, before?: number): number {
  return before !== undefined && weightOf(before) === weight ? before : IMPORTANCE[weight];
}

export interface Share<Name extends string> {
  name: Name;
  value: number;
  /** Of the strongest, from -1 to 1. */
  share: number;
}

const LEAST = 0.05; // below that a share says nothing

/** The shares of a score that decided, strongest first; what counted against it is negative. */
export function strongest<Name extends string>(signals: Record<Name, number>): Share<Name>[] {
  const rows = (Object.entries(signals) as [Name, number][]).filter(([, value]) => Math.abs(value) >= LEAST);
  const most = Math.max(0, ...rows.map(([, value]) => Math.abs(value)));
  return rows
    .map(([name, value]) => ({ name, value, share: value / most }))
    .sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
}
