// Steps of an animation that a slow device can afford. Each step is timed from its start to the end of the frame that shows it
// (scripts, layout, paint); the next one comes when eight times as long has passed. So an old phone draws six steps a second and
// stays free for the fingers, where a desk draws sixty; the flow never takes more than a third of the processor.

const SHARE = 8; // a step may have one part in so many of the time; what follows from it (events of scrolling) has as much again
const SLOWEST_MS = 180;
const FRAME_MS = 16;

export class Frames {
  #step: (elapsed_ms: number) => void;
  #isWanted = false;
  #lastAt = 0;
  #pause = 0;

  constructor(step: (elapsed_ms: number) => void) {
    this.#step = step;
  }

  /** Asks for a step; asking again before it has come is the same. */
  want(): void {
    if (!this.#isWanted) {
      this.#isWanted = true;
      const wait = this.#lastAt + this.#pause - performance.now() - FRAME_MS;
      if (wait > 0) {
        setTimeout(() => nextFrame(() => this.#run()), wait);
      } else {
        nextFrame(() => this.#run());
      }
    }
  }

  #run(): void {
    const from = performance.now();
    const elapsed = this.#lastAt === 0 ? FRAME_MS : Math.min(from - this.#lastAt, SLOWEST_MS);
    this.#isWanted = false;
    this.#lastAt = from;
    afterFrame(() => (this.#pause = Math.min(SLOWEST_MS, SHARE * (performance.now() - from))));
    this.#step(elapsed);
  }
}

/** Does the work after the next frame was painted, and so never twice in one frame; what is given back calls it off. */
export function onceShown(work: () => void): () => void {
  let isOff = false;
  nextFrame(() => afterFrame(() => isOff || work()));
  return () => (isOff = true);
}

function nextFrame(work: () => void): void {
  if ('requestAnimationFrame' in globalThis) {
    requestAnimationFrame(work);
  } else {
    setTimeout(work, FRAME_MS);
  }
}

/** A message that is posted inside a frame is read after that frame was laid out and painted. */
function afterFrame(work: () => void): void {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => {
    port1.close();
    work();
  };
  port2.postMessage(null);
}
