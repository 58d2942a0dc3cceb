import type { Clock } from '../../../core/clock.ts';
import type { PoolKey, PoolSpec, ScaleTarget } from '../../../core/objects.ts';
import type { BootTrouble } from '../../../core/replicas.ts';
import { standsForReplica, targetOf } from '../../policy/kube/assign.ts';
import { activePorts, endpointId, hasEnded } from '../../policy/kube/endpoints.ts';
import { epochMs, isFinished, isTerminating, type Pod, restartsOf, uidOf } from '../../policy/kube/pod.ts';
import { createFailureFrom } from '../../policy/kube/pod-events.ts';
import { type PodMemory, seePod } from '../../policy/kube/pod-memory.ts';
import { type PodPhase, podPhase } from '../../policy/kube/pod-phase.ts';
import { ordinalOf } from '../../policy/kube/victims.ts';
import { podTemplateHash } from '../../policy/kube/workload.ts';
import type { TargetReplica } from '../../policy/target-replica.ts';
import { BirthList } from './birth-list.ts';
import type { PodEventIndex } from './pod-event-index.ts';
import type { PoolPods } from './pool-pods.ts';
import type { ReachProbe } from './reach-probe.ts';
import type { Workloads } from './workloads.ts';

/** A workload that was told to remove a pod, and has not done so in this time, will not: the pod counts again. */
const END_MS = 60_000;

/** A drain that was found marked is given at least so long, or the whole timeout if that is shorter: clocks differ. */
const FOUND_DRAIN_MS = 30_000;

export interface PodReplicasDeps {
  readonly clock: Clock;
  readonly pods: PoolPods;
  readonly workloads: Workloads;
  readonly events: PodEventIndex;
  readonly probe: ReachProbe;
}

interface Known {
  readonly target: string;
  readonly memory: PodMemory;
  /** When it was asked for, as far as that is known. */
  readonly requestedAtEpochMs: number;
  /** What the template of its target was when it was first seen, for kinds whose pods do not say. */
  readonly templateHash: string;
  phase: Pick<PodPhase, 'phase' | 'phaseSinceEpochMs'> | null;
}

/** The pods of one pool as replicas of its targets, with those that were asked for and have no pod yet. */
export class PodReplicas {
  readonly pool: PoolKey;
  readonly #deps: PodReplicasDeps;
  readonly #known = new Map<string, Known>();
  readonly #births = new Map<string, BirthList>();
  /** Pods that a patch of ours removes, since when (monotonic). */
  readonly #ending = new Map<string, number>();

  constructor(pool: PoolKey, deps: PodReplicasDeps) {
    this.pool = pool;
    this.#deps = deps;
  }

  /** To be called after each change of a pod of the pool. Returns the pods that began to terminate since the last time. */
  observe(spec: PoolSpec): readonly { readonly uid: string; readonly target: string }[] {
    const { clock, pods, probe } = this.#deps;
    const leaving: { uid: string; target: string }[] = [];
    const nowMs = clock.monotonicMs();
    const seen = pods.of(this.pool);
    const uids = new Set(seen.map(({ pod }) => uidOf(pod)));
    for (const uid of this.#known.keys()) if (!uids.has(uid)) this.#forget(uid);
    for (const uid of this.#ending.keys()) if (!uids.has(uid)) this.#ending.delete(uid);
    for (const { pod } of seen) {
      const target = this.targetOf(spec, pod);
      if (target === null) continue;
      const uid = uidOf(pod);
      const before = this.#known.get(uid);
      const memory = seePod(before?.memory, pod, nowMs);
      this.#known.set(uid, before === undefined ? this.#firstSeen(spec, target, pod, memory) : { ...before, memory });
      const [port] = spec.pods === null ? [] : activePorts(pod, spec.pods);
      if (memory.isReady && port !== undefined) probe.ask(uid, urlOf(pod, port));
      if (before?.memory.isTerminating === false && isTerminating(pod)) leaving.push({ uid, target: target.name });
      if (before === undefined || isTerminating(pod)) this.#deps.workloads.stir(spec, target);
    }
    return leaving;
  }

  list(spec: PoolSpec): readonly TargetReplica[] {
    const replicas = this.#deps.pods.of(this.pool).flatMap(({ pod }) => {
      const target = this.targetOf(spec, pod);
      const replica = target === null ? null : this.#replicaOf(spec, target, pod);
      return replica === null ? [] : [replica];
    });
    return [...replicas, ...spec.targets.flatMap((target) => this.#unborn(spec, target))];
  }

  /** Every pod of that target that stands for a replica. */
  pods(spec: PoolSpec, target: ScaleTarget): readonly Pod[] {
    const all = this.#deps.pods.of(this.pool).map(({ pod }) => pod);
    return all.filter((pod) => this.targetOf(spec, pod)?.name === target.name && standsForReplica(pod));
  }

  /** Those that the workload counts towards its replicas: not ended, not ending. */
  counted(spec: PoolSpec, target: ScaleTarget): readonly Pod[] {
    return this.pods(spec, target).filter(
      (pod) => !isTerminating(pod) && !isFinished(pod) && !this.isEnding(uidOf(pod)),
    );
  }

  targetOf(spec: PoolSpec, pod: Pod): ScaleTarget | null {
    const { workloads } = this.#deps;
    const target = targetOf(pod, spec.targets, (one) => workloads.of(spec, one)?.view?.selector ?? null);
    // What another pool scales is not ours to list: its replicas would be drained by two.
    return target !== null && workloads.ownerOf(spec, target) === this.pool ? target : null;
  }

  /** Told to go by a patch of ours. */
  end(uids: readonly string[]): void {
    for (const uid of uids) this.#ending.set(uid, this.#deps.clock.monotonicMs());
  }

  isEnding(uid: string): boolean {
    const sinceMs = this.#ending.get(uid);
    return sinceMs !== undefined && this.#deps.clock.monotonicMs() - sinceMs < END_MS;
  }

  /** Pods of that target that were told to go and are not terminating. */
  stillThere(target: string): readonly string[] {
    return [...this.#ending.keys()].filter((uid) => {
      const pod = this.#deps.pods.get(uid)?.pod;
      return pod !== undefined && !isTerminating(pod) && this.#known.get(uid)?.target === target;
    });
  }

  /** The workload removed another one in its place. */
  spared(uid: string): void {
    this.#ending.delete(uid);
  }

  unborn(target: ScaleTarget): BirthList {
    const known = this.#births.get(target.name) ?? new BirthList(target.name);
    this.#births.set(target.name, known);
    return known;
  }

  /** Brings the list of those without a pod up to date; to be called when the number asked for has changed. */
  recount(spec: PoolSpec, target: ScaleTarget): void {
    const workload = this.#deps.workloads.of(spec, target);
    const isOwn = this.#deps.workloads.ownerOf(spec, target) === this.pool;
    const asked = isOwn ? (workload?.view?.replicas ?? 0) : 0;
    const missing = Math.max(0, asked - this.counted(spec, target).length);
    this.unborn(target).resize(missing, this.#deps.clock.epochMs());
  }

  /** What keeps missing pods of that target from being created, as its controller said; null = nothing is known. */
  createFailure(spec: PoolSpec, target: ScaleTarget): string | null {
    const { workloads, events, clock } = this.#deps;
    const view = workloads.of(spec, target)?.view ?? null;
    if (view === null || view.createFailure !== null) return view?.createFailure ?? null;
    const isMissing = view.replicas > this.counted(spec, target).length;
    return isMissing ? createFailureFrom(events.of(view.uid), clock.epochMs()) : null;
  }

  close(): void {
    for (const uid of [...this.#known.keys()]) this.#forget(uid);
  }

  #forget(uid: string): void {
    this.#known.delete(uid);
    this.#deps.probe.forget(uid);
  }

  #firstSeen(spec: PoolSpec, target: ScaleTarget, pod: Pod, memory: PodMemory): Known {
    const nowEpochMs = this.#deps.clock.epochMs();
    const createdMs = Math.min(nowEpochMs, epochMs(pod.metadata.creationTimestamp) ?? nowEpochMs);
    const isNew = !isTerminating(pod) && !isFinished(pod);
    const askedAtMs = isNew ? this.unborn(target).born() : null;
    const view = this.#deps.workloads.of(spec, target)?.view;
    const hash = podTemplateHash(target.scaleTargetRef?.kind ?? '', pod.metadata.labels);
    const templateHash = hash ?? view?.templateHash ?? 'unknown';
    return { target: target.name, memory, requestedAtEpochMs: askedAtMs ?? createdMs, templateHash, phase: null };
  }

  #replicaOf(spec: PoolSpec, target: ScaleTarget, pod: Pod): TargetReplica | null {
    if (!standsForReplica(pod)) return null;
    const uid = uidOf(pod);
    const known = this.#known.get(uid);
    if (known === undefined) return null;
    const seen = this.#phaseOf(spec, pod, known);
    if (seen === null) return null;
    const ending = this.isEnding(uid) && !seen.terminating;
    const phase = ending ? 'Draining' : seen.phase;
    // A phase begins once: what the pod says of its time may move, and for some nothing says it.
    if (known.phase?.phase !== phase) {
      known.phase = { phase, phaseSinceEpochMs: this.#phaseSince(spec, seen, known, phase) };
    }
    return {
      uid,
      pool: this.pool,
      target: target.name,
      phase,
      requestedAtEpochMs: known.requestedAtEpochMs,
      phaseSinceEpochMs: known.phase.phaseSinceEpochMs,
      readyAtEpochMs: seen.readyAtEpochMs,
      endpointIds: known.memory.hasBeenReady ? endpointIdsOf(spec, pod) : [],
      message: seen.trouble?.message ?? null,
      restarts: restartsOf(pod),
      trouble: seen.trouble,
      templateHash: this.#hashOf(spec, target, known),
      removalOrder: ordinalOf(pod),
      terminating: seen.terminating || ending,
    };
  }

  /**
   * By the pod, but for our drain mark, which another process' clock may have stamped: a drain that was seen to begin
   * counts from then, and one that was found has some time left however old it says it is.
   */
  #phaseSince(spec: PoolSpec, seen: PodPhase, { phase: before }: Known, phase: PodPhase['phase']): number {
    if (phase !== 'Draining' || seen.terminating) return seen.phaseSinceEpochMs;
    const nowEpochMs = this.#deps.clock.epochMs();
    if (before !== null) return nowEpochMs;
    const oldestMs = Math.max(0, spec.scale.drainTimeoutMs - FOUND_DRAIN_MS);
    return Math.max(seen.phaseSinceEpochMs, nowEpochMs - oldestMs);
  }

  #phaseOf(spec: PoolSpec, pod: Pod, { memory }: Known): PodPhase | null {
    const { clock, pods, events, probe } = this.#deps;
    const nowMs = clock.monotonicMs();
    const uid = uidOf(pod);
    return podPhase(pod, {
      inStageMs: nowMs - memory.stageSinceMs,
      nowEpochMs: clock.epochMs(),
      events: events.of(uid),
      deviceFreesSoon: pods.terminating().some((other) => uidOf(other) !== uid && !hasEnded(other)),
      readyDrops: memory.readyDropsMs.length,
      bootingMs: memory.scheduledSinceMs === null ? null : nowMs - memory.scheduledSinceMs,
      bootTimeoutMs: spec.scale.bootTimeoutMs,
      reached: probe.reached(uid),
    });
  }

  #hashOf(spec: PoolSpec, target: ScaleTarget, known: Known): string {
    // Before the workload was read, nothing is known that could be remembered.
    if (known.templateHash !== 'unknown') return known.templateHash;
    return this.#deps.workloads.of(spec, target)?.view?.templateHash ?? 'unknown';
  }

  #unborn(spec: PoolSpec, target: ScaleTarget): readonly TargetReplica[] {
    if (this.#deps.workloads.ownerOf(spec, target) !== this.pool) return [];
    this.recount(spec, target);
    const workload = this.#deps.workloads.of(spec, target);
    const trouble = createTrouble(this.createFailure(spec, target));
    const counted = this.counted(spec, target);
    const isNumbered = counted.some((pod) => ordinalOf(pod) !== null) || target.scaleTargetRef?.kind === 'StatefulSet';
    return this.unborn(target).list.map(({ uid, askedAtEpochMs }, index) => ({
      uid,
      pool: this.pool,
      target: target.name,
      phase: 'Requested',
      requestedAtEpochMs: askedAtEpochMs,
      phaseSinceEpochMs: askedAtEpochMs,
      readyAtEpochMs: null,
      endpointIds: [],
      message: trouble?.message ?? null,
      restarts: 0,
      trouble,
      templateHash: workload?.view?.templateHash ?? 'unknown',
      removalOrder: isNumbered ? counted.length + index : null,
      terminating: false,
    }));
  }
}

function createTrouble(failure: string | null): BootTrouble | null {
  if (failure === null) return null;
  const remedy = 'raise the quota, free what uses it, or correct what the admission refuses';
  return {
    kind: /quota/i.test(failure) ? 'QuotaExceeded' : 'AdmissionRejected',
    message: `the pod cannot be created: ${failure}; ${remedy}`,
    permanent: false,
    blocksOrders: true,
  };
}

function endpointIdsOf(spec: PoolSpec, pod: Pod): readonly string[] {
  const ip = pod.status?.podIP ?? '';
  if (spec.pods === null || ip === '') return [];
  return activePorts(pod, spec.pods).map((port) => endpointId(uidOf(pod), ip, port));
}

function urlOf(pod: Pod, port: number): string {
  const ip = pod.status?.podIP ?? '';
  return `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
}
