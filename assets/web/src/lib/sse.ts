// Server-sent events read from a fetch body (EventSource cannot carry an Authorization header).
// Follows the HTML standard: lines end with LF, CRLF or CR; an event ends with an empty line; several data lines join.

export type SseEvent = { event: string; data: string; id: string };

export class SseReader {
  #rest = '';
  #data: string[] = [];
  #event = '';
  #id = '';

  /** Takes decoded text in any pieces; gives the events that it completes. */
  push(text: string): SseEvent[] {
    const events: SseEvent[] = [];
    this.#rest += text;
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest);
      if (!end) {
        return events;
      }
      const line = this.#rest.slice(0, end.index);
      this.#rest = this.#rest.slice(end.index + end[0].length);
      const event = this.#line(line);
      if (event) {
        events.push(event);
      }
    }
  }

  #line(line: string): SseEvent | null {
    if (line === '') {
      return this.#dispatch();
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') {
      this.#data.push(value);
    } else if (field === 'event') {
      this.#event = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this.#id = value;
    }
    return null;
  }

  #dispatch(): SseEvent | null {
    const data = this.#data;
    const event = this.#event || 'message';
    this.#data = [];
    this.#event = '';
    return data.length === 0 ? null : { event, data: data.join('\n'), id: this.#id };
  }
}
