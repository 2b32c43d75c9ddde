// The table of pages: path, who may see it, and the page, read from its own chunk when it is first wanted.
// `:name` is one segment and becomes a prop of the page.

import type { Component } from 'svelte';
import type { Key } from './lib/i18n.svelte';
import { rooms } from './state/rooms.svelte';

export interface PageRoute {
  path: string;
  title: Key;
  /** Seen without an account; everything else asks for a sign-in first. */
  open?: boolean;
  /** The page fills the window and scrolls inside. */
  full?: boolean;
  load: () => Promise<{ default: Component<Record<string, string>> }>;
  /** Asks for the data of the page before the page is there to do so. */
  ahead?: (params: Record<string, string>) => void;
}

type Loader = PageRoute['load'];
const page = (load: () => Promise<unknown>): Loader => load as Loader;

export const routes: PageRoute[] = [
  { path: '/', title: 'common.the_stage', load: page(() => import('./pages/Home.svelte')) },
  { path: '/discover', title: 'common.discover', load: page(() => import('./pages/Discover.svelte')) },
  { path: '/setup', title: 'common.title_set_up', open: true, load: page(() => import('./pages/Setup.svelte')) },
  { path: '/sign-in', title: 'common.title_sign_in', open: true, load: page(() => import('./pages/SignIn.svelte')) },
  { path: '/register', title: 'common.title_register', open: true, load: page(() => import('./pages/Register.svelte')) },
  { path: '/forgotten', title: 'common.title_forgotten', open: true, load: page(() => import('./pages/Forgotten.svelte')) },
  { path: '/reset', title: 'common.title_reset', open: true, load: page(() => import('./pages/Reset.svelte')) },
  { path: '/verify', title: 'common.title_verify', open: true, load: page(() => import('./pages/Verify.svelte')) },
  { path: '/character/new', title: 'common.title_new_character', load: page(() => import('./pages/Editor.svelte')) },
  { path: '/character/:id', title: 'common.title_character', load: page(() => import('./pages/Character.svelte')) },
  { path: '/character/:id/edit', title: 'common.title_edit_character', load: page(() => import('./pages/Editor.svelte')) },
  { path: '/character/:id/history', title: 'common.title_history', load: page(() => import('./pages/Revisions.svelte')) },
  { path: '/chat/:id', title: 'common.title_conversation', full: true, ahead: ({ id = '' }) => rooms.expect(id), load: page(() => import('./pages/Chat.svelte')) },
  { path: '/chats', title: 'common.chats', load: page(() => import('./pages/Chats.svelte')) },
  { path: '/admin', title: 'common.admin', load: page(() => import('./pages/Admin.svelte')) },
  { path: '/admin/:section', title: 'common.admin', load: page(() => import('./pages/Admin.svelte')) },
  { path: '/profile', title: 'common.settings', load: page(() => import('./pages/Profile.svelte')) },
  { path: '/profile/:section', title: 'common.settings', load: page(() => import('./pages/Profile.svelte')) },
];

const missing: PageRoute = { path: '', title: 'common.not_found', load: page(() => import('./pages/NotFound.svelte')) };

export interface Match {
  route: PageRoute;
  params: Record<string, string>;
}

export function matchRoute(path: string): Match {
  const parts = path.split('/').filter(Boolean);
  for (const route of routes) {
    const pattern = route.path.split('/').filter(Boolean);
    const params: Record<string, string> = {};
    const fits =
      pattern.length === parts.length &&
      pattern.every((piece, at) => {
        const part = parts[at] ?? '';
        if (piece.startsWith(':')) {
          params[piece.slice(1)] = part;
          return true;
        }
        return piece === part;
      });
    if (fits) {
      return { route, params };
    }
  }
  return { route: missing, params: {} };
}
