// The service worker: the app opens without a network, and takes what other apps share with it.
//
// It knows three things and leaves everything else to the browser:
//   the shell     pages are asked from the server and, when it does not answer, come from what was kept at installation;
//                 files with a hash in their name never change and are kept once read
//   pictures      /api/v1/media/<hash>, the faces in a list of chats; the newest two hundred
//   what is shared   a POST to /share from the system's share sheet is put aside and the app is opened to ask about it
//
// No answer of the API but pictures passes through here, so no token and nothing of an account is ever kept by it: what
// the app keeps for reading offline it keeps itself, by account (src/api/kept.ts).
// A new worker waits until the page says so, because two versions of the app must not mix in one page.

const worker = self as unknown as ServiceWorkerGlobalScope;
/** Put in by vite.config.ts: which files are the shell, and a name for exactly these. */
declare const __SHELL__: { version: string; files: string[] };

const SHELL = `troupe-shell-${__SHELL__.version}`;
const PICTURES = 'troupe-pictures';
const SHARED = 'troupe-shared';
const PICTURES_KEPT = 200;
const SHARED_LIMIT = 100;
const PATIENCE_MS = 4000; // a server that does not answer for so long is as good as none, while there is a shell

worker.addEventListener('install', (event) => {
  event.waitUntil(
    caches.open(SHELL).then((cache) => cache.addAll(__SHELL__.files.map((file) => new Request(file, { cache: 'no-cache' })))),
  );
});

worker.addEventListener('activate', (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter((name) => name.startsWith('troupe-shell-') && name !== SHELL).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

/** The page asks whether this worker is of the same build, and tells it to take over. */
worker.addEventListener('message', (event) => {
  const { type, entry } = event.data as { type?: string; entry?: string };
  if (type === 'same?') {
    event.ports[0]?.postMessage(__SHELL__.files.includes(entry ?? ''));
  } else if (type === 'take over') {
    void worker.skipWaiting();
  }
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== worker.location.origin) {
    return;
  }
  if (request.method === 'POST' && url.pathname === '/share') {
    event.respondWith(takeShared(request));
  } else if (request.method !== 'GET' || request.headers.has('range')) {
    return;
  } else if (request.mode === 'navigate') {
    if (!/^\/(api|v1|ws|socket\.io)(\/|$)/.test(url.pathname)) {
      event.respondWith(openPage(request));
    }
  } else if (url.pathname.startsWith('/assets/')) {
    event.respondWith(fromCacheFirst(request, SHELL));
  } else if (url.pathname.startsWith('/api/v1/media/') && request.destination === 'image') {
    event.respondWith(picture(request));
  } else if (__SHELL__.files.includes(url.pathname)) {
    event.respondWith(fetch(request).catch(() => kept(url.pathname)));
  }
});

async function openPage(request: Request): Promise<Response> {
  const shell = await caches.match('/', { cacheName: SHELL });
  const asked = fetch(request);
  if (!shell) {
    return asked;
  }
  asked.catch(() => {}); // it may still fail after the shell was shown
  const tired = new Promise<Response>((resolve) => setTimeout(() => resolve(shell), PATIENCE_MS));
  return Promise.race([asked.catch(() => shell), tired]);
}

async function kept(path: string): Promise<Response> {
  return (await caches.match(path, { cacheName: SHELL })) ?? Response.error();
}

async function fromCacheFirst(request: Request, name: string): Promise<Response> {
  const found = await caches.match(request, { ignoreVary: true });
  if (found) {
    return found;
  }
  const answer = await fetch(request);
  if (answer.ok) {
    const cache = await caches.open(name);
    await cache.put(request, answer.clone());
  }
  return answer;
}

async function picture(request: Request): Promise<Response> {
  const answer = await fromCacheFirst(request, PICTURES);
  const cache = await caches.open(PICTURES);
  const keys = await cache.keys();
  await Promise.all(keys.slice(0, Math.max(0, keys.length - PICTURES_KEPT)).map((key) => cache.delete(key)));
  return answer;
}

/** Puts the files aside under numbers, their names in a header; the app asks before it does anything with them. */
async function takeShared(request: Request): Promise<Response> {
  const form = await request.formData();
  const files = form.getAll('cards').filter((part): part is File => part instanceof File);
  await caches.delete(SHARED);
  const cache = await caches.open(SHARED);
  await Promise.all(
    files.slice(0, SHARED_LIMIT).map((file, at) =>
      cache.put(`/shared/${at}`, new Response(file, { headers: { 'X-Name': encodeURIComponent(file.name), 'Content-Type': file.type || 'application/octet-stream' } })),
    ),
  );
  return Response.redirect('/?shared=1', 303);
}
