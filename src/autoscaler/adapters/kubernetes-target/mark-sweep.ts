import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import type { Leadership } from '../../../core/kubernetes.ts';
import type { Logger } from '../../../core/logger.ts';
import type { PoolKey } from '../../../core/objects.ts';
import { Nap } from '../../nap.ts';
import { isMarkedBy } from '../../policy/kube/drain-mark.ts';
import { isTerminating, type Pod } from '../../policy/kube/pod.ts';
import type { PodMarks } from './pod-marks.ts';
import type { PoolPods } from './pool-pods.ts';

const SWEEP_EVERY_MS = 120_000;
/** After a term began: the objects that were read last may still be on their way. */
const FIRST_SWEEP_MS = 10_000;

export interface MarkSweepDeps {
  readonly pods: PoolPods;
  readonly marks: PodMarks;
  readonly leadership: Leadership;
  readonly installation: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Whether a policy that acts may have marked this pod of that pool. */
  readonly owns: (pod: Pod, pool: PoolKey) => boolean;
}

/**
 * Removes marks of this installation from pods that no policy of it scales any more: one that was deleted while nobody
 * led leaves nobody who would. Only while this process leads and knows all pods.
 */
export class MarkSweep {
  readonly #deps: MarkSweepDeps;
  readonly #nap: Nap;
  readonly #closed = new AbortController();
  readonly #unlisten: () => void;

  constructor(deps: MarkSweepDeps) {
    this.#deps = deps;
    this.#nap = new Nap(deps.clock);
    this.#unlisten = deps.leadership.onChange((isLeader) => isLeader && this.#nap.wake());
    void this.#run();
  }

  close(): void {
    this.#unlisten();
    this.#closed.abort();
    this.#nap.wake();
  }

  async #run(): Promise<void> {
    let delayMs = FIRST_SWEEP_MS;
    while (!this.#isClosed()) {
      const isNewTerm = await this.#nap.take(delayMs);
      if (!isNewTerm && !this.#isClosed()) await this.#sweep();
      delayMs = isNewTerm ? FIRST_SWEEP_MS : SWEEP_EVERY_MS;
    }
  }

  #isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  async #sweep(): Promise<void> {
    const { pods, marks, leadership, log } = this.#deps;
    if (!leadership.isLeader() || pods.freshness().state !== 'live') return;
    const orphans = pods.all().filter((one) => this.#isOrphan(one));
    if (orphans.length === 0) return;
    const names = orphans.map(({ pod }) => `${pod.metadata.namespace ?? ''}/${pod.metadata.name}`);
    try {
      await marks.clear(orphans.map(({ pod }) => pod));
      log.info({ pods: names }, 'target.orphans_unmarked');
    } catch (thrown) {
      log.warn({ pods: names, error: asError(thrown).message }, 'target.unmark_failed');
    }
  }

  #isOrphan({ pod, pools }: ReturnType<PoolPods['all']>[number]): boolean {
    const { owns, installation } = this.#deps;
    if (isTerminating(pod) || !isMarkedBy(pod, installation)) return false;
    return pools.every((pool) => !owns(pod, pool));
  }
}
