// Who is here. Holds the user, not the token (that is api/client's), and tells other tabs about signing out.

import { client } from '../api/client';
import type { SetupState, SignedIn, User } from '../api/types';
import { settings } from './settings.svelte';

// Not a credential: only a hint that a refresh cookie may exist, so that a stranger's first visit asks nothing in vain.
const HINT = 'troupe.was-here';
const DRAFTS = 'troupe.draft.';

class Session {
  user = $state<User | null>(null);
  setup = $state<SetupState | null>(null);
  ready = $state(false);
  failed = $state('');
  #channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('troupe-session') : null;

  isStaff = $derived(this.user?.role === 'owner' || this.user?.role === 'admin');

  async start(): Promise<void> {
    client.onSignedOut = () => this.#left();
    this.#channel?.addEventListener('message', () => this.#left());
    this.ready = false;
    this.failed = '';
    try {
      if (localStorage.getItem(HINT) && (await client.refresh())) {
        this.user = await client.get<User>('/users/me');
      } else {
        localStorage.removeItem(HINT);
        await this.readSetup();
      }
      this.ready = true;
    } catch (error) {
      this.failed = error instanceof Error ? error.message : String(error);
    }
  }

  async readSetup(): Promise<void> {
    this.setup = await client.call<SetupState>('GET', '/setup', { anonymous: true });
  }

  async createOwner(owner: { code: string; email: string; password: string; display_name: string }): Promise<void> {
    this.enter(await client.post<SignedIn>('/setup', owner, { anonymous: true }));
    if (this.setup) {
      this.setup = { ...this.setup, needed: false };
    }
  }

  async signIn(email: string, password: string): Promise<void> {
    this.enter(await client.post<SignedIn>('/auth/login', { email, password }, { anonymous: true }));
  }

  async register(person: { email: string; password: string; display_name: string; invite_code?: string }): Promise<void> {
    this.enter(await client.post<SignedIn>('/auth/register', person, { anonymous: true }));
  }

  async signOut(): Promise<void> {
    await client.post('/auth/logout');
    this.#channel?.postMessage('out');
    this.#left();
  }

  async rename(display_name: string): Promise<void> {
    this.user = await client.patch<User>('/users/me', { display_name });
  }

  enter(answer: SignedIn): void {
    client.signedIn(answer);
    localStorage.setItem(HINT, '1');
    this.user = answer.user;
  }

  /** Everything personal leaves this browser: memory by a fresh start of the page, drafts by hand. */
  #left(): void {
    client.forget();
    settings.forget();
    localStorage.removeItem(HINT);
    Object.keys(localStorage)
      .filter((key) => key.startsWith(DRAFTS))
      .forEach((key) => localStorage.removeItem(key));
    location.assign('/sign-in');
  }
}

export const session = new Session();
