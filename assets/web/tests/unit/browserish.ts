// The few things of a browser that state modules touch when they are loaded.
const kept = new Map<string, string>();
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
export {};
