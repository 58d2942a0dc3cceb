import type { ScaleSettings } from '../../core/objects.ts';
import type { SourceObject } from './parse-objects.ts';
import type { Reporter } from './report.ts';
import { DEFAULT_SCALE_POLICY, type ScalePolicySpec } from './schema/scale-policy.ts';

/** The written scaling fields of a policy as the autoscaler takes them. */
export function scaleSettings(spec: ScalePolicySpec): ScaleSettings {
  const { activation, keepWarm, drain, boot } = spec;
  return {
    mode: spec.mode,
    paused: spec.paused,
    keepWarmMs: keepWarm.duration,
    keepWarmMaxMs: keepWarm.maxDuration,
    drainTargetMs: activation.drainTarget,
    scaleDownAfterMs: drain.after,
    minEfficiencyPercent: activation.minEfficiencyPercent,
    maxBootsInFlight: boot.maxInFlight,
    coldStartPriorMs: boot.expectedDuration,
    requestPriorMs: activation.expectedRequestDuration,
    bootTimeoutMs: boot.timeout,
    drainTimeoutMs: drain.timeout,
  };
}

/** Of a pool that no policy scales: it is listed and cannot wake. */
export const UNSCALED: ScaleSettings = { ...scaleSettings(DEFAULT_SCALE_POLICY), mode: 'Observe' };

export function checkTimes(policy: SourceObject<'ScalePolicy'>, report: Reporter): void {
  const { boot } = policy.spec;
  if (boot.timeout <= boot.expectedDuration) {
    const why = 'is not longer than boot.expectedDuration, so every boot would be called stuck; raise it';
    report.error(policy, ['spec', 'boot', 'timeout'], why);
  }
}
