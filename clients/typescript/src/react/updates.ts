/** Tells listeners of a state: at once, or of many changes together. */
export class Updates<T> {
  state: T;
  readonly #compute: () => T;
  readonly #listeners = new Set<() => void>();
  #isDue = false;

  constructor(first: T, compute: () => T) {
    this.state = first;
    this.#compute = compute;
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** Tell of all changes up to now. */
  now(): void {
    this.#isDue = false;
    this.state = this.#compute();
    for (const listener of this.#listeners) listener();
  }

  /** Tell of all changes up to the next frame, together. */
  soon(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    const tell = (): void => {
      if (this.#isDue) this.now();
    };
    // A page in the background is given no frames.
    setTimeout(tell, BACKGROUND_MS);
    if (typeof requestAnimationFrame === "function") requestAnimationFrame(tell);
  }
}

const BACKGROUND_MS = 50;
