/** A pause of the whole process; shorter ones are the ordinary unevenness of timers. */
const STILL_MS = 500;
/** A healthy ledger answers a heartbeat a second. A process that was awake for longer without an answer was not itself the reason. */
const AWAKE_MS = 2_000;

/**
 * - `well`: it went on.
 * - `stood_still`: it did not run for a while, and others cannot have taken it for dead.
 * - `ran_out`: they may have, because it did not run: nothing that it was granted is its own any more.
 */
export type Look = 'well' | 'stood_still' | 'ran_out';

/**
 * Tells whether others may have taken this process for dead while it stood still (SIGSTOP, a machine that swaps). They
 * count from when the ledger heard of it, this from when that was sent, which is before. When it was the ledger that did
 * not answer, nothing ran out. All times are monotonic milliseconds.
 */
export class SignsOfLife {
  readonly #deadAfterMs: number;
  #seenMs: number;
  /** When the last sign of life that was answered had been sent. */
  #aliveMs: number;
  /** Pauses since then: `untilMs` and how long. Cleared by the next answer, and no more are kept once it is judged. */
  #pauses: { readonly untilMs: number; readonly forMs: number }[] = [];
  /** What passed since `aliveMs` was found too long already, whoever's fault it was. */
  #isJudged = false;

  constructor(deadAfterMs: number, nowMs: number) {
    this.#deadAfterMs = deadAfterMs;
    this.#seenMs = nowMs;
    this.#aliveMs = nowMs;
  }

  answered(sentMs: number): void {
    if (sentMs <= this.#aliveMs) return;
    this.#aliveMs = sentMs;
    this.#isJudged = false;
    this.#pauses = this.#pauses.filter(({ untilMs }) => untilMs > sentMs);
  }

  /** To be called with every timer, and before anything is sent or read. `ran_out` is told once. */
  look(nowMs: number): Look {
    const gapMs = nowMs - this.#seenMs;
    this.#seenMs = nowMs;
    const hasPaused = gapMs > STILL_MS;
    if (hasPaused && !this.#isJudged) this.#pauses.push({ untilMs: nowMs, forMs: gapMs });
    const hasRunOut = gapMs >= this.#deadAfterMs || (this.#isOverdue(nowMs) && (hasPaused || this.#isOwnFault(nowMs)));
    if (this.#isOverdue(nowMs)) this.#isJudged = true;
    if (hasRunOut) return 'ran_out';
    return hasPaused ? 'stood_still' : 'well';
  }

  #isOverdue(nowMs: number): boolean {
    return !this.#isJudged && nowMs - this.#aliveMs >= this.#deadAfterMs;
  }

  #isOwnFault(nowMs: number): boolean {
    const stillMs = this.#pauses.reduce((sum, { forMs }) => sum + forMs, 0);
    return nowMs - this.#aliveMs - stillMs < AWAKE_MS;
  }
}
