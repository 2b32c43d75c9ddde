// How the app looks and behaves for this person. The choice is kept with the account; what the first paint needs is also
// written down in this browser, where public/paint.js reads it before anything is drawn. One's own style sheet stays in the
// browser where it was written: a mistake in it must not follow to a phone, where it cannot be mended.

import { client } from '../api/client';
import type { Preferences } from '../api/types';
import { words } from '../lib/i18n.svelte';

export type Theme = 'system' | 'dark' | 'light';
export type Contrast = 'system' | 'more';
export type Tier = 'all_ages' | 'mature' | 'adult';

const LOOK = 'troupe.look';
const CSS = 'troupe.css.';
const SAFE = 'safe';

class Settings {
  theme = $state<Theme>('system');
  contrast = $state<Contrast>('system');
  /** Size of all text, in percent of what the browser is set to. */
  fontPercent = $state(100);
  entersSend = $state(true);
  /** The most that is shown to this person. */
  tier = $state<Tier>('all_ages');
  /** A language tag; nothing: as the browser. */
  language = $state('');
  /** What is on the screen now, whoever chose it. */
  shown = $state<'dark' | 'light'>('dark');
  /** One's own style sheet, and whether this page was opened without it. */
  css = $state('');
  isSafe = $state(false);
  #person = '';
  #light = matchMedia('(prefers-color-scheme: light)');
  #edges = matchMedia('(prefers-contrast: more)');

  start(): void {
    this.isSafe = new URLSearchParams(location.search).get(SAFE) === '1';
    const look = readLook();
    this.theme = look.theme === 'dark' || look.theme === 'light' ? look.theme : 'system';
    this.contrast = look.contrast === 'more' ? 'more' : 'system';
    this.fontPercent = typeof look.font === 'number' ? look.font : 100;
    this.#light.addEventListener('change', () => this.#paint());
    this.#edges.addEventListener('change', () => this.#paint());
    this.#paint();
  }

  async load(person: string): Promise<void> {
    this.#person = person;
    this.css = localStorage.getItem(CSS + person) ?? '';
    this.#wear();
    this.#take(await client.get<Preferences>('/users/me/preferences'));
  }

  /** Shown at once, and kept with the account. */
  async change(change: Preferences): Promise<void> {
    this.#take(change);
    await client.patch('/users/me/preferences', change);
  }

  /** The sheet was judged by lib/css before it came here. */
  setCss(css: string): void {
    this.css = css;
    if (css === '') {
      localStorage.removeItem(CSS + this.#person);
    } else {
      localStorage.setItem(CSS + this.#person, css);
    }
    this.#wear();
  }

  /** Signing out leaves the look of the house, not of a guest. */
  forget(): void {
    localStorage.removeItem(LOOK);
    void words.choose('');
  }

  #take(preferences: Preferences): void {
    this.theme = preferences.theme ?? this.theme;
    this.contrast = preferences.contrast ?? this.contrast;
    this.fontPercent = preferences.font_percent ?? this.fontPercent;
    this.entersSend = preferences.enter_sends ?? this.entersSend;
    this.tier = preferences.content_tier ?? this.tier;
    if (preferences.language !== undefined) {
      this.language = preferences.language;
      void words.choose(this.language);
    }
    localStorage.setItem(LOOK, JSON.stringify({ theme: this.theme, contrast: this.contrast, font: this.fontPercent, person: this.#person }));
    this.#paint();
  }

  #paint(): void {
    const root = document.documentElement;
    this.shown = this.theme === 'system' ? (this.#light.matches ? 'light' : 'dark') : this.theme;
    root.dataset['theme'] = this.shown;
    if (this.contrast === 'more' || this.#edges.matches) {
      root.dataset['contrast'] = 'more';
    } else {
      delete root.dataset['contrast'];
    }
    root.style.fontSize = this.fontPercent === 100 ? '' : `${this.fontPercent}%`;
    const ground = getComputedStyle(root).getPropertyValue('--ground');
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', ground);
  }

  /** A constructed sheet needs no inline style, which the Content-Security-Policy would refuse. */
  #wear(): void {
    if (!('adoptedStyleSheets' in document)) {
      return;
    }
    if (this.css === '' || this.isSafe) {
      document.adoptedStyleSheets = [];
      return;
    }
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(this.css);
    document.adoptedStyleSheets = [sheet];
  }
}

function readLook(): Record<string, unknown> {
  try {
    return (JSON.parse(localStorage.getItem(LOOK) ?? '{}') as Record<string, unknown> | null) ?? {};
  } catch {
    return {};
  }
}

export const settings = new Settings();

/** True when the person asked their system for less motion. */
const still = globalThis.matchMedia?.('(prefers-reduced-motion: reduce)'); // asked sixty times a second: made once

export function prefersStill(): boolean {
  return still?.matches ?? false;
}
