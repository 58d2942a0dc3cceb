import type { Clock } from '../../../core/clock.ts';
import { KUBE_MARKS, type KubeApi, KubeApiError, kubePath, type Leadership } from '../../../core/kubernetes.ts';
import type { PoolSpec } from '../../../core/objects.ts';
import { formatMark, VICTIM_COST, withoutMarks } from '../../policy/kube/drain-mark.ts';
import { namespaceOf, type Pod, uidOf } from '../../policy/kube/pod.ts';
import { FIELD_MANAGER } from '../../policy/kube/writers.ts';
import type { Denials, Right } from './denials.ts';
import type { PoolPods } from './pool-pods.ts';
import { assertLeader } from './workload.ts';

const AT_ONCE = 16;
const PODS = { group: '', version: 'v1', plural: 'pods' } as const;

export interface PodMarksDeps {
  readonly api: KubeApi;
  readonly pods: PoolPods;
  readonly denials: Denials;
  readonly leadership: Leadership;
  readonly clock: Clock;
  /** Named in each mark, so that no other one takes it for its own. */
  readonly installation: string;
}

/** Writes our marks on pods. Each write names the pod by uid; a pod that is gone by then needs none. */
export class PodMarks {
  readonly #deps: PodMarksDeps;

  constructor(deps: PodMarksDeps) {
    this.#deps = deps;
  }

  /** The mark says who set it, in which term and when. */
  drain(pods: readonly Pod[]): Promise<void> {
    const mark = this.#mark();
    return this.#annotate(pods, () => ({ [KUBE_MARKS.drain]: mark }));
  }

  /** Lets these go first among the ready pods of a ReplicaSet. */
  chooseAsVictims(pods: readonly Pod[]): Promise<void> {
    const unmarked = pods.filter((pod) => pod.metadata.annotations?.[KUBE_MARKS.podDeletionCost] !== VICTIM_COST);
    const marks = { [KUBE_MARKS.podDeletionCost]: VICTIM_COST, [KUBE_MARKS.victim]: this.#mark() };
    return this.#annotate(unmarked, () => marks);
  }

  /** Removes every mark of ours; a deletion cost that is not ours stays. */
  clear(pods: readonly Pod[]): Promise<void> {
    return this.#annotate(pods.filter(isMarked), withoutMarks);
  }

  /** Pods of the pool that carry a mark of ours, as the API server has them now. */
  async marked(pool: PoolSpec): Promise<readonly Pod[]> {
    if (pool.pods === null) return [];
    const labelSelector = Object.entries(pool.pods.matchLabels).map(([name, value]) => `${name}=${value}`);
    const answer = await this.#deps.denials.ask(onPods('list', pool.namespace), () =>
      this.#deps.api.request({
        method: 'GET',
        path: kubePath(PODS, pool.namespace),
        query: { labelSelector: labelSelector.join(',') },
      }),
    );
    return ((answer as { items?: readonly Pod[] }).items ?? []).filter(isMarked);
  }

  /** Removes the pod; its name may already belong to another one, which stays. */
  async delete(pod: Pod): Promise<void> {
    assertLeader(this.#deps.leadership);
    const path = kubePath(PODS, namespaceOf(pod), pod.metadata.name);
    const body = { preconditions: { uid: uidOf(pod) } };
    await ignoreGone(
      this.#deps.denials.ask(onPods('delete', namespaceOf(pod)), () =>
        this.#deps.api.request({ method: 'DELETE', path, body }),
      ),
    );
  }

  #mark(): string {
    const { leadership, clock, installation } = this.#deps;
    return formatMark(leadership.term() ?? 0, clock.epochMs(), installation);
  }

  async #annotate(pods: readonly Pod[], marks: (pod: Pod) => Readonly<Record<string, string | null>>): Promise<void> {
    for (let first = 0; first < pods.length; first += AT_ONCE) {
      await Promise.all(pods.slice(first, first + AT_ONCE).map((pod) => this.#patch(pod, marks(pod))));
    }
  }

  async #patch(pod: Pod, annotations: Readonly<Record<string, string | null>>): Promise<void> {
    assertLeader(this.#deps.leadership);
    const written = await ignoreGone(
      this.#deps.denials.ask(onPods('patch', namespaceOf(pod)), () =>
        this.#deps.api.request({
          method: 'PATCH',
          path: kubePath(PODS, namespaceOf(pod), pod.metadata.name),
          patch: 'merge',
          query: { fieldManager: FIELD_MANAGER },
          body: { metadata: { uid: uidOf(pod), annotations } },
        }),
      ),
    );
    if (written !== null) this.#deps.pods.wrote(written as Pod);
  }
}

function onPods(verb: string, namespace: string): Right {
  return { what: `${verb} pods`, namespace, name: null };
}

function isMarked(pod: Pod): boolean {
  return Object.keys(withoutMarks(pod)).length > 0;
}

/** Null when the pod is gone, or another one has its name. */
async function ignoreGone(write: Promise<unknown>): Promise<unknown> {
  try {
    return await write;
  } catch (thrown) {
    if (thrown instanceof KubeApiError && [404, 409, 422].includes(thrown.status)) return null;
    throw thrown;
  }
}
