// Where the sentences of the other languages are: each area a chunk of its own, fetched when that language is shown.
// Apart from i18n.svelte.ts because only Vite knows import.meta.glob; the unit tests read the files themselves.

import type { Area, Language } from './i18n.svelte';

const chunks = import.meta.glob<Record<string, string>>(['../../../locales/*/*.json', '!../../../locales/en/*.json'], { import: 'default' });

export function fetchWords(language: Language, area: Area): Promise<Record<string, string>> {
  return chunks[`../../../locales/${language}/${area}.json`]?.() ?? Promise.resolve({});
}
