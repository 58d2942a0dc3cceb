import type { KubeObject } from '../../../core/kubernetes.ts';
import type { WorkloadView } from '../../workload/read-workload.ts';
import { type Finding, ok, skip, warn } from '../facts.ts';

const CHECK = 'disruption';
const SAFE_TO_EVICT = 'cluster-autoscaler.kubernetes.io/safe-to-evict';
const DO_NOT_DISRUPT = 'karpenter.sh/do-not-disrupt';

/** Whether node autoscalers leave the pods alone, and whether a budget stands in the way of the last replica. */
export function checkDisruption(workload: WorkloadView, budgets: readonly KubeObject[] | null): readonly Finding[] {
  return [annotations(workload), budget(workload, budgets)];
}

function annotations({ annotations: has, name }: WorkloadView): Finding {
  const missing = [
    ...(has[SAFE_TO_EVICT] === 'false' ? [] : [`${SAFE_TO_EVICT}: "false"`]),
    ...(has[DO_NOT_DISRUPT] === 'true' ? [] : [`${DO_NOT_DISRUPT}: "true"`]),
  ];
  if (missing.length === 0) return ok(CHECK, `node autoscalers leave pods of ${name} where they are`);
  const found = `a node autoscaler may move pods of ${name} to save a node, and throw a boot and running answers away`;
  return warn(
    CHECK,
    found,
    `annotate its pod template: ${missing.join(', ')} (the one of your node autoscaler is enough)`,
  );
}

interface BudgetSpec {
  readonly minAvailable?: number | string;
  readonly maxUnavailable?: number | string;
  readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
}

function budget({ labels, name }: WorkloadView, budgets: readonly KubeObject[] | null): Finding {
  if (budgets === null) return skip(CHECK, 'PodDisruptionBudgets could not be listed');
  const own = budgets.find(({ spec }) => {
    const wanted = Object.entries((spec as BudgetSpec | undefined)?.selector?.matchLabels ?? {});
    return wanted.length > 0 && wanted.every(([label, value]) => labels[label] === value);
  });
  if (own === undefined) {
    return ok(
      CHECK,
      `no PodDisruptionBudget on ${name}: a node drain may end several replicas at once; Pilotlight holds the calls`,
    );
  }
  const { minAvailable, maxUnavailable } = (own.spec ?? {}) as BudgetSpec;
  const blocks =
    maxUnavailable === 0 ||
    maxUnavailable === '0%' ||
    minAvailable === '100%' ||
    (typeof minAvailable === 'number' && minAvailable > 0);
  if (!blocks) return ok(CHECK, `PodDisruptionBudget ${own.metadata.name} lets pods of ${name} go`);
  const bound = minAvailable === undefined ? `maxUnavailable ${maxUnavailable}` : `minAvailable ${minAvailable}`;
  const found = `PodDisruptionBudget ${own.metadata.name} (${bound}) keeps the last pods of ${name} on their node: a node drain hangs there (Pilotlight itself is not bound by it)`;
  return warn(CHECK, found, `maxUnavailable: 1 in ${own.metadata.name}; with scale to zero, minAvailable cannot hold`);
}
