// A call whose body may be long: like fetch, and it tells which share of the body has left, which only XMLHttpRequest can.

export function upload(url: string, init: RequestInit, onsent: (share: number) => void): Promise<Response> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const { signal } = init;
    request.open(init.method ?? 'POST', url);
    Object.entries((init.headers ?? {}) as Record<string, string>).forEach(([name, value]) => request.setRequestHeader(name, value));
    request.responseType = 'blob';
    request.upload.onprogress = (event) => event.lengthComputable && onsent(event.loaded / event.total);
    request.onload = () => resolve(new Response(request.status === 204 ? null : (request.response as Blob), { status: request.status, headers: headersOf(request) }));
    request.onerror = () => reject(new TypeError('the network broke'));
    request.onabort = () => reject(new DOMException('broken off', 'AbortError'));
    signal?.addEventListener('abort', () => request.abort(), { once: true });
    if (signal?.aborted) {
      reject(new DOMException('broken off', 'AbortError'));
      return;
    }
    request.send((init.body ?? null) as XMLHttpRequestBodyInit | null);
  });
}

function headersOf(request: XMLHttpRequest): Headers {
  const headers = new Headers();
  for (const line of request.getAllResponseHeaders().trim().split('\r\n')) {
    const at = line.indexOf(':');
    if (at > 0) {
      headers.append(line.slice(0, at), line.slice(at + 1).trim());
    }
  }
  return headers;
}
