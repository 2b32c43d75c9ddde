// The main places of the house, in the order of the bar. A place shows when the person may see it.

import type { IconName } from '../lib/icons';
import type { Key } from '../lib/i18n.svelte';
import { session } from '../state/session.svelte';

export interface MainPlace {
  path: string;
  label: Key;
  icon: IconName;
  staff?: boolean;
  /** The bar writes the person's name here where it has the room. */
  person?: boolean;
}

const all: MainPlace[] = [
  { path: '/', label: 'common.stage', icon: 'stage' },
  { path: '/discover', label: 'common.discover', icon: 'compass' },
  { path: '/chats', label: 'common.chats', icon: 'chat' },
  { path: '/admin', label: 'common.admin', icon: 'shield', staff: true },
  { path: '/profile', label: 'common.settings', icon: 'person', person: true },
];

export function mainPlaces(): MainPlace[] {
  return all.filter((row) => !row.staff || session.isStaff);
}

/** True when the address is this place or below it. */
export function isAt(row: MainPlace, path: string): boolean {
  return row.path === '/' ? path === '/' : path === row.path || path.startsWith(`${row.path}/`);
}
