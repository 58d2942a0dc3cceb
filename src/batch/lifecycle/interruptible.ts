import type { BatchDoc } from '../ports.ts';

interface Running {
  readonly isStillRight: (doc: BatchDoc) => boolean;
  readonly stop: () => void;
}

/** One long piece of work for a batch that a newer generation of it may make pointless. */
export class Interruptible {
  #running: Running | null = null;

  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** What the work answers; null when it was stopped because it became pointless. Rejects as it does otherwise. */
  async run<T>(
    signal: AbortSignal,
    isStillRight: (doc: BatchDoc) => boolean,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T | null> {
    const pointless = new AbortController();
    const stop = () => pointless.abort(new Error('the batch has changed'));
    this.#running = { isStillRight, stop };
    try {
      return await work(AbortSignal.any([signal, pointless.signal]));
    } catch (error) {
      if (pointless.signal.aborted && !signal.aborted) return null;
      throw error;
    } finally {
      this.#running = null;
    }
  }

  /** A newer generation is known. */
  heard(doc: BatchDoc): void {
    if (this.#running && !this.#running.isStillRight(doc)) this.#running.stop();
  }
}
