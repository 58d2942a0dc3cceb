import { type Transferable, Worker } from 'node:worker_threads';
import { asError, PilotlightError } from '../../../core/errors.ts';
import type { FromThread, ToThread, ValidationThread } from '../../validation/ports.ts';

/** Marks the worker's start data, so that its entry knows what it is started for. */
export const VALIDATION_THREAD = 'pilotlight-batch-validation';

/** Strings and objects of one line, several times over. Plans and ids lie outside the heap and are bounded by the rows. */
const MAX_HEAP_MIB = 256;
const MAX_SILENCE_MS = 300_000;

/** Starts a thread with this entry, for one file. */
export function startValidationThread(entry: URL): ValidationThread {
  return new WorkerThread(entry);
}

class WorkerThread implements ValidationThread {
  readonly #worker: Worker;
  readonly #messages: FromThread[] = [];
  #failure: PilotlightError | null = null;
  #wake: () => void = () => undefined;

  constructor(entry: URL) {
    this.#worker = new Worker(entry, {
      workerData: { kind: VALIDATION_THREAD },
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB },
      name: 'batch-validation',
    });
    this.#worker.on('message', (message: FromThread) => {
      this.#messages.push(message);
      this.#wake();
    });
    this.#worker.on('error', (error) => this.#fail(`broke: ${asError(error).message}`));
    this.#worker.on('messageerror', (error) => this.#fail(`sent what cannot be read: ${error.message}`));
    this.#worker.on('exit', (code) => this.#fail(`ended with code ${code}`));
  }

  post(message: ToThread, transfer: readonly ArrayBuffer[]): void {
    this.#worker.postMessage(message, transfer as Transferable[]);
  }

  async next(signal: AbortSignal): Promise<FromThread> {
    for (;;) {
      signal.throwIfAborted();
      const message = this.#messages.shift();
      if (message) return message;
      if (this.#failure) throw this.#failure;
      await this.#something(signal);
    }
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(what: string): void {
    this.#failure ??= new PilotlightError('internal_error', `The thread that validates a batch file ${what}.`);
    this.#wake();
  }

  async #something(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve) => {
      const silence = setTimeout(() => this.#fail(`said nothing for ${MAX_SILENCE_MS} ms`), MAX_SILENCE_MS);
      this.#wake = () => {
        clearTimeout(silence);
        signal.removeEventListener('abort', this.#wake);
        resolve();
      };
      signal.addEventListener('abort', this.#wake);
    });
  }
}
