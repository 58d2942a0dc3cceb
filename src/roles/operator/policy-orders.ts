import { readMarks, writeMarks } from '../../autoscaler/policy/order-marks.ts';
import { checkChange, describeOrders } from '../../autoscaler/policy/order-rules.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type KubeObject, type KubeResource, kubePath } from '../../core/kubernetes.ts';
import type { PoolOrder } from '../../core/pool-orders.ts';
import type { Cluster } from './cluster.ts';

/** The orders that a ScalePolicy's annotations give, and what is wrong with them; one sentence each. */
export function ordersOf(policy: KubeObject, nowEpochMs: number): readonly string[] {
  const { order, problems } = readMarks(policy.metadata.annotations ?? {}, nowEpochMs);
  return [...describeOrders(order, nowEpochMs), ...problems];
}

/**
 * Writes an order of a person into the annotations of a ScalePolicy; the policy as it then is. Throws a
 * PilotlightError that names field, value and limit, or a KubeApiError.
 */
export async function givePolicyOrder(
  cluster: Cluster,
  resource: KubeResource,
  policy: KubeObject,
  change: Partial<PoolOrder>,
  { nowEpochMs, signal }: { readonly nowEpochMs: number; readonly signal: AbortSignal },
): Promise<KubeObject> {
  const checked = checkChange(change, nowEpochMs);
  if (!checked.ok) throw new PilotlightError('invalid_value', `${checked.problem}.`, { param: checked.field });
  const most = mostReplicas(policy);
  if (change.wakeReplicas !== undefined && change.wakeReplicas > most) {
    const message = `--replicas is ${change.wakeReplicas}; the targets of the pool allow ${most} together (maxReplicas).`;
    throw new PilotlightError('invalid_value', message, { param: 'replicas' });
  }
  const { namespace = 'default', name } = policy.metadata;
  return (await cluster.api.request({
    method: 'PATCH',
    patch: 'merge',
    path: kubePath(resource, namespace, name),
    query: { fieldManager: 'pilotlight-cli' },
    body: { metadata: { annotations: writeMarks(checked.change) } },
    signal,
  })) as KubeObject;
}

function mostReplicas({ spec }: KubeObject): number {
  const { targets = [] } = (spec ?? {}) as { readonly targets?: readonly { readonly maxReplicas?: number }[] };
  return targets.reduce((sum, { maxReplicas = 1 }) => sum + maxReplicas, 0);
}
