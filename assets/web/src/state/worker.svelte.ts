// The service worker from the page's side: registered, asked after news, and told when it may take over.
//
// A page comes from the server whenever there is one, so a fresh page is the newest already; a worker of the same build
// takes over without a word. Only a page that stayed open while Troupe was updated asks whether to load the new one.

const LOOK_AGAIN_MS = 60 * 60 * 1000;

class Worker {
  /** A newer Troupe waits; calling it loads the page anew. */
  update = $state.raw<(() => void) | null>(null);
  #reloads = false;

  async start(): Promise<void> {
    const workers = globalThis.navigator?.serviceWorker;
    if (!workers || !import.meta.env.PROD) {
      return;
    }
    await quiet();
    workers.addEventListener('controllerchange', () => this.#reloads && location.reload());
    try {
      const registration = await workers.register(address() as string, { updateViaCache: 'none' });
      this.#watch(registration);
      setInterval(() => void registration.update().catch(() => {}), LOOK_AGAIN_MS);
      addEventListener('online', () => void registration.update().catch(() => {}));
    } catch {
      // Without a worker the app works as it did before there were any: with a network.
    }
  }

  #watch(registration: ServiceWorkerRegistration): void {
    void this.#consider(registration.waiting);
    registration.addEventListener('updatefound', () => {
      const coming = registration.installing;
      coming?.addEventListener('statechange', () => coming.state === 'installed' && void this.#consider(registration.waiting));
    });
  }

  async #consider(waiting: ServiceWorker | null): Promise<void> {
    if (!waiting || !navigator.serviceWorker.controller) {
      return; // the first one takes over by itself
    }
    if (await isSame(waiting)) {
      waiting.postMessage({ type: 'take over' });
      return;
    }
    this.update = () => {
      this.#reloads = true;
      waiting.postMessage({ type: 'take over' });
    };
  }
}

/** The first paint goes before everything that can wait. */
async function quiet(): Promise<void> {
  if (document.readyState !== 'complete') {
    await new Promise((resolve) => addEventListener('load', resolve, { once: true }));
  }
  await new Promise<void>((resolve) => ('requestIdleCallback' in globalThis ? requestIdleCallback(() => resolve(), { timeout: 5000 }) : setTimeout(resolve, 1000)));
}

/** Where the browser has Trusted Types a worker's address must come from a policy; this one knows a single address. */
function address(): unknown {
  const types = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): unknown } } }).trustedTypes;
  return types ? types.createPolicy('troupe-worker', { createScriptURL: () => '/sw.js' }).createScriptURL('') : '/sw.js';
}

/** True when the worker's shell holds the very script that runs here. */
function isSame(waiting: ServiceWorker): Promise<boolean> {
  const channel = new MessageChannel();
  const entry = document.querySelector<HTMLScriptElement>('script[type=module]')?.src ?? '';
  return new Promise((resolve) => {
    channel.port1.onmessage = (event) => resolve(event.data === true);
    waiting.postMessage({ type: 'same?', entry: new URL(entry, location.origin).pathname }, [channel.port2]);
  });
}

export const worker = new Worker();
