// What is being spoken, by message. A frame of words wakes only the one message that it belongs to: the list of speakers is
// one signal, each text another. (A reactive map tells everybody who ever asked it, five hundred messages sixty times a second.)

import type { Id } from '../api/common';

class Line {
  text = $state('');

  constructor(text: string) {
    this.text = text;
  }
}

export class Spoken {
  #lines = $state.raw<ReadonlyMap<Id, Line>>(new Map());

  get size(): number {
    return this.#lines.size;
  }

  get(id: Id): string | undefined {
    return this.#lines.get(id)?.text;
  }

  set(id: Id, text: string): void {
    const line = this.#lines.get(id);
    if (line) {
      line.text = text;
    } else {
      this.#lines = new Map(this.#lines).set(id, new Line(text));
    }
  }

  delete(id: Id): void {
    if (this.#lines.has(id)) {
      const left = new Map(this.#lines);
      left.delete(id);
      this.#lines = left;
    }
  }
}
