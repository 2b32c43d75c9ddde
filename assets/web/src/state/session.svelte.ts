// Who is here. Holds the user, not the token (that is api/client's), and tells other tabs about signing out.

import { client, isUnreachable } from '../api/client';
import { kept } from '../api/kept';
import type { Leave, SetupState, SignedIn, User } from '../api/types';
import { settings } from './settings.svelte';

// Not a credential: only who was here last, so that a stranger's first visit asks nothing in vain.
const HINT = 'troupe.was-here';
const ASK_AGAIN_MS = 8000;
const DRAFTS = 'troupe.draft.';

class Session {
  user = $state<User | null>(null);
  setup = $state<SetupState | null>(null);
  ready = $state(false);
  failed = $state('');
  /** The server cannot be reached: what is shown was kept from before. */
  away = $state(false);
  #channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('troupe-session') : null;

  isStaff = $derived(this.user?.role === 'owner' || this.user?.role === 'admin');

  /** Somebody was here before, so they are expected again: what their page needs may be asked for already. */
  get isExpected(): boolean {
    return localStorage.getItem(HINT) !== null;
  }

  /** `soon` is called once it is known who is here, before anything of it is drawn. */
  async start(soon = (): void => {}): Promise<void> {
    client.onSignedOut = () => this.#left();
    client.kept = kept;
    this.#channel?.addEventListener('message', () => this.#left());
    this.ready = false;
    this.failed = '';
    try {
      const person = localStorage.getItem(HINT);
      if (person && (await client.refresh()) && client.user) {
        this.#welcome(client.user);
        soon();
      } else {
        localStorage.removeItem(HINT);
        await this.readSetup();
      }
      this.ready = true;
    } catch (error) {
      if (!(await this.#fromKept(error))) {
        this.failed = error instanceof Error ? error.message : String(error);
      }
    }
  }

  /** Without a server, but with what it said before: the app opens to be read, and asks again until it is answered. */
  async #fromKept(error: unknown): Promise<boolean> {
    const person = localStorage.getItem(HINT);
    if (!person || !isUnreachable(error)) {
      return false;
    }
    kept.open(person);
    const user = (await kept.read('/users/me', '')) as User | undefined;
    if (!user) {
      return false;
    }
    this.user = user;
    this.away = true;
    this.ready = true;
    this.#comeBack();
    return true;
  }

  #comeBack(): void {
    const ask = async (): Promise<void> => {
      if (this.away && (await client.refresh())) {
        this.away = false;
        clearInterval(timer);
        removeEventListener('online', knock);
      } else if (this.away) {
        this.#left();
      }
    };
    const knock = (): void => void ask().catch(() => {});
    const timer = setInterval(knock, ASK_AGAIN_MS);
    addEventListener('online', knock);
  }

  #welcome(user: User): void {
    this.user = user;
    localStorage.setItem(HINT, user.id);
    kept.open(user.id);
    void kept.keep('/users/me', '', user);
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

  /** True when this opened an account again that was to be erased. */
  async signIn(email: string, password: string): Promise<boolean> {
    const answer = await client.post<SignedIn>('/auth/login', { email, password }, { anonymous: true });
    this.enter(answer);
    return answer.has_returned;
  }

  /** False when the address must be confirmed first: a link is on its way there. */
  async register(person: { email: string; password: string; display_name: string; invite_code?: string }): Promise<boolean> {
    const answer = await client.post<SignedIn | undefined>('/auth/register', person, { anonymous: true });
    if (answer) {
      this.enter(answer);
    }
    return answer !== undefined;
  }

  async readMe(): Promise<void> {
    this.user = await client.get<User>('/users/me');
  }

  async signOut(): Promise<void> {
    await client.freshToken();
    client.leave(true);
    try {
      await client.post('/auth/logout');
    } catch (error) {
      client.leave(false);
      throw error;
    }
    this.#channel?.postMessage('out');
    this.#left();
  }

  /** The account is closed, and erased after some days or at once; the door says until when it can be opened again. */
  async closeAccount(password: string, at_once: boolean): Promise<void> {
    await client.freshToken();
    client.leave(true);
    try {
      const { erase_at } = await client.call<Leave>('DELETE', '/users/me', { body: { password, at_once } });
      this.#channel?.postMessage('out');
      this.#left(at_once ? 'now' : erase_at);
    } catch (error) {
      client.leave(false);
      throw error;
    }
  }

  async rename(display_name: string): Promise<void> {
    this.user = await client.patch<User>('/users/me', { display_name });
  }

  async setPicture(picture: File): Promise<void> {
    await client.call('PUT', '/users/me/avatar', { file: picture });
    this.user = await client.get<User>('/users/me');
  }

  async changePassword(current_password: string, new_password: string): Promise<void> {
    await client.post('/auth/password', { current_password, new_password });
  }

  /** Only whether it is an adult's is kept. */
  async declareAge(birth_date: string): Promise<void> {
    this.user = await client.post<User>('/auth/verify-age', { birth_date });
  }

  enter(answer: SignedIn): void {
    client.signedIn(answer);
    this.#welcome(answer.user);
  }

  /** Everything personal leaves this browser: memory by a fresh start of the page, drafts by hand. */
  #left(closed = ''): void {
    client.leave(true);
    client.forget();
    settings.forget();
    localStorage.removeItem(HINT);
    Object.keys(localStorage)
      .filter((key) => key.startsWith(DRAFTS))
      .forEach((key) => localStorage.removeItem(key));
    void kept.forget().finally(() => location.assign(closed ? `/sign-in?left=${encodeURIComponent(closed)}` : '/sign-in'));
  }
}

export const session = new Session();
