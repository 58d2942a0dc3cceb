import type { Clock } from '../../core/clock.ts';
import type { Engine, StepReport } from '../policy/engine.ts';
import type { Sequence, SequenceSpec } from '../policy/sequence.ts';

/** Steps that take no time run together for so long before the sockets get their turn. */
const TURN_MS = 5;
/** A loop that is late by more (a stopped process, a starved machine) does not try to catch up with the rest. */
const MAX_LAG_MS = 100;

/**
 * Runs the engine against a clock. Steps follow each other in the engine's own time, so that late timers do not add up:
 * a step that ended late in the world is followed by one that began on time.
 */
export class EngineLoop {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #onStep: (report: StepReport) => void;
  #stepEndsAtMs: number | null = null;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #stopped = false;

  constructor(engine: Engine, clock: Clock, onStep: (report: StepReport) => void) {
    this.#engine = engine;
    this.#clock = clock;
    this.#onStep = onStep;
  }

  /** Queues the sequences and sees that the engine runs; null when the engine refuses them. */
  submit(specs: readonly SequenceSpec[]): Sequence[] | null {
    const sequences = this.#engine.submit(specs, this.#engineNowMs());
    if (sequences !== null && this.#stepEndsAtMs === null) this.#soon();
    return sequences;
  }

  abort(sequence: Sequence): void {
    this.#engine.abort(sequence, this.#engineNowMs());
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
  }

  /** While a step is overdue, nothing can happen after its end. */
  #engineNowMs(): number {
    const nowMs = this.#clock.monotonicMs();
    return this.#stepEndsAtMs === null ? nowMs : Math.min(nowMs, this.#stepEndsAtMs);
  }

  #soon(): void {
    if (this.#immediate !== null || this.#stopped) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = null;
      this.#turn();
    });
  }

  #turn(): void {
    const turnStartMs = this.#clock.monotonicMs();
    let nowMs = turnStartMs;
    while (!this.#stopped) {
      const startMs = this.#endStep(nowMs);
      if (startMs === null) return;
      this.#stepEndsAtMs = this.#engine.beginStep(startMs);
      if (this.#stepEndsAtMs === null) return;
      nowMs = this.#clock.monotonicMs();
      if (nowMs - turnStartMs > TURN_MS) {
        this.#soon();
        return;
      }
    }
  }

  /** Ends the step under way. Returns when the next may begin; null when this one is not over, and waits for it. */
  #endStep(nowMs: number): number | null {
    const endsAtMs = this.#stepEndsAtMs;
    if (endsAtMs === null) return nowMs;
    if (endsAtMs > nowMs) {
      this.#timer = setTimeout(() => this.#turn(), endsAtMs - nowMs);
      return null;
    }
    this.#onStep(this.#engine.completeStep(endsAtMs));
    return Math.max(endsAtMs, nowMs - MAX_LAG_MS);
  }
}
