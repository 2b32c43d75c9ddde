// The models that speak for the characters: what runs on this box, what is registered, in which order it is asked.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { DiscoveredServer, Model, ModelTest, Route } from '../api/types';

export type ModelDraft = {
  name: string;
  provider: Model['provider'];
  base_url: string;
  model: string;
  api_key?: string;
  context_tokens?: number;
};

const DEFAULT_ROUTE = 'default';

class Models {
  list = $state.raw<Model[]>([]);
  loaded = $state(false);
  /** What answered on this machine; null before anybody looked. */
  found = $state.raw<DiscoveredServer[] | null>(null);
  discovering = $state(false);

  async load(): Promise<void> {
    this.list = (await client.get<Page<Model>>('/admin/models', { limit: 100 })).items;
    this.loaded = true;
  }

  async discover(): Promise<void> {
    this.discovering = true;
    try {
      this.found = (await client.post<{ items: DiscoveredServer[] }>('/setup/discover')).items;
    } finally {
      this.discovering = false;
    }
  }

  /** Registers a model and puts it first in the default route, so that the next reply comes from it. */
  async add(draft: ModelDraft): Promise<Model> {
    const made = await client.post<Model>('/admin/models', draft);
    await this.#putFirst(made.id);
    await this.load();
    return made;
  }

  async #putFirst(id: Id): Promise<void> {
    const { routes } = await client.get<{ routes: Route[] }>('/admin/routes');
    const others = routes.filter((route) => route.name !== DEFAULT_ROUTE);
    const before = routes.find((route) => route.name === DEFAULT_ROUTE)?.model_ids ?? [];
    const first = { name: DEFAULT_ROUTE, model_ids: [id, ...before.filter((other) => other !== id)] };
    await client.put('/admin/routes', { routes: [first, ...others] });
  }

  test(id: Id): Promise<ModelTest> {
    return client.post<ModelTest>(`/admin/models/${id}/test`);
  }

  async setEnabled(id: Id, is_enabled: boolean): Promise<void> {
    await client.patch<Model>(`/admin/models/${id}`, { is_enabled });
    await this.load();
  }

  async remove(id: Id): Promise<void> {
    await client.delete(`/admin/models/${id}`);
    await this.load();
  }
}

export const models = new Models();
