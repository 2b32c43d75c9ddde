// A form of files as one body (RFC 7578) whose bytes are known before it leaves: where each file begins, so that a person can be told
// how far each of them is, and the same bytes when it is sent again, which FormData with its new boundary each time does not give.

export interface FilesForm {
  /** Its type names the boundary. */
  body: Blob;
  /** At which byte each file begins. */
  starts: number[];
}

const coded: Record<string, string> = { '"': '%22', '\r': '%0D', '\n': '%0A' }; // as browsers write the name of a file (HTML, 4.10.21.8)

/** `boundary`: letters and digits in lower case that no file holds, at most 60; a random key is one. */
export function filesForm(field: string, files: readonly File[], boundary: string): FilesForm {
  const parts: BlobPart[] = [];
  const starts: number[] = [];
  let at = 0;
  const add = (part: string | Blob): void => {
    const blob = typeof part === 'string' ? new Blob([part]) : part;
    parts.push(blob);
    at += blob.size;
  };
  for (const file of files) {
    const name = file.name.replace(/["\r\n]/g, (mark) => coded[mark] ?? '');
    add(`--${boundary}\r\nContent-Disposition: form-data; name="${field}"; filename="${name}"\r\nContent-Type: ${file.type || 'application/octet-stream'}\r\n\r\n`);
    starts.push(at);
    add(file);
    add('\r\n');
  }
  add(`--${boundary}--\r\n`);
  return { body: new Blob(parts, { type: `multipart/form-data; boundary=${boundary}` }), starts };
}
