import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import {
  KUBE_MARKS,
  type KubeApi,
  KubeApiError,
  type KubeObject,
  kubePath,
  type ObjectFeed,
} from '../../../core/kubernetes.ts';
import type { CatalogSource, PoolKey, PoolSpec } from '../../../core/objects.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../../core/pool-orders.ts';
import { readMarks, writeMarks } from '../../policy/order-marks.ts';
import { inForce, isOrder } from '../../policy/order-rules.ts';
import { checkedChange, OrderListeners } from './checked.ts';

export interface KubernetesPoolOrdersDeps {
  readonly api: KubeApi;
  /** Of ScalePolicies. One that can be shown the answer to a write at once is. */
  readonly policies: ObjectFeed & { applyLocal?(object: KubeObject): boolean };
  readonly catalog: CatalogSource;
  readonly clock: Clock;
}

export interface OrderMarkProblem {
  readonly pool: PoolKey;
  /** One sentence with the remedy. */
  readonly problem: string;
}

const MARKS: readonly string[] = [
  KUBE_MARKS.paused,
  KUBE_MARKS.wakeUntil,
  KUBE_MARKS.wakeReplicas,
  KUBE_MARKS.drainUntil,
  KUBE_MARKS.orderedBy,
];

/**
 * Orders of people as annotations of the pool's ScalePolicy: they outlive every process of ours, and `kubectl annotate`
 * gives them too. `of` follows a `set` as soon as the feed has heard of it.
 */
export class KubernetesPoolOrders implements PoolOrders {
  readonly #deps: KubernetesPoolOrdersDeps;
  readonly #listeners = new OrderListeners();
  readonly #unlisten: () => void;
  /** What the marks of each pool said last, so that a status that we write ourselves is no news. */
  #told: ReadonlyMap<PoolKey, string> = new Map();

  constructor(deps: KubernetesPoolOrdersDeps) {
    this.#deps = deps;
    this.#unlisten = deps.policies.onChange(() => this.#tellNews());
  }

  close(): void {
    this.#unlisten();
  }

  of(pool: PoolKey): PoolOrder {
    const nowEpochMs = this.#deps.clock.epochMs();
    const left = inForce(readMarks(this.#annotations(pool), nowEpochMs).order, nowEpochMs);
    return isOrder(left) ? left : NO_ORDER;
  }

  /** Annotations that are ignored. */
  problems(): readonly OrderMarkProblem[] {
    return this.#pools().flatMap(({ key }) => this.problemsOf(key).map((problem) => ({ pool: key, problem })));
  }

  /** Those of one pool, one sentence each. Costs the same however many pools there are. */
  problemsOf(pool: PoolKey): readonly string[] {
    return readMarks(this.#annotations(pool), this.#deps.clock.epochMs()).problems;
  }

  /**
   * Throws `invalid_value` for a change that cannot be and for a pool without a ScalePolicy, `store_unavailable` when the
   * API server is not reached or refuses.
   */
  async set(pool: PoolKey, change: Partial<PoolOrder>): Promise<void> {
    const { api, policies, catalog, clock } = this.#deps;
    const annotations = writeMarks(checkedChange(change, clock.epochMs()));
    const spec = catalog.current().pools.get(pool);
    if (spec === undefined || spec.policyName === null) {
      const message = `pool: ${pool} has no ScalePolicy that could keep an order. Make one first.`;
      throw new PilotlightError('invalid_value', message, { param: 'pool' });
    }
    try {
      const written = await api.request({
        method: 'PATCH',
        patch: 'merge',
        path: kubePath(policies.resource, spec.namespace, spec.policyName),
        query: { fieldManager: 'pilotlight-orders' },
        body: { metadata: { annotations } },
      });
      policies.applyLocal?.(written as KubeObject);
    } catch (thrown) {
      throw refusal(thrown, spec);
    }
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    return this.#listeners.add(listener);
  }

  #pools(): readonly PoolSpec[] {
    return [...this.#deps.catalog.current().pools.values()].filter(({ policyName }) => policyName !== null);
  }

  #annotations(pool: PoolKey): Readonly<Record<string, string>> {
    const spec = this.#deps.catalog.current().pools.get(pool);
    if (spec === undefined || spec.policyName === null) return {};
    return this.#deps.policies.get(spec.namespace, spec.policyName)?.metadata.annotations ?? {};
  }

  #tellNews(): void {
    const before = this.#told;
    this.#told = new Map(this.#pools().map(({ key }) => [key, marksOf(this.#annotations(key))]));
    for (const [pool, marks] of this.#told) if ((before.get(pool) ?? '') !== marks) this.#listeners.tell(pool);
  }
}

function marksOf(annotations: NonNullable<KubeObject['metadata']['annotations']>): string {
  const marks = MARKS.flatMap((mark) => (annotations[mark] === undefined ? [] : [[mark, annotations[mark]]]));
  return marks.length === 0 ? '' : JSON.stringify(marks);
}

function refusal(thrown: unknown, { key, namespace, policyName }: PoolSpec): unknown {
  if (!(thrown instanceof KubeApiError)) return thrown;
  const policy = `ScalePolicy ${namespace}/${policyName}`;
  if (thrown.status === 404) {
    const message = `pool: ${policy} of pool ${key} does not exist any more.`;
    return new PilotlightError('invalid_value', message, { param: 'pool', cause: thrown });
  }
  const why =
    thrown.status === 403
      ? `this process may not patch scalepolicies in namespace ${namespace}: grant it that verb`
      : `the API server did not take it (${thrown.message}): give the order again`;
  return new PilotlightError('store_unavailable', `The order was not stored in ${policy}: ${why}.`, { cause: thrown });
}
