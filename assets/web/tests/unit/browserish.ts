// The few things of a browser that state modules touch when they are loaded.
import { File as NodeFile } from 'node:buffer';
import { webcrypto } from 'node:crypto';

const kept = new Map<string, string>();
if (!('crypto' in globalThis)) {
  Object.assign(globalThis, { crypto: webcrypto }); // Node 18
}
if (!('File' in globalThis)) {
  Object.assign(globalThis, { File: NodeFile }); // Node 18
}
Object.assign(globalThis, {
  location: { pathname: '/', search: '', origin: 'http://x' },
  document: { documentElement: { dataset: {} }, querySelector: () => null, addEventListener: () => {} },
  matchMedia: () => ({ matches: false, addEventListener: () => {} }),
  localStorage: {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  },
});
