// The whole keyboard in one place: which presses are commands, and what the help overlay says of them. A component asks
// `pressed(event, 'palette')`; a new shortcut gets its row here, and the build fails until lib/shortcuts.ts has words for it.

import { t } from './i18n.svelte';

/** "Mod" is Ctrl, or Cmd on a Mac. Several combinations of one command are alternatives. */
export const combos = {
  palette: ['Mod+K'],
  help: ['F1', '?'],
  close: ['Escape'],
  send: ['Enter'],
  save: ['Mod+Enter'],
  newLine: ['Shift+Enter'],
  editLast: ['ArrowUp'],
  editReply: ['Mod+ArrowUp'],
  again: ['Mod+Enter'],
  goOn: ['Alt+Enter'],
  stop: ['Escape'],
  previous: ['ArrowLeft'],
  next: ['ArrowRight'],
} as const;
export type Combo = keyof typeof combos;

/** True while the press belongs to a field that takes text, so that commands must stay quiet. */
export function isTyping(event: KeyboardEvent): boolean {
  const target = event.target as HTMLElement | null;
  return (
    event.isComposing ||
    (target !== null && (/^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.isContentEditable))
  );
}

export function isSend(event: KeyboardEvent): boolean {
  return event.key === 'Enter' && !event.shiftKey && !event.isComposing;
}

export function isSave(event: KeyboardEvent): boolean {
  return pressed(event, 'save');
}

export function isPlain(event: KeyboardEvent): boolean {
  return !event.ctrlKey && !event.metaKey && !event.altKey && !event.shiftKey;
}

export function pressed(event: KeyboardEvent, what: Combo): boolean {
  return !event.isComposing && combos[what].some((combo) => matches(event, combo));
}

function matches(event: KeyboardEvent, combo: string): boolean {
  const parts = combo.split('+');
  const key = parts[parts.length - 1] ?? '';
  const wants = (name: string): boolean => parts.slice(0, -1).includes(name);
  const same = key.length === 1 ? event.key.toLowerCase() === key.toLowerCase() : event.key === alongReading(key);
  // A sign like "?" needs Shift on one keyboard and none on another.
  const shift = /^[^a-z0-9]$/i.test(key) || wants('Shift') === event.shiftKey;
  return same && shift && wants('Mod') === (event.ctrlKey || event.metaKey) && wants('Alt') === event.altKey;
}

const TURNED: Record<string, string> = { ArrowLeft: 'ArrowRight', ArrowRight: 'ArrowLeft' };

/** The arrow that leads back points to where reading begins: to the left here, to the right in Arabic. */
function alongReading(key: string): string {
  return t('common.direction') === 'rtl' ? (TURNED[key] ?? key) : key;
}

const isMac = /Mac|iPhone|iPad/.test(globalThis.navigator?.platform ?? '');
const SIGNS: Record<string, string> = { ArrowUp: '↑', ArrowDown: '↓', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc', Mod: isMac ? '⌘' : 'Ctrl' };

/** The keys of a combination as they stand on the keyboard: ["Ctrl", "K"]. */
export function keyCaps(combo: string): string[] {
  return combo.split('+').map((key) => SIGNS[alongReading(key)] ?? key);
}
