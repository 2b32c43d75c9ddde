// The words of the app. Sentences live in assets/locales/<language>/<area>.json, whole, with {placeholders}; a count picks
// its form by the plural rules of the language (`key.one`, `key.other`). English is the measure: its keys are the types.
//
// An area's English comes with the page that says it (import 'lib/words/<area>'); any other language is fetched, area by
// area, when it is chosen, and nothing is shown before it is here (`settled`). A sentence that could not be fetched is
// said in English. Reading a sentence is tracked, so a change of language rewrites what is on the screen.

import type admin from '../../../locales/en/admin.json';
import type cards from '../../../locales/en/cards.json';
import type character from '../../../locales/en/character.json';
import type chat from '../../../locales/en/chat.json';
import type help from '../../../locales/en/help.json';
import type home from '../../../locales/en/home.json';
import type memory from '../../../locales/en/memory.json';
import type profile from '../../../locales/en/profile.json';
import type setup from '../../../locales/en/setup.json';
import common from '../../../locales/en/common.json';

interface Areas {
  admin: typeof admin;
  cards: typeof cards;
  character: typeof character;
  chat: typeof chat;
  common: typeof common;
  help: typeof help;
  home: typeof home;
  memory: typeof memory;
  profile: typeof profile;
  setup: typeof setup;
}
export type Area = keyof Areas;
type AnyKey = { [A in Area]: `${A}.${keyof Areas[A] & string}` }[Area];
type Stem<K> = K extends `${infer S}.other` ? S : never;
/** What tn() takes: a key that has a form for each count. */
export type CountKey = Stem<AnyKey>;
/** What t() takes. */
export type Key = Exclude<AnyKey, `${CountKey}.${Intl.LDMLPluralRule}`>;
export type Values = Record<string, string | number>;

/** Languages that have a folder in assets/locales, each by the name it gives itself. */
export const languages = [
  { tag: 'en', name: 'English' },
  { tag: 'de', name: 'Deutsch' },
] as const;
export type Language = (typeof languages)[number]['tag'];

type Sentences = Record<string, string>;
type Fetcher = (language: Language, area: Area) => Promise<Sentences>;

const KEY = 'troupe.language';

class Words {
  language = $state<Language>('en');
  /** What Intl is given: the language with the region of the browser, so that dates look as the person expects. */
  locale = $derived(regionOf(this.language));
  readonly #english: Sentences = {};
  readonly #areas = new Set<Area>();
  #chosen = $state.raw<Sentences>({});
  #started = false;
  #fetch: Fetcher = () => Promise.resolve({});
  #pending: Promise<unknown> = Promise.resolve();
  #rules = $derived(new Intl.PluralRules(this.locale));
  #numbers = $derived(new Intl.NumberFormat(this.locale));

  /** Finds the language of this browser and fetches what is known to be needed. */
  start(fetcher: Fetcher): Promise<void> {
    this.#fetch = fetcher;
    return this.choose(globalThis.localStorage?.getItem(KEY) ?? '');
  }

  /** A language tag, or nothing for the browser's own; unknown ones fall back to it. */
  async choose(wanted: string): Promise<void> {
    const language = known(wanted) ?? fromBrowser();
    if (known(wanted)) {
      localStorage.setItem(KEY, language);
    } else {
      globalThis.localStorage?.removeItem(KEY);
    }
    if (language === this.language && this.#started) {
      return; // what is on the screen is right already, and must not be drawn again
    }
    this.#started = true;
    const read = new Set<Area>();
    const texts: Sentences = {};
    while (read.size < this.#areas.size) { // a page that came meanwhile may have brought another area
      const missing = [...this.#areas].filter((area) => !read.has(area));
      missing.forEach((area) => read.add(area));
      Object.assign(texts, await this.#read(language, missing));
    }
    this.#chosen = texts;
    this.language = language;
    document.documentElement.lang = language;
    document.documentElement.dir = this.say('common.direction');
  }

  learn(area: Area, english: Sentences): void {
    if (this.#areas.has(area)) {
      return;
    }
    this.#areas.add(area);
    for (const [key, text] of Object.entries(english)) {
      this.#english[`${area}.${key}`] = text;
    }
    if (this.language !== 'en') {
      const language = this.language;
      const read = this.#read(language, [area]).then((texts) => {
        if (language === this.language) {
          this.#chosen = { ...this.#chosen, ...texts };
        }
      });
      this.#pending = Promise.all([this.#pending, read]);
    }
  }

  /** Resolves when every sentence of the areas that were learned is here. */
  async settled(): Promise<void> {
    await this.#pending;
  }

  say(key: string, values: Values = {}): string {
    const text = this.#chosen[key] ?? this.#english[key] ?? key;
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => this.#show(values[name]) ?? whole);
  }

  count(key: string, n: number, values: Values): string {
    const form = `${key}.${this.#rules.select(n)}`;
    return this.say(form in this.#english || form in this.#chosen ? form : `${key}.other`, { ...values, n });
  }

  number(n: number): string {
    return this.#numbers.format(n);
  }

  #show(value: string | number | undefined): string | undefined {
    return typeof value === 'number' ? this.number(value) : value;
  }

  /** An area that cannot be fetched leaves its English in place: words in the wrong language beat no words. */
  async #read(language: Language, areas: Area[]): Promise<Sentences> {
    if (language === 'en') {
      return {};
    }
    const parts = await Promise.all(
      areas.map(async (area) => {
        const texts = await this.#fetch(language, area).catch(() => ({}));
        return Object.entries(texts).map(([key, text]) => [`${area}.${key}`, text] as const);
      }),
    );
    return Object.fromEntries(parts.flat());
  }
}

function known(tag: string): Language | undefined {
  const short = tag.toLowerCase().split('-')[0];
  return languages.find((row) => row.tag === short)?.tag;
}

function browserTags(): readonly string[] {
  return globalThis.navigator?.languages ?? [];
}

function fromBrowser(): Language {
  return browserTags().map(known).find((tag) => tag !== undefined) ?? 'en';
}

function regionOf(language: Language): string {
  return browserTags().find((tag) => known(tag) === language) ?? language;
}

export const words = new Words();
words.learn('common', common);

export function learn(area: Area, english: Sentences): void {
  words.learn(area, english);
}

/** A sentence, its {placeholders} filled in. Numbers are written as the language writes them. */
export function t(key: Key, values?: Values): string {
  return words.say(key, values);
}

/** A sentence about a number: {n} is the count, and picks the form. */
export function tn(key: CountKey, n: number, values: Values = {}): string {
  return words.count(key, n, values);
}

export function number(n: number): string {
  return words.number(n);
}

const BYTE_UNITS = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const;

/** A size as people say it: 3.4 MB. */
export function bytes(n: number): string {
  const step = n < 1 ? 0 : Math.min(BYTE_UNITS.length - 1, Math.floor(Math.log10(n) / 3));
  const style = { style: 'unit', unit: BYTE_UNITS[step] ?? 'byte', unitDisplay: step === 0 ? 'long' : 'short', maximumFractionDigits: 1 } as const;
  return new Intl.NumberFormat(words.locale, style).format(n / 1000 ** step);
}

/** A share from 0 to 1, as percent. */
export function percent(share: number): string {
  return share.toLocaleString(words.locale, { style: 'percent' });
}

/** Words in a row: "a, b and c" as the language joins them. */
export function listed(items: string[]): string {
  return new Intl.ListFormat(words.locale, { type: 'conjunction' }).format(items);
}
