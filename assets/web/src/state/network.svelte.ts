// Whether the browser believes that it has a network. A server that is down while the network is there is told by whoever
// asked it; this is for the sentence above the page and for what is read from what was kept.

class Network {
  online = $state(globalThis.navigator?.onLine ?? true);

  start(): void {
    addEventListener('online', () => (this.online = true));
    addEventListener('offline', () => (this.online = false));
  }
}

export const network = new Network();
