// A character's own lorebook, as a card holds it, for editing: what this form does not know stays where it is, entry by entry.
// Character Card V2 and V3: `character_book.entries[]` with keys, content, enabled, insertion_order, constant, ...

import { splitList } from './text';

type Raw = Record<string, unknown>;

export interface LoreRow {
  /** The entry as it came; a new one begins with what every reader needs. */
  raw: Raw;
  name: string;
  /** Separated by commas. */
  keys: string;
  content: string;
  enabled: boolean;
  constant: boolean;
}

const isRaw = (value: unknown): value is Raw => typeof value === 'object' && value !== null && !Array.isArray(value);

export function readBook(book: unknown): LoreRow[] {
  const entries = isRaw(book) && Array.isArray(book['entries']) ? (book['entries'] as unknown[]) : [];
  return entries.filter(isRaw).map((raw) => ({
    raw,
    name: typeof raw['name'] === 'string' ? raw['name'] : typeof raw['comment'] === 'string' ? raw['comment'] : '',
    keys: Array.isArray(raw['keys']) ? raw['keys'].filter((key) => typeof key === 'string').join(', ') : '',
    content: typeof raw['content'] === 'string' ? raw['content'] : '',
    enabled: raw['enabled'] !== false,
    constant: raw['constant'] === true,
  }));
}

export function newRow(rows: readonly LoreRow[]): LoreRow {
  const order = Math.max(0, ...rows.map((row) => Number(row.raw['insertion_order']) || 0)) + 10;
  return { raw: { insertion_order: order, use_regex: false, extensions: {} }, name: '', keys: '', content: '', enabled: true, constant: false };
}

/** null when nothing is left: the character has no book then. */
export function writeBook(book: unknown, rows: readonly LoreRow[]): Raw | null {
  const kept = rows.filter((row) => row.content.trim() !== '' || row.keys.trim() !== '');
  if (kept.length === 0) {
    return null;
  }
  const entries = kept.map(({ raw, name, keys, content, enabled, constant }) => ({
    ...raw,
    ...(name !== '' || 'name' in raw ? { name } : {}),
    keys: splitList(keys),
    content,
    enabled,
    constant,
  }));
  return { extensions: {}, ...(isRaw(book) ? book : {}), entries };
}
