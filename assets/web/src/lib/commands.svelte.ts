// What the command palette can do. A page offers its own commands while it is shown:
//
//   $effect(() => offer(() => [{ id: 'chat.export', title: t('chat.export'), icon: 'download', run: save }]));
//
// The list is asked for when the palette is open, so that it may depend on anything.

import type { IconName } from './icons';
import type { Combo } from './keys';

export interface Command {
  /** Stable: two commands with one id are one, and the later offer wins. */
  id: string;
  title: string;
  /** A second line: where a page leads, whose conversation it is. */
  about?: string;
  icon?: IconName;
  combo?: Combo;
  /** Found by these words too. */
  also?: string;
  run: () => unknown;
}
type Source = () => Command[];

let sources = $state.raw<Source[]>([]);

/** Adds commands; the answer takes them back. */
export function offer(source: Source): () => void {
  sources = [...sources, source];
  return () => {
    sources = sources.filter((row) => row !== source);
  };
}

/** Everything that is offered now, what the page offers first. */
export function offered(): Command[] {
  const all = new Map<string, Command>();
  for (const source of [...sources].reverse()) {
    source().forEach((command) => all.has(command.id) || all.set(command.id, command));
  }
  return [...all.values()];
}
