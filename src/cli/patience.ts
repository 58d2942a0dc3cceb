import { setTimeout as sleep } from 'node:timers/promises';
import type { Client, ClientAnswer, ClientRequest } from './client.ts';
import { CliError, EXIT } from './exit-codes.ts';

/** A server that is away (restarting) or full is tried again for this long. */
const PATIENCE_MS = 5 * 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

export interface PatientRequest extends ClientRequest {
  /** Ends a pause between two tries; default `signal`. */
  readonly pauseSignal?: AbortSignal;
}

/** Sends until there is an answer that waiting would not change: refusals with a Retry-After and 503 are waited out. */
export async function sendPatiently(client: Client, request: PatientRequest): Promise<ClientAnswer> {
  const until = performance.now() + PATIENCE_MS;
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const tried = await tryOnce(client, request);
    const patient = performance.now() < until;
    if (tried instanceof CliError) {
      if (!patient) throw tried;
    } else if (!patient || !isPassing(tried)) {
      return tried;
    }
    const askedMs = tried instanceof CliError ? null : tried.retryAfterMs;
    await sleep(askedMs ?? pauseMs, undefined, { signal: request.pauseSignal ?? request.signal });
  }
}

/** A full queue, a restart, a Redis that is away. A job that has not finished says "retry later" too, with 409. */
function isPassing({ status, retryAfterMs }: ClientAnswer): boolean {
  return status === 503 || (status === 429 && retryAfterMs !== null);
}

async function tryOnce(client: Client, request: ClientRequest): Promise<ClientAnswer | CliError> {
  try {
    return await client.send(request);
  } catch (thrown) {
    if (thrown instanceof CliError && thrown.exitCode === EXIT.UNREACHABLE) return thrown;
    throw thrown;
  }
}
