import { formatDuration } from '../../../core/units.ts';
import type { WorkloadView } from '../../workload/read-workload.ts';
import { type Finding, fail, ok, type PolicyFacts, warn } from '../facts.ts';

const CHECK = 'shutdown';
/** For the engine to exit after its last answer. */
const EXIT_SECONDS = 15;

/** Whether a pod that is ended may finish what it runs. */
export function checkShutdown(policy: PolicyFacts, workload: WorkloadView): readonly Finding[] {
  return [flag(policy, workload), grace(policy, workload)];
}

function flag({ drainTimeoutMs }: PolicyFacts, { shutdownTimeoutSeconds: told, isVllm, name }: WorkloadView): Finding {
  const drainSeconds = Math.ceil(drainTimeoutMs / 1_000);
  if (told === null) {
    if (!isVllm)
      return ok(CHECK, `${name} does not look like vLLM; its own way to finish running answers is not checked`);
    const found = `${name} runs vLLM without --shutdown-timeout: a pod that is ended cuts its answers, and ends them with status 200`;
    return fail(CHECK, found, `add --shutdown-timeout=${drainSeconds} (vLLM 0.18 or newer), as long as drain.timeout`);
  }
  if (told < drainSeconds) {
    const found = `--shutdown-timeout of ${name} is ${told} s, shorter than drain.timeout (${formatDuration(drainTimeoutMs)})`;
    return warn(CHECK, found, `--shutdown-timeout=${drainSeconds}, or drain.timeout: ${told}s`);
  }
  return ok(CHECK, `--shutdown-timeout of ${name} is ${told} s, drain.timeout ${formatDuration(drainTimeoutMs)}`);
}

function grace({ drainTimeoutMs }: PolicyFacts, workload: WorkloadView): Finding {
  const { graceSeconds, preStopSeconds, shutdownTimeoutSeconds, name } = workload;
  const work = shutdownTimeoutSeconds ?? Math.ceil(drainTimeoutMs / 1_000);
  const what = shutdownTimeoutSeconds === null ? 'drain.timeout' : '--shutdown-timeout';
  const needed = (preStopSeconds ?? 0) + work + EXIT_SECONDS;
  const sum = `preStop ${preStopSeconds ?? '?'} s + ${what} ${work} s + ${EXIT_SECONDS} s to exit`;
  if (graceSeconds < (preStopSeconds ?? 0) + work) {
    const found = `${name} is killed ${graceSeconds} s after it is told to end (a rollout, a node drain), which cuts running answers; it needs ${sum}`;
    return fail(CHECK, found, `terminationGracePeriodSeconds: ${needed}`);
  }
  if (preStopSeconds === null) {
    const found = `the preStop hook of ${name} takes a time that cannot be read; its grace is ${graceSeconds} s`;
    return warn(CHECK, found, `make sure that ${sum} fit into terminationGracePeriodSeconds`);
  }
  return ok(CHECK, `${name} has ${graceSeconds} s to end, and needs ${sum}`);
}
