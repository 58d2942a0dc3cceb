import type { PolicyCondition, PolicyConditionType, ScalePolicyStatus } from '../../../src/core/policy-status.ts';
import { eventually } from './eventually.ts';
import type { TestNamespace } from './namespace.ts';

/** Undefined until a controller wrote it. */
export async function policyStatus(namespace: TestNamespace, name: string): Promise<ScalePolicyStatus | undefined> {
  const policy = await namespace.get('pilotlight.dev/v1alpha1', 'ScalePolicy', name);
  return policy?.status as ScalePolicyStatus | undefined;
}

export function condition(
  status: ScalePolicyStatus | undefined,
  type: PolicyConditionType,
): PolicyCondition | undefined {
  return status?.conditions.find((one) => one.type === type);
}

/** Waits for a condition of a ScalePolicy; on failure the whole status is part of the error. */
export async function untilCondition(
  namespace: TestNamespace,
  name: string,
  type: PolicyConditionType,
  holds: (condition: PolicyCondition) => boolean,
  deadlineMs = 60_000,
): Promise<PolicyCondition> {
  let found: PolicyCondition | undefined;
  let status: ScalePolicyStatus | undefined;
  const isSo = async () => {
    status = await policyStatus(namespace, name);
    found = condition(status, type);
    return found !== undefined && holds(found);
  };
  await eventually(isSo, `condition ${type} of ${name}`, deadlineMs).catch((error: unknown) => {
    throw new Error(`${String(error)}\n${JSON.stringify(status, null, 1)}`);
  });
  if (!found) throw new Error('unreachable');
  return found;
}

/** What the workload's own object asks for. */
export async function specReplicas(namespace: TestNamespace, name: string, kind = 'Deployment'): Promise<number> {
  const workload = await namespace.get('apps/v1', kind, name);
  return (workload?.spec as { replicas?: number } | undefined)?.replicas ?? 0;
}
