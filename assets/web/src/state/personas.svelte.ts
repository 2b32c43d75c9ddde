// "Who I am" cards of this person.

import { client } from '../api/client';
import type { Id, Page } from '../api/common';
import type { Persona } from '../api/types';

export type PersonaDraft = { name: string; description: string; is_default?: boolean };

class Personas {
  list = $state.raw<Persona[]>([]);
  loaded = $state(false);

  async load(): Promise<void> {
    this.list = (await client.get<Page<Persona>>('/users/me/personas', { limit: 100 })).items;
    this.loaded = true;
  }

  async save(draft: PersonaDraft, id?: Id): Promise<void> {
    await (id
      ? client.patch<Persona>(`/users/me/personas/${id}`, draft)
      : client.post<Persona>('/users/me/personas', draft));
    await this.load();
  }

  async setPicture(id: Id, picture: File): Promise<void> {
    await client.call('PUT', `/users/me/personas/${id}/avatar`, { file: picture });
    await this.load();
  }

  async remove(id: Id): Promise<void> {
    await client.delete(`/users/me/personas/${id}`);
    this.list = this.list.filter((row) => row.id !== id);
  }
}

export const personas = new Personas();
