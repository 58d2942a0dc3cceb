import { formatDuration } from '../../../core/units.ts';
import type { WorkloadView } from '../../workload/read-workload.ts';
import { type Finding, fail, ok, type PolicyFacts, warn } from '../facts.ts';

const CHECK = 'probes';

/** Whether a long boot survives its probes, and whether ready means ready. */
export function checkProbes(policy: PolicyFacts, workload: WorkloadView): readonly Finding[] {
  return [startup(policy, workload), readiness(workload)];
}

function startup({ bootTimeoutMs }: PolicyFacts, { startupBudgetSeconds: budget, name }: WorkloadView): Finding {
  const boot = formatDuration(bootTimeoutMs);
  const periods = Math.ceil(bootTimeoutMs / 5_000);
  const write = `startupProbe {httpGet: /health, periodSeconds: 5, failureThreshold: ${periods}}`;
  if (budget === null) {
    const found = `${name} has no startup probe: a liveness probe would end a boot that takes minutes, and nobody tells loading from hanging`;
    return warn(CHECK, found, `add ${write}, as long as boot.timeout (${boot})`);
  }
  const budgetText = formatDuration(budget * 1_000);
  if (budget * 1_000 < bootTimeoutMs) {
    const found = `the startup probe of ${name} gives up after ${budgetText}, before boot.timeout (${boot}): the kubelet restarts boots that may still be fine`;
    return fail(CHECK, found, `${write}, or boot.timeout: ${budget}s if no boot takes longer`);
  }
  return ok(CHECK, `the startup probe of ${name} waits ${budgetText}, boot.timeout is ${boot}`);
}

function readiness({ readinessProbe, name }: WorkloadView): Finding {
  if (readinessProbe === null) {
    const found = `${name} has no readiness probe: its pods count as ready while the model is still loading`;
    return fail(CHECK, found, 'add readinessProbe {httpGet: /health, periodSeconds: 2}');
  }
  const { periodSeconds = 10 } = readinessProbe;
  if (periodSeconds > 5) {
    const found = `the readiness probe of ${name} asks every ${periodSeconds} s: so long a loaded GPU may stand idle after each boot`;
    return warn(CHECK, found, 'readinessProbe.periodSeconds: 2');
  }
  return ok(CHECK, `the readiness probe of ${name} asks every ${periodSeconds} s`);
}
