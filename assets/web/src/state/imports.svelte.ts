// Cards on their way in, from a drop anywhere or from the button, and the report when they have arrived.

import type { ImportReport } from '../api/types';
import { reasonOf } from '../api/client';
import { characters } from './characters.svelte';

const FILES_AT_ONCE = 20;
const SHARED = 'troupe-shared'; // where the service worker puts what other apps share

class Imports {
  busy = $state(0);
  report = $state.raw<ImportReport | null>(null);
  /** Shared with the app by another one, and not asked about yet. */
  shared = $state.raw<File[]>([]);

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

  /** Takes what was put aside; it is imported only when the person says so, because any page could have sent it. */
  async readShared(): Promise<void> {
    if (!globalThis.caches || !(await caches.has(SHARED))) {
      return;
    }
    const cache = await caches.open(SHARED);
    const answers = await Promise.all((await cache.keys()).map((key) => cache.match(key)));
    await caches.delete(SHARED);
    this.shared = await Promise.all(
      answers.flatMap((answer) => (answer ? [answer] : [])).map(async (answer) => {
        const body = await answer.blob();
        return new File([body], decodeURIComponent(answer.headers.get('X-Name') ?? ''), { type: body.type });
      }),
    );
  }

  async answerShared(wanted: boolean): Promise<void> {
    const files = this.shared;
    this.shared = [];
    if (wanted) {
      await this.take(files);
    }
  }

  dismiss(): void {
    this.report = null;
  }
}

export const imports = new Imports();
