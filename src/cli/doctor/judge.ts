import { checkDisruption } from './checks/disruption.ts';
import { checkProbes } from './checks/probes.ts';
import { checkResources, checkRights } from './checks/resources.ts';
import { checkRollout } from './checks/rollout.ts';
import { checkShutdown } from './checks/shutdown.ts';
import { checkTarget } from './checks/targets.ts';
import { checkWaits } from './checks/waits.ts';
import { checkWriters } from './checks/writers.ts';
import { type ClusterFacts, type Finding, type PolicyFacts, skip } from './facts.ts';

export interface Section {
  /** "cluster", or a ScalePolicy as "namespace/name". */
  readonly about: string;
  readonly findings: readonly Finding[];
}

/** Every check on what was gathered; the cluster first, then each policy of `only` (null = all). */
export function judge(facts: ClusterFacts, only: readonly string[] | null): readonly Section[] {
  const policies = facts.policies.filter(({ policy }) => only === null || only.includes(policy));
  return [
    { about: 'cluster', findings: [...checkResources(facts), ...checkRights(facts), ...checkWaits(facts)] },
    ...policies.map((policy) => ({ about: policy.policy, findings: policyFindings(facts, policy) })),
  ];
}

function policyFindings(facts: ClusterFacts, policy: PolicyFacts): readonly Finding[] {
  if (policy.targets.length === 0) return [skip('target', 'it names no target: nothing can be woken')];
  return policy.targets.flatMap((target) => {
    const { workload } = target;
    const found = checkTarget(policy, target);
    // A kind without a pod template (a CRD with /scale) has nothing more to look at.
    if (workload === null) return found;
    const template = [
      ...checkProbes(policy, workload),
      ...checkShutdown(policy, workload),
      ...checkRollout(policy, workload),
      ...checkDisruption(workload, facts.disruptionBudgets),
    ];
    return [...found, ...checkWriters(facts, policy, target), ...template];
  });
}
