// How the app looks for this person. The choice is kept with the account and, so that the first paint is right, here.

import { client } from '../api/client';
import type { Preferences } from '../api/types';
import { words } from '../lib/i18n.svelte';

export type Theme = 'system' | 'dark' | 'light';

const KEY = 'troupe.theme';
const GROUND: Record<'dark' | 'light', string> = { dark: '#14111d', light: '#f8f4ef' };

class Settings {
  theme = $state<Theme>(readTheme());
  /** Size of all text, in percent of what the browser is set to. */
  fontPercent = $state(100);
  entersSend = $state(true);
  /** A language tag; nothing: as the browser. */
  language = $state('');
  /** What is on the screen now, whoever chose it. */
  shown = $state<'dark' | 'light'>('dark');
  #light = matchMedia('(prefers-color-scheme: light)');

  start(): void {
    this.#light.addEventListener('change', () => this.#paint());
    this.#paint();
  }

  async load(_person: string): Promise<void> {
    this.#take(await client.get<Preferences>('/users/me/preferences'));
  }

  /** Shown at once, and kept with the account. */
  async change(change: Preferences): Promise<void> {
    this.#take(change);
    await client.patch('/users/me/preferences', change);
  }

  #take(preferences: Preferences): void {
    this.theme = preferences.theme ?? this.theme;
    this.fontPercent = preferences.font_percent ?? this.fontPercent;
    this.entersSend = preferences.enter_sends ?? this.entersSend;
    localStorage.setItem(KEY, this.theme);
    if (preferences.language !== undefined) {
      this.language = preferences.language;
      void words.choose(this.language);
    }
    this.#paint();
  }

  #paint(): void {
    const shown = this.theme === 'system' ? (this.#light.matches ? 'light' : 'dark') : this.theme;
    this.shown = shown;
    document.documentElement.dataset['theme'] = shown;
    document.documentElement.style.fontSize = this.fontPercent === 100 ? '' : `${this.fontPercent}%`;
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', GROUND[shown]);
  }
}

function readTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === 'dark' || kept === 'light' ? kept : 'system';
}

export const settings = new Settings();

/** True when the person asked their system for less motion. */
const still = globalThis.matchMedia?.('(prefers-reduced-motion: reduce)'); // asked sixty times a second: made once

export function prefersStill(): boolean {
  return still?.matches ?? false;
}
