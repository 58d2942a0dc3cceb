import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';

export interface Periodic {
  /** For the log: "<name>.failed". */
  readonly name: string;
  readonly everyMs: number;
  /** True = there is more: run again at once. */
  readonly run: () => Promise<boolean>;
}

/** Runs it for ever, the first time at once; a failure is logged and the next turn tries again. Resolves when aborted. */
export async function runPeriodically(
  { clock, log }: { clock: Clock; log: Logger },
  { name, everyMs, run }: Periodic,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let hasMore = false;
    try {
      hasMore = await run();
    } catch (error) {
      log.warn({ problem: asError(error).message }, `${name}.failed`);
    }
    if (!hasMore) await clock.sleep(everyMs, signal).catch(() => undefined);
  }
}
