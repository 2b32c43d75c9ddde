// Where the person is: the address bar as state. Links stay ordinary links; a click on one of ours only moves the place.

class Place {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));

  start(): void {
    addEventListener('popstate', () => this.#read());
    document.addEventListener('click', (event) => this.#onClick(event));
  }

  go(to: string, options: { replace?: boolean } = {}): void {
    if (to !== location.pathname + location.search) {
      history[options.replace ? 'replaceState' : 'pushState'](null, '', to);
    }
    this.#read();
  }

  #read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }

  #onClick(event: MouseEvent): void {
    const link = (event.target as Element | null)?.closest?.('a');
    const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
    if (!link || !plain || event.defaultPrevented || link.target || link.hasAttribute('download') || link.dataset['reload'] !== undefined) {
      return;
    }
    if (link.origin === location.origin && !link.pathname.startsWith('/api/') && !link.hash) {
      event.preventDefault();
      this.go(link.pathname + link.search);
    }
  }
}

export const place = new Place();
