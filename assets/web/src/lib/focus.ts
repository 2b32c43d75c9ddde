// Where the focus goes. When a page was changed: to its heading, so that a screen reader says where one is now and Tab goes
// on from there. A page whose heading comes with its data holds the focus on <main> until it is there.

const WAITED_MS = 5000;

export function focusHeading(main: HTMLElement): void {
  const inside = document.activeElement;
  if (inside && inside !== main && main.contains(inside)) {
    return; // the page has put it where it wants it
  }
  if (take(main)) {
    return;
  }
  main.focus({ preventScroll: true });
  const watcher = new MutationObserver(() => {
    if (document.activeElement !== main || take(main)) {
      watcher.disconnect();
    }
  });
  watcher.observe(main, { childList: true, subtree: true });
  setTimeout(() => watcher.disconnect(), WAITED_MS);
}

function take(main: HTMLElement): boolean {
  const heading = main.querySelector('h1');
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
  return heading !== null;
}

/** Opens a modal dialog; the answer closes it and gives the focus back to where it was, which a removed element does not. */
export function openModal(dialog: HTMLDialogElement): () => void {
  const before = document.activeElement;
  dialog.showModal();
  return () => {
    // The event comes later, when the next dialog may be open already: its owner must not hear of it.
    dialog.addEventListener('close', (event) => event.stopImmediatePropagation(), { capture: true, once: true });
    dialog.close();
    const lost = document.activeElement === null || document.activeElement === document.body || dialog.contains(document.activeElement);
    if (lost && before instanceof HTMLElement && before.isConnected) {
      before.focus({ preventScroll: true });
    }
  };
}
