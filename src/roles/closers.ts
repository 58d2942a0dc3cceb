import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';

interface Closer {
  readonly what: string;
  readonly close: () => Promise<void> | void;
}

/**
 * What was opened, to be closed in reverse order. Each step gets its turn whatever the others do, and a step that takes
 * longer than the limit is passed over and named in the log.
 */
export class Closers {
  readonly #log: Logger;
  readonly #limitMs: number;
  readonly #closers: Closer[] = [];

  constructor(log: Logger, limitMs: number) {
    this.#log = log;
    this.#limitMs = limitMs;
  }

  add(what: string, close: () => Promise<void> | void): void {
    this.#closers.push({ what, close });
  }

  async closeAll(): Promise<void> {
    for (let closer = this.#closers.pop(); closer; closer = this.#closers.pop()) {
      const { what } = closer;
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error(`not done after ${this.#limitMs} ms`)), this.#limitMs);
      try {
        await Promise.race([closer.close(), late.promise]);
      } catch (error) {
        this.#log.warn({ what, problem: asError(error).message }, 'shutdown.step_failed');
      } finally {
        clearTimeout(timer);
      }
    }
  }
}
