// Cards on their way in, from a drop anywhere or from the button, and the report when they have arrived.

import type { ImportReport } from '../api/types';
import { reasonOf } from '../api/client';
import { characters } from './characters.svelte';

const FILES_AT_ONCE = 20;

class Imports {
  busy = $state(0);
  report = $state.raw<ImportReport | null>(null);

  /** Sends the files in batches; a batch that fails as a whole is reported file by file. */
  async take(files: File[]): Promise<void> {
    if (files.length === 0 || this.busy > 0) {
      return;
    }
    const items: ImportReport['items'] = [];
    for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
      const batch = files.slice(at, at + FILES_AT_ONCE);
      this.busy = files.length - at;
      try {
        items.push(...(await characters.importFiles(batch)).items);
      } catch (error) {
        items.push(...batch.map((file) => ({ file: file.name, status: 'failed' as const, error: reasonOf(error), warnings: [] })));
      }
    }
    this.busy = 0;
    this.report = { items };
    await characters.again();
  }

  dismiss(): void {
    this.report = null;
  }
}

export const imports = new Imports();
