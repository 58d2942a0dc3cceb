import type { Clock } from '../../../core/clock.ts';
import type { Random } from '../../../core/random.ts';
import { AttemptTimeout, asStoreError, isWorthRepeating, noteFailure } from './s3-errors.ts';

export interface CallLimits {
  /** One attempt, up to the head of its answer. */
  readonly attemptMs: number;
  /** All attempts and the waits between them. */
  readonly deadlineMs: number;
}

export interface CallDeps {
  readonly clock: Clock;
  readonly random: Random;
}

/** For calls that carry little either way. */
export const SMALL_CALL: CallLimits = { attemptMs: 10_000, deadlineMs: 45_000 };
/** For a part of a blob: 8 MiB at 300 kB/s still arrive. */
export const PART_CALL: CallLimits = { attemptMs: 30_000, deadlineMs: 120_000 };
/** For a batch of records, which callers wait for. */
export const LOG_CALL: CallLimits = { attemptMs: 8_000, deadlineMs: 20_000 };

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 4_000;

/** Calls to the service, each repeated until it works, makes no sense, or its time is over. */
export class S3Calls {
  readonly #clock: Clock;
  readonly #random: Random;

  constructor({ clock, random }: CallDeps) {
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Throws the SDK's error of the last attempt, which `onService` makes ours, or the reason of the signal. What the attempt
   * does must be repeatable: an answer may be lost after the service has done it.
   */
  async run<T>(
    attempt: (signal: AbortSignal) => Promise<T>,
    limits: CallLimits = SMALL_CALL,
    signal?: AbortSignal,
  ): Promise<T> {
    const untilMs = this.#clock.monotonicMs() + limits.deadlineMs;
    for (let tries = 0; ; tries += 1) {
      try {
        return await this.#within(limits.attemptMs, attempt, signal);
      } catch (error) {
        signal?.throwIfAborted();
        noteFailure(error);
        const waitMs = this.backOffMs(tries);
        if (!isWorthRepeating(error) || this.#clock.monotonicMs() + waitMs >= untilMs) throw error;
        await this.#clock.sleep(waitMs, signal);
      }
    }
  }

  /** Full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). */
  backOffMs(tries: number): number {
    return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** tries) * this.#random.next();
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return this.#clock.sleep(delayMs, signal);
  }

  async #within<T>(
    limitMs: number,
    attempt: (signal: AbortSignal) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    signal?.throwIfAborted();
    const ended = new AbortController();
    const timeout = new AbortController();
    const timedOut = this.#clock.sleep(limitMs, ended.signal).then(
      () => timeout.abort(new AttemptTimeout()),
      () => undefined,
    );
    try {
      return await attempt(signal ? AbortSignal.any([signal, timeout.signal]) : timeout.signal);
    } catch (error) {
      // The SDK wraps the reason into an error of its own.
      throw timeout.signal.aborted ? timeout.signal.reason : error;
    } finally {
      ended.abort();
      await timedOut;
    }
  }
}

/** Runs steps that make calls; failures of the service are thrown as `asStoreError` has them. */
export async function onService<T>(steps: () => Promise<T>): Promise<T> {
  try {
    return await steps();
  } catch (error) {
    throw asStoreError(error);
  }
}
