import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5_000;

export interface Patience {
  readonly clock: Clock;
  /** Tries that begin later than this are not made. */
  readonly limitMs: number;
  /** Whether this may pass by itself. */
  readonly mayPass: (error: Error) => boolean;
  readonly onWait: (error: Error, waitedMs: number) => void;
}

/** Tries again after 1, 2, 4, 5, 5 … s what fails for a reason that may pass. Throws the last error, or the signal's reason. */
export async function patiently<T>(
  work: () => Promise<T>,
  { clock, limitMs, mayPass, onWait }: Patience,
  signal: AbortSignal,
): Promise<T> {
  const startedMs = clock.monotonicMs();
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(LONGEST_WAIT_MS, waitMs * 2)) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (thrown) {
      const error = asError(thrown);
      const waitedMs = clock.monotonicMs() - startedMs;
      if (signal.aborted || !mayPass(error) || waitedMs + waitMs > limitMs) throw thrown;
      onWait(error, waitedMs);
    }
    await clock.sleep(waitMs, signal);
  }
}
