import type { Clock } from '../core/clock.ts';
import { type BootResult, type TrackedBoots, trackBoots } from './policy/boot-tracker.ts';
import type { TargetReplica } from './policy/target-replica.ts';

/** Times every boot of a pool, at the moment of each phase change and not at the next look. */
export class BootWatch {
  readonly #clock: Clock;
  readonly #onBoot: (result: BootResult) => void;
  #tracked: TrackedBoots = new Map();
  #becameReady = false;

  constructor(clock: Clock, onBoot: (result: BootResult) => void) {
    this.#clock = clock;
    this.#onBoot = onBoot;
  }

  get tracked(): TrackedBoots {
    return this.#tracked;
  }

  note(replicas: readonly TargetReplica[]): void {
    const now = { monotonicMs: this.#clock.monotonicMs(), epochMs: this.#clock.epochMs() };
    const { tracked, results } = trackBoots(this.#tracked, replicas, now);
    this.#tracked = tracked;
    for (const result of results) {
      if (result.kind === 'ready') this.#becameReady = true;
      this.#onBoot(result);
    }
  }

  /** Whether a replica became ready since the last call. */
  takeBecameReady(): boolean {
    const became = this.#becameReady;
    this.#becameReady = false;
    return became;
  }
}
