import { setTimeout as sleep } from 'node:timers/promises';
import { formatDuration } from '../core/units.ts';
import { type Client, type ClientAnswer, type ClientDownload, type ClientRequest, errorOf } from './client.ts';
import { CliError, EXIT } from './exit-codes.ts';

/** A server that is away (restarting) or full is tried again for this long. */
const PATIENCE_MS = 5 * 60_000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;

export interface PatientRequest extends ClientRequest {
  /** Ends a pause between two tries; default `signal`. */
  readonly pauseSignal?: AbortSignal;
}

/**
 * Sends until there is an answer that waiting would not change. A server that never answered is not waited for: then the
 * address is wrong, or nothing runs there.
 */
export class PatientClient {
  readonly url: string;
  readonly #client: Client;
  readonly #tell: (sentence: string) => void;
  #hasAnswered = false;
  #waits = false;

  /** `tell` hears when a wait begins, once for all calls that wait at the same time. */
  constructor(client: Client, tell: (sentence: string) => void) {
    this.url = client.url;
    this.#client = client;
    this.#tell = tell;
  }

  /** One try. */
  download(request: Parameters<Client['download']>[0]): Promise<ClientDownload> {
    return this.#client.download(request);
  }

  async send(request: PatientRequest): Promise<ClientAnswer> {
    const until = performance.now() + PATIENCE_MS;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const tried = await this.#try(request);
      const isPatient = performance.now() < until;
      if (tried instanceof CliError) {
        if (!isPatient || !this.#hasAnswered) throw tried;
        this.#wait('it does not answer any more');
      } else if (isPatient && isPassing(tried)) {
        this.#wait(errorOf(tried)?.message ?? `HTTP ${tried.status}`);
      } else {
        this.#waits = false;
        return tried;
      }
      const askedMs = tried instanceof CliError ? null : tried.retryAfterMs;
      await sleep(askedMs ?? pauseMs, undefined, { signal: request.pauseSignal ?? request.signal });
    }
  }

  async #try(request: ClientRequest): Promise<ClientAnswer | CliError> {
    try {
      const answer = await this.#client.send(request);
      this.#hasAnswered = true;
      return answer;
    } catch (thrown) {
      if (thrown instanceof CliError && thrown.exitCode === EXIT.UNREACHABLE) return thrown;
      throw thrown;
    }
  }

  #wait(why: string): void {
    if (!this.#waits)
      this.#tell(`${this.url}: ${why.replace(/\.$/, '')}; waiting, for ${formatDuration(PATIENCE_MS)} at most`);
    this.#waits = true;
  }
}

/** A full queue, a restart, a Redis that is away. A job that has not finished says "retry later" too, with 409. */
function isPassing({ status, retryAfterMs }: ClientAnswer): boolean {
  return status === 503 || (status === 429 && retryAfterMs !== null);
}
