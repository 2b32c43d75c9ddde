// How the app looks for this person. The choice is kept with the account and, so that the first paint is right, here.

import { client } from '../api/client';
import type { Preferences } from '../api/types';

export type Theme = 'system' | 'dark' | 'light';

const KEY = 'troupe.theme';
const GROUND: Record<'dark' | 'light', string> = { dark: '#14111d', light: '#f8f4ef' };

class Settings {
  theme = $state<Theme>(readTheme());
  #light = matchMedia('(prefers-color-scheme: light)');

  start(): void {
    this.#light.addEventListener('change', () => this.#paint());
    this.#paint();
  }

  async load(): Promise<void> {
    const preferences = await client.get<Preferences>('/users/me/preferences');
    if (preferences.theme && preferences.theme !== this.theme) {
      this.#take(preferences.theme);
    }
  }

  async setTheme(theme: Theme): Promise<void> {
    this.#take(theme);
    await client.patch('/users/me/preferences', { theme });
  }

  #take(theme: Theme): void {
    this.theme = theme;
    localStorage.setItem(KEY, theme);
    this.#paint();
  }

  #paint(): void {
    const shown = this.theme === 'system' ? (this.#light.matches ? 'light' : 'dark') : this.theme;
    document.documentElement.dataset['theme'] = shown;
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', GROUND[shown]);
  }
}

function readTheme(): Theme {
  const kept = localStorage.getItem(KEY);
  return kept === 'dark' || kept === 'light' ? kept : 'system';
}

export const settings = new Settings();

/** True when the person asked their system for less motion. */
export function prefersStill(): boolean {
  return globalThis.matchMedia?.('(prefers-reduced-motion: reduce)').matches ?? false;
}
