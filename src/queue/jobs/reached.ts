import { PilotlightError } from '../../core/errors.ts';

/** What `ask` answers; `queue_unavailable` when Redis did not. */
export async function reached<T>(ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (error instanceof PilotlightError) throw error;
    throw new PilotlightError('queue_unavailable', 'Jobs cannot be looked up: Redis does not answer.', {
      cause: error,
      retryAfterMs: 2_000,
    });
  }
}
