import { formatDuration } from '../../../core/units.ts';
import type { WorkloadView } from '../../workload/read-workload.ts';
import { type Finding, ok, type PolicyFacts, warn } from '../facts.ts';

const CHECK = 'rollout';

/** Whether a new template gets through without a spare GPU, and without being called a failure on the way. */
export function checkRollout(policy: PolicyFacts, workload: WorkloadView): readonly Finding[] {
  return workload.kind === 'Deployment' ? [surge(workload), deadline(policy, workload)] : [];
}

function surge({ strategy, rollingUpdate, gpus, name }: WorkloadView): Finding {
  if (strategy === 'Recreate') {
    const found = `${name} is rolled out by Recreate: all replicas end at once, and callers wait a whole boot`;
    return warn(CHECK, found, 'strategy {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}');
  }
  const maxSurge = rollingUpdate?.maxSurge ?? '25%';
  if (gpus > 0 && maxSurge !== 0 && maxSurge !== '0' && maxSurge !== '0%') {
    const found = `maxSurge of ${name} is ${maxSurge}: a rollout needs ${gpus} more ${gpus === 1 ? 'GPU' : 'GPUs'} than the pool has, and hangs where none is free`;
    return warn(CHECK, found, 'rollingUpdate {maxSurge: 0, maxUnavailable: 1}, unless spare GPUs are sure');
  }
  return ok(CHECK, `${name} is rolled out with maxSurge ${maxSurge}${gpus === 0 ? ' and uses no GPU' : ''}`);
}

function deadline(
  { bootTimeoutMs }: PolicyFacts,
  { progressDeadlineSeconds: told, graceSeconds, name }: WorkloadView,
): Finding {
  if (told === null) return ok(CHECK, `${name} has no progress deadline`);
  const needed = Math.ceil(bootTimeoutMs / 1_000) + graceSeconds;
  if (told < needed) {
    const found = `${name} calls a rollout failed after ${told} s, but a boot may take ${formatDuration(bootTimeoutMs)} and the end of the pod before it ${graceSeconds} s`;
    return warn(CHECK, found, `progressDeadlineSeconds: ${Math.ceil((needed + 60) / 60) * 60}`);
  }
  return ok(CHECK, `${name} waits ${told} s for a rollout to progress`);
}
