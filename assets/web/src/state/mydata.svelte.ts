// What is kept of this person: counted, and as a file that is made in the background.

import { client } from '../api/client';
import type { Archive, PersonData } from '../api/types';

const NAME = 'troupe-about-me.zip';

class MyData {
  counts = $state.raw<PersonData | null>(null);
  archive = $state.raw<Archive | null>(null);

  async load(): Promise<void> {
    [this.counts, this.archive] = await Promise.all([client.get<PersonData>('/users/me/data'), client.get<Archive>('/users/me/export')]);
  }

  async look(): Promise<void> {
    this.archive = await client.get<Archive>('/users/me/export');
  }

  async prepare(): Promise<void> {
    this.archive = await client.post<Archive>('/users/me/export');
  }

  async stop(): Promise<void> {
    if (this.archive?.job_id) {
      await client.post(`/jobs/${this.archive.job_id}/cancel`);
    }
    await this.look();
  }

  /** The browser keeps what is large on its disk until it is saved. */
  async download(): Promise<void> {
    const response = await client.send('GET', '/users/me/export/file', {});
    const url = URL.createObjectURL(await response.blob());
    const link = document.createElement('a');
    link.href = url;
    link.download = NAME;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }
}

export const mydata = new MyData();
