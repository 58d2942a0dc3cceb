import type { ScaleSettings } from '../../core/objects.ts';
import type { ColdStart } from './cold-start.ts';

/** The settings of a pool that may be `Auto`, resolved with the learned cold start of its first target. */
export interface ResolvedSettings {
  readonly keepWarmMs: number;
  readonly drainTargetMs: number;
  readonly scaleDownAfterMs: number;
  /** At least this long between two steps down, and between a step up and one down. */
  readonly stepMs: number;
}

const STEP_MS = 60_000;
const LEAST_SCALE_DOWN_AFTER_MS = 120_000;

/**
 * Auto: keep warm as long as one boot takes (rent or buy: the idle time never costs more than about one boot), drain the
 * backlog within one boot, go down after half a boot but at least two minutes (reference: docs/autoscaling.md).
 */
export function resolveSettings(scale: ScaleSettings, coldStart: ColdStart): ResolvedSettings {
  const { p50Ms } = coldStart;
  const scaleDownAfterMs =
    scale.scaleDownAfterMs === 'Auto' ? Math.max(LEAST_SCALE_DOWN_AFTER_MS, p50Ms / 2) : scale.scaleDownAfterMs;
  return {
    keepWarmMs: scale.keepWarmMs === 'Auto' ? Math.min(scale.keepWarmMaxMs, p50Ms) : scale.keepWarmMs,
    drainTargetMs: scale.drainTargetMs === 'Auto' ? p50Ms : scale.drainTargetMs,
    scaleDownAfterMs,
    stepMs: Math.min(STEP_MS, scaleDownAfterMs),
  };
}
