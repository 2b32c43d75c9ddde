// What only those see who run the house. Read anew whenever a page of it is opened; nothing is kept for later.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { AuditEntry, Doctor, Job, Mail, Setting, Stats, User } from '../api/types';

/** A list that is read page by page: the first with load(), the next ones with more(). */
export class Pages<Row extends { id: Id }> {
  rows = $state.raw<Row[]>([]);
  cursor = $state<string | null>(null);
  loaded = $state(false);
  #path: string;
  #query: Record<string, string | number> = {};
  #asked = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async load(query: Record<string, string | number> = {}): Promise<void> {
    const turn = ++this.#asked;
    this.#query = query;
    const page = await client.get<Page<Row>>(this.#path, { limit: 50, ...query });
    if (turn === this.#asked) {
      this.rows = page.items;
      this.cursor = page.next_cursor;
      this.loaded = true;
    }
  }

  async more(): Promise<void> {
    if (this.cursor) {
      const page = await client.get<Page<Row>>(this.#path, { limit: 50, ...this.#query, cursor: this.cursor });
      this.rows = [...this.rows, ...page.items];
      this.cursor = page.next_cursor;
    }
  }

  /** More than the first page is shown: reading that again would take the others away. */
  get hasMore(): boolean {
    return this.rows.length > 50;
  }

  put(row: Row): void {
    this.rows = this.rows.map((old) => (old.id === row.id ? row : old));
  }
}

class Admin {
  stats = $state.raw<Stats | null>(null);
  doctor = $state.raw<Doctor | null>(null);
  settings = $state.raw<Setting[]>([]);
  people = new Pages<User>('/admin/users');
  jobs = new Pages<Job>('/admin/jobs');
  outbox = new Pages<Mail>('/admin/outbox');
  audit = new Pages<AuditEntry>('/admin/audit');

  async loadStats(): Promise<void> {
    this.stats = await client.get<Stats>('/admin/stats');
  }

  async examine(): Promise<void> {
    this.doctor = null;
    this.doctor = await client.get<Doctor>('/admin/doctor');
  }

  async loadSettings(): Promise<void> {
    this.settings = (await client.get<{ items: Setting[] }>('/admin/settings')).items;
  }

  /** null goes back to what the file or the program says. */
  async changeSetting(name: string, value: string | number | boolean | null): Promise<void> {
    await client.patch('/admin/settings', { [name]: value });
    await this.loadSettings();
  }

  async changePerson(id: Id, change: { role?: User['role']; disabled?: boolean }): Promise<void> {
    this.people.put(await client.patch<User>(`/admin/users/${id}`, change));
  }

  async readMail(id: Id): Promise<Mail> {
    return client.get<Mail>(`/admin/outbox/${id}`);
  }

  async sendMail(id: Id): Promise<void> {
    this.outbox.put(await client.post<Mail>(`/admin/outbox/${id}/send`));
  }

  async testMail(): Promise<void> {
    await client.post<Mail>('/admin/outbox/test');
    await this.outbox.load();
  }

  async steerJob(id: Id, verb: 'retry' | 'cancel'): Promise<void> {
    await client.post(`/admin/jobs/${id}/${verb}`);
    await this.jobs.load();
  }
}

export const admin = new Admin();
