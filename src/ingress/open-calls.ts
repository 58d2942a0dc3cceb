import { PilotlightError } from '../core/errors.ts';

/** The requests being answered, so that a shutdown that has waited long enough can end them with an error they can read. */
export class OpenCalls {
  readonly #open = new Set<AbortController>();

  add(call: AbortController): void {
    this.#open.add(call);
  }

  delete(call: AbortController): void {
    this.#open.delete(call);
  }

  /** Ends every open request with `draining`: inside its stream if one has begun. */
  endAll(): void {
    const why = 'This replica is shutting down and can wait no longer. Try again.';
    for (const call of this.#open) call.abort(new PilotlightError('draining', why));
  }
}

/** The error that a request was ended with by us; null while it is open, or when its client left. */
export function endedByUs(signal: AbortSignal): PilotlightError | null {
  const reason: unknown = signal.aborted ? signal.reason : null;
  return reason instanceof PilotlightError && reason.code === 'draining' ? reason : null;
}
