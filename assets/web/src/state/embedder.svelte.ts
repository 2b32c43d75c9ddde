// What memory by meaning is made with: the encoder in use, how far it is, and the change under way.

import { client } from '../api/client';
import type { Embedder as Now, EmbedderTest } from '../api/types';

export type EmbedderDraft = { provider: Now['provider']; base_url?: string; model?: string; api_key?: string };

class Embedder {
  now = $state.raw<Now | null>(null);

  async load(): Promise<void> {
    this.now = await client.get<Now>('/admin/embedder');
  }

  test(draft: EmbedderDraft): Promise<EmbedderTest> {
    return client.post<EmbedderTest>('/admin/embedder/test', draft);
  }

  /** It is tried first; then everything is embedded anew in the background, and it takes over. */
  async choose(draft: EmbedderDraft): Promise<void> {
    this.now = await client.put<Now>('/admin/embedder', draft);
  }

  async giveUp(): Promise<void> {
    this.now = await client.delete<Now>('/admin/embedder/next');
  }

  async reindex(): Promise<void> {
    this.now = await client.post<Now>('/admin/embedder/reindex');
  }
}

export const embedder = new Embedder();
