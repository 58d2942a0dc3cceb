import { type Decision, desiredTotal } from './policy/decision.ts';
import { type DownWindow, newDownWindow, noteWanted, windowMaxPods } from './policy/down-window.ts';
import type { DecisionHistory } from './policy/snapshot.ts';

/** What one pool's decisions leave for the next one. Times are monotonic. */
export class PoolHistory {
  #window: DownWindow;
  #windowMs: number | null = null;
  #lastUpMs = Number.NEGATIVE_INFINITY;
  #lastDownMs = Number.NEGATIVE_INFINITY;
  #guestsOwed = false;

  /** No step down is taken before a whole window has passed from here. */
  constructor(nowMs: number) {
    this.#window = newDownWindow(nowMs);
  }

  /** Nothing is known of the time until now, so the window begins anew. */
  wasBlind(nowMs: number): void {
    this.#window = newDownWindow(nowMs);
  }

  add(decision: Decision, nowMs: number): void {
    const { live, wantedToFall, scaleDownAfterMs } = decision.components;
    this.#windowMs = scaleDownAfterMs;
    this.#window = noteWanted(this.#window, wantedToFall, nowMs, scaleDownAfterMs);
    const desired = desiredTotal(decision);
    if (desired > live) this.#lastUpMs = nowMs;
    if (desired < live) this.#lastDownMs = nowMs;
    this.#guestsOwed = decision.guestsOwed;
  }

  at(nowMs: number): DecisionHistory {
    return {
      windowMaxPods: this.#windowMs === null ? null : windowMaxPods(this.#window, nowMs, this.#windowMs),
      sinceUpMs: nowMs - this.#lastUpMs,
      sinceDownMs: nowMs - this.#lastDownMs,
      guestsOwed: this.#guestsOwed,
    };
  }
}
