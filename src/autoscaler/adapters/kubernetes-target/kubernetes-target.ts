import type { Clock } from '../../../core/clock.ts';
import { asError } from '../../../core/errors.ts';
import type { KubeApi, Leadership, ObjectFeed } from '../../../core/kubernetes.ts';
import type { Logger } from '../../../core/logger.ts';
import type { CatalogSource, PoolKey, PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import type { AutoscalerMetrics } from '../../metrics.ts';
import { targetOf } from '../../policy/kube/assign.ts';
import { type OtherScaler, otherScaler } from '../../policy/kube/other-scalers.ts';
import type { Pod } from '../../policy/kube/pod.ts';
import type { KubeEvent } from '../../policy/kube/pod-events.ts';
import type { TargetReplica } from '../../policy/target-replica.ts';
import type { ScaleTargetPort, StartOrder, TargetState } from '../../ports.ts';
import { Denials } from './denials.ts';
import { MarkSweep } from './mark-sweep.ts';
import { PodEventIndex } from './pod-event-index.ts';
import { PodMarks } from './pod-marks.ts';
import { PodReplicas } from './pod-replicas.ts';
import type { PoolPods } from './pool-pods.ts';
import { type Probe, ReachProbe } from './reach-probe.ts';
import { releasePool } from './release.ts';
import { ScaleResources } from './scale-resources.ts';
import { stopReplicas } from './stop-replicas.ts';
import { targetState } from './target-state.ts';
import { Workloads } from './workloads.ts';

/** A workload that could not be read for this long is not known any more. */
const BLIND_AFTER_MS = 60_000;

export interface KubernetesTargetOptions {
  readonly api: KubeApi;
  readonly pods: PoolPods;
  readonly catalog: CatalogSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly leadership: Leadership;
  /** Its name in marks on pods. */
  readonly installation: string;
  readonly metrics: Pick<AutoscalerMetrics, 'wrongVictimsTotal'>;
  /** Events of pods refine phases; null = do without. */
  readonly events: ObjectFeed<KubeEvent> | null;
  /** What else may scale our workloads: HorizontalPodAutoscalers and KEDA's ScaledObjects, by the name of their kind. */
  readonly otherScalers: Readonly<Record<string, ObjectFeed<OtherScaler>>>;
  /** Whether the server at that url answers; null = what Kubernetes calls ready is believed. */
  readonly probe: Probe | null;
}

/** Scales anything with a /scale, and knows its pods as replicas. Writes only while this process leads. */
export class KubernetesTarget implements ScaleTargetPort {
  readonly #options: KubernetesTargetOptions;
  readonly #denials: Denials;
  readonly #workloads: Workloads;
  readonly #marks: PodMarks;
  readonly #events: PodEventIndex;
  readonly #probe: ReachProbe;
  readonly #sweep: MarkSweep;
  readonly #pools = new Map<PoolKey, PodReplicas>();
  readonly #specs = new Map<PoolKey, PoolSpec>();
  readonly #told = new Map<PoolKey, string>();
  readonly #listeners = new Set<(pool: PoolKey) => void>();
  readonly #stops: (() => void)[];

  constructor(options: KubernetesTargetOptions) {
    const { api, pods, catalog, clock, leadership, installation, log } = options;
    this.#options = options;
    this.#denials = new Denials(clock);
    this.#marks = new PodMarks({ api, pods, denials: this.#denials, leadership, clock, installation });
    this.#events = new PodEventIndex(options.events);
    this.#probe = new ReachProbe(options.probe, clock, (uid) => this.#refreshAll(pods.get(uid)?.pools ?? []));
    const resources = new ScaleResources(api, clock);
    const world = { api, clock, resources, denials: this.#denials, leadership };
    // A leader still has to drain and release what is gone; nobody asks this of another process.
    const isKept = (pool: PoolKey): boolean => leadership.isLeader() && this.#specs.has(pool);
    pods.keep(isKept);
    this.#workloads = new Workloads(world, catalog, (pool) => this.#onRead(pool), isKept);
    this.#follow();
    const owns = (pod: Pod, pool: PoolKey): boolean => this.#owns(pod, pool);
    this.#sweep = new MarkSweep({ pods, marks: this.#marks, leadership, installation, clock, log, owns });
    this.#stops = [
      catalog.onChange(() => this.#follow()),
      pods.onChange((pool) => this.#onPods(pool)),
      leadership.onChange((isLeader) => isLeader && this.#workloads.readAll()),
      ...Object.values(options.otherScalers).map((feed) => feed.onChange(() => this.#refreshAll(this.#specs.keys()))),
      ...(options.events === null ? [] : [options.events.onChange((event) => this.#onEvent(event))]),
    ];
  }

  supports(target: ScaleTarget): boolean {
    return target.scaleTargetRef !== undefined;
  }

  state(pool: PoolKey, target: ScaleTarget): TargetState {
    const spec = this.#specs.get(pool);
    const workload = spec === undefined ? undefined : this.#workloads.of(spec, target);
    const owner = spec === undefined ? undefined : this.#workloads.ownerOf(spec, target);
    const ref = target.scaleTargetRef;
    const replicas = spec === undefined ? [] : this.#of(pool).list(spec);
    const { namespace, name } = { namespace: spec?.namespace ?? '', name: ref?.name ?? '' };
    return targetState({
      workload: ref === undefined ? target.name : `${ref.kind} ${ref.name}`,
      view: workload?.view ?? null,
      missing: workload?.missing ?? null,
      error: workload?.error ?? null,
      createFailure: spec === undefined ? null : this.#of(pool).createFailure(spec, target),
      writers: workload?.writers ?? { replicas: null, hold: null, fight: null },
      otherScaler: spec === undefined ? null : this.#otherScaler(spec, target),
      takenBy: owner === undefined || owner === pool ? null : owner,
      sharedPods: this.#sharedPods(pool),
      denied: this.#denials.why(namespace, name) ?? this.#unseenScalers(),
      scaleDenied: this.#denials.matches(namespace, name, /^patch .*\/scale$/),
      troubles: replicas.flatMap(({ target: name, trouble }) => (name === target.name && trouble ? [trouble] : [])),
    });
  }

  available(pool: PoolKey): { readonly ok: true } | { readonly ok: false; readonly why: string } {
    const { state, why } = this.#options.pods.freshness();
    if (state !== 'live') {
      const known = state === 'stale' ? 'what is known of pods is old' : 'pods were not listed yet';
      return { ok: false, why: why === null ? known : `${known}: ${why}` };
    }
    const spec = this.#specs.get(pool);
    for (const target of spec?.targets ?? []) {
      const workload = spec && this.#workloads.of(spec, target);
      if (workload === undefined || workload.isKnown(this.#options.clock.monotonicMs() - BLIND_AFTER_MS)) continue;
      const because = workload.error === null ? '' : `: ${workload.error}`;
      return { ok: false, why: `${workload.ref.kind} ${workload.ref.name} cannot be read${because}` };
    }
    return { ok: true };
  }

  replicas(pool: PoolKey): readonly TargetReplica[] {
    const spec = this.#specs.get(pool);
    return spec === undefined ? [] : this.#of(pool).list(spec);
  }

  async start({ pool, target, count }: StartOrder): Promise<void> {
    const refused = this.state(pool.key, target).noUpWhy;
    if (refused !== null) throw new Error(refused);
    const workload = this.#workloads.of(pool, target);
    if (workload === undefined) throw new Error(`target ${target.name} has no scaleTargetRef`);
    const before = workload.view?.replicas ?? null;
    const replicas = await workload.change((now) => Math.max(now, Math.min(target.maxReplicas, now + count)));
    const { namespace, ref } = workload;
    this.#options.log.info(
      { pool: pool.key, namespace, kind: ref.kind, name: ref.name, before, replicas, asked: count },
      'target.replicas_raised',
    );
    this.#workloads.stir(pool, target);
    this.#tell(pool.key);
  }

  /** Nothing to do: targets and endpoints follow the catalog themselves. */
  configure(_pool: PoolSpec): void {}

  async drain(pool: PoolKey, uids: readonly string[]): Promise<void> {
    await this.#marks.drain(this.#podsOf(pool, uids));
  }

  async undrain(pool: PoolKey, uids: readonly string[]): Promise<void> {
    await this.#marks.clear(this.#podsOf(pool, uids));
  }

  async stop(pool: PoolKey, uids: readonly string[]): Promise<readonly string[]> {
    const spec = this.#specs.get(pool);
    if (spec === undefined) return [];
    const ended: string[] = [];
    const failures: string[] = [];
    for (const target of spec.targets.filter((one) => this.supports(one))) {
      try {
        ended.push(...(await this.#stopOf(spec, target, uids)));
      } catch (thrown) {
        failures.push(`${target.name}: ${asError(thrown).message}`);
      }
    }
    if (ended.length > 0) this.#tell(pool);
    if (failures.length > 0 && ended.length === 0) throw new Error(failures.join('; '));
    if (failures.length > 0) this.#options.log.warn({ pool, failures }, 'target.stop_failed');
    return ended;
  }

  async release(pool: PoolSpec): Promise<void> {
    const { log } = this.#options;
    const scalers = (target: ScaleTarget): string | null => this.#otherScaler(pool, target);
    await releasePool({ pool, marks: this.#marks, workloads: this.#workloads, otherScaler: scalers, log });
    if (this.#options.catalog.current().pools.has(pool.key)) return;
    this.#forget(pool.key);
  }

  onReplicaChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resolves when every workload known so far was asked for once. */
  settled(): Promise<void> {
    return this.#workloads.settled();
  }

  /** Ends everything of its own; workloads and pods stay as they are. */
  close(): void {
    for (const stop of this.#stops) stop();
    this.#sweep.close();
    this.#workloads.close();
    this.#events.close();
    this.#probe.close();
    this.#listeners.clear();
  }

  #stopOf(spec: PoolSpec, target: ScaleTarget, uids: readonly string[]): Promise<readonly string[]> {
    const workload = this.#workloads.of(spec, target);
    if (workload === undefined) return Promise.resolve([]);
    return stopReplicas({
      spec,
      target,
      uids: new Set(uids),
      workload,
      replicas: this.#of(spec.key),
      marks: this.#marks,
      refused: this.state(spec.key, target).noDownWhy,
      log: this.#options.log,
    });
  }

  #of(pool: PoolKey): PodReplicas {
    const known = this.#pools.get(pool);
    if (known !== undefined) return known;
    const { clock, pods } = this.#options;
    const deps = { clock, pods, workloads: this.#workloads, events: this.#events, probe: this.#probe };
    const replicas = new PodReplicas(pool, deps);
    this.#pools.set(pool, replicas);
    return replicas;
  }

  #podsOf(pool: PoolKey, uids: readonly string[]) {
    const wanted = new Set(uids);
    return this.#options.pods.of(pool).flatMap(({ pod }) => (wanted.has(pod.metadata.uid ?? '') ? [pod] : []));
  }

  /** Whether a target of that pool may have set the marks of this pod; also while its workload is not known. */
  #owns(pod: Pod, key: PoolKey): boolean {
    const pool = this.#specs.get(key);
    if (pool === undefined || pool.scale.mode !== 'Native') return false;
    const isUnread = (target: ScaleTarget): boolean => this.#workloads.of(pool, target)?.view == null;
    return (
      targetOf(pod, pool.targets) !== null || this.#of(key).targetOf(pool, pod) !== null || pool.targets.some(isUnread)
    );
  }

  /** A target that has left its policy is let alone as it is; its pods serve on without a mark of ours. */
  async #unmark(before: PoolSpec, now: PoolSpec): Promise<void> {
    const left = before.targets.filter(({ name }) => now.targets.every((target) => target.name !== name));
    if (left.length === 0 || !this.#options.leadership.isLeader()) return;
    const pods = this.#options.pods.of(now.key).map(({ pod }) => pod);
    try {
      await this.#marks.clear(
        pods.filter((pod) => targetOf(pod, left) !== null && targetOf(pod, now.targets) === null),
      );
    } catch (thrown) {
      this.#options.log.warn({ pool: now.key, error: asError(thrown).message }, 'target.unmark_failed');
    }
  }

  #forget(pool: PoolKey): void {
    this.#pools.get(pool)?.close();
    this.#pools.delete(pool);
    this.#specs.delete(pool);
    this.#told.delete(pool);
    if (this.#options.catalog.current().pools.has(pool)) return;
    this.#workloads.forget(pool);
    this.#options.pods.refresh();
  }

  #follow(): void {
    const { pools } = this.#options.catalog.current();
    const gone = this.#options.leadership.isLeader() ? [] : [...this.#specs.keys()].filter((key) => !pools.has(key));
    for (const key of gone) this.#forget(key);
    for (const [key, pool] of pools) {
      const before = this.#specs.get(key);
      if (before !== undefined && before !== pool) void this.#unmark(before, pool);
      this.#specs.set(key, pool);
      this.#of(key).observe(pool);
    }
    this.#refreshAll(this.#specs.keys());
  }

  #onPods(pool: PoolKey): void {
    const spec = this.#specs.get(pool);
    if (spec === undefined) return;
    const replicas = this.#of(pool);
    for (const { uid, target } of replicas.observe(spec)) this.#checkVictim(pool, target, uid, replicas);
    this.#tell(pool);
  }

  /** A pod of our target goes although we did not choose it: if one that we chose stays, the wrong one was taken. */
  #checkVictim(pool: PoolKey, target: string, uid: string, replicas: PodReplicas): void {
    if (replicas.isEnding(uid)) return;
    const [chosen] = replicas.stillThere(target);
    if (chosen === undefined) return;
    replicas.spared(chosen);
    this.#options.metrics.wrongVictimsTotal.inc({ pool });
    this.#options.log.warn({ pool, target, chosen, removed: uid }, 'target.wrong_victim');
  }

  /** What was read may belong to pods that were seen before it. */
  #onRead(pool: PoolKey): void {
    const spec = this.#specs.get(pool);
    if (spec !== undefined) this.#of(pool).observe(spec);
    this.#refreshAll([pool]);
  }

  #onEvent(event: KubeEvent | null): void {
    const { uid, kind, name } = event?.involvedObject ?? {};
    if (uid === undefined) return;
    const isOfTarget = ({ targets }: PoolSpec): boolean =>
      targets.some(({ scaleTargetRef: ref }) => ref?.kind === kind && ref?.name === name);
    const scaled = event?.reason === 'FailedCreate' ? [...this.#specs.values()].filter(isOfTarget) : [];
    this.#refreshAll([...(this.#options.pods.get(uid)?.pools ?? []), ...scaled.map(({ key }) => key)]);
  }

  #refreshAll(pools: Iterable<PoolKey>): void {
    for (const pool of [...pools]) {
      if (this.#fingerprint(pool) !== this.#told.get(pool)) this.#tell(pool);
    }
  }

  #tell(pool: PoolKey): void {
    this.#told.set(pool, this.#fingerprint(pool));
    for (const listener of this.#listeners) listener(pool);
  }

  #fingerprint(pool: PoolKey): string {
    const targets = this.#specs.get(pool)?.targets ?? [];
    const states = targets.map((target) => {
      const { noUpWhy, noDownWhy, templateHash, specReplicas, conditions } = this.state(pool, target);
      // Sentences with a time in them change all the time.
      const facts = conditions.map(({ type, status, reason }) => [type, status, reason]);
      return [noUpWhy === null, noDownWhy === null, templateHash, specReplicas, facts];
    });
    const replicas = this.replicas(pool).map(({ uid, phase, trouble, terminating }) => [
      uid,
      phase,
      trouble?.kind,
      trouble?.blocksOrders,
      terminating,
    ]);
    return JSON.stringify([states, replicas]);
  }

  #otherScaler({ namespace }: PoolSpec, { scaleTargetRef: ref }: ScaleTarget): string | null {
    if (ref === undefined) return null;
    for (const [kind, feed] of Object.entries(this.#options.otherScalers)) {
      const found = otherScaler(kind, feed.list(), namespace, ref);
      if (found !== null) return found;
    }
    return null;
  }

  /** Which other autoscalers could not be looked for, ever; null = none. A kind that is not installed scales nothing. */
  #unseenScalers(): string | null {
    for (const [kind, feed] of Object.entries(this.#options.otherScalers)) {
      const { state, heardAtEpochMs, why } = feed.freshness();
      if (state !== 'stale' || heardAtEpochMs !== null) continue;
      return `objects of kind ${kind} cannot be watched, so a second autoscaler is not noticed: ${why ?? 'no answer'}`;
    }
    return null;
  }

  #sharedPods(pool: PoolKey): string | null {
    const shared = this.#options.pods.of(pool).find(({ pools }) => pools.length > 1);
    if (shared === undefined) return null;
    const others = shared.pools.filter((other) => other !== pool).join(', ');
    return `pod ${shared.pod.metadata.name} is also selected by pool ${others}; make the selectors of the pools disjoint`;
  }
}
