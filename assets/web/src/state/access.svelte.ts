// The ways into this account: sessions on devices, API keys for programs; and for staff, invitations for others.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { ApiKey, Invite, Session } from '../api/types';

class Access {
  sessions = $state.raw<Session[]>([]);
  keys = $state.raw<ApiKey[]>([]);
  invites = $state.raw<Invite[]>([]);

  async loadSessions(): Promise<void> {
    this.sessions = (await client.get<Page<Session>>('/auth/sessions', { limit: 100 })).items;
  }

  async endSession(id: Id): Promise<void> {
    await client.delete(`/auth/sessions/${id}`);
    this.sessions = this.sessions.filter((row) => row.id !== id);
  }

  async loadKeys(): Promise<void> {
    this.keys = (await client.get<Page<ApiKey>>('/auth/api-keys', { limit: 100 })).items;
  }

  /** The only time that the key itself is seen. */
  async createKey(name: string, scopes: string[]): Promise<ApiKey> {
    const made = await client.post<ApiKey>('/auth/api-keys', { name, scopes });
    await this.loadKeys();
    return made;
  }

  async revokeKey(id: Id): Promise<void> {
    await client.delete(`/auth/api-keys/${id}`);
    this.keys = this.keys.filter((row) => row.id !== id);
  }

  async loadInvites(): Promise<void> {
    this.invites = (await client.get<Page<Invite>>('/admin/invites', { limit: 100 })).items;
  }

  async createInvite(note: string): Promise<Invite> {
    const made = await client.post<Invite>('/admin/invites', { note });
    await this.loadInvites();
    return made;
  }

  async revokeInvite(id: Id): Promise<void> {
    await client.delete(`/admin/invites/${id}`);
    this.invites = this.invites.filter((row) => row.id !== id);
  }
}

export const access = new Access();
