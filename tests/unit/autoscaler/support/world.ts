import type { TargetReplica } from '../../../../src/autoscaler/policy/target-replica.ts';
import type { EngineActivity, ScaleTargetPort, StartOrder, TargetState } from '../../../../src/autoscaler/ports.ts';
import type { Gate, LedgerSnapshot, SlotLedger } from '../../../../src/core/live-order.ts';
import type { PoolKey, PoolSpec, ScaleTarget } from '../../../../src/core/objects.ts';
import type { BootTrouble, WarmUpPhase } from '../../../../src/core/replicas.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { demand } from './builders.ts';
import {
  freeSlots,
  isServing,
  type Pod,
  type Request,
  slotsOf,
  type Totals,
  templateHash,
  UNSCHEDULABLE,
} from './pods.ts';

const STEP_MS = 100;

/**
 * A pool that only exists in a fake clock: requests of known length, pods with a known boot time. It is the ledger and
 * the scale target of a control loop, and moves in steps of 100 ms.
 */
export class World implements SlotLedger, ScaleTargetPort, EngineActivity {
  readonly clock = new FakeClock(1_700_000_000_000);
  readonly pool: PoolKey;
  /** Changed by tests. */
  bootMs = 300_000;
  terminateMs = 1_000;
  bootFails = false;
  /** What keeps pods from serving, by target: unscheduled ones wait with it, `stuck` ones end with it. */
  readonly troubles = new Map<string, { readonly trouble: BootTrouble; readonly stuck: boolean }>();
  /** Pods of a target that find a GPU, those that end included; the others wait, unschedulable. */
  readonly gpus = new Map<string, number>();
  /** How a target says it is; everything may be done with those that are not here. */
  readonly states = new Map<string, Partial<TargetState>>();
  /** Why the replicas are not known. */
  unknownWhy: string | null = null;
  /** The workload removes the pod with the highest ordinal first. */
  isOrdered = false;
  /** Pods have no name of their own for the first second. */
  startsAsOrder = false;
  /** Requests that each serving engine runs past Pilotlight; null = it does not tell. */
  foreignRequests: number | null = 0;
  /** Engines asked. */
  asked = 0;
  /** A start waits for this before it writes anything. */
  startGate: Promise<void> = Promise.resolve();
  /** Everything the loop has changed, in order. */
  readonly writes: string[] = [];
  readonly released: PoolSpec[] = [];
  releaseFails = 0;
  /** The ledger does not answer. */
  unreachable = false;
  /** All work is rows of a batch that is due then and was given an hour; null = held calls. */
  batchDueAtEpochMs: number | null = null;
  /** Runs just before a close is decided: an enqueue that races with it. */
  beforeClose: () => void = () => undefined;
  boots = 0;
  peakPods = 0;
  /** Requests that were running on a pod that was ended. */
  cut = 0;
  soonSlots = 0;
  waits: number[] = [];
  #pods: Pod[] = [];
  #waiting: Request[] = [];
  #totals = new Map<string, Totals>();
  #activityEpoch = 0;
  #demandListeners = new Set<() => void>();
  #replicaListeners = new Set<(pool: PoolKey) => void>();

  constructor(pool: PoolKey) {
    this.pool = pool;
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  get livePods(): number {
    return this.#pods.filter(({ terminating }) => !terminating).length;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#pods.reduce((sum, pod) => sum + pod.running.length, 0);
  }

  podsIn(phase: WarmUpPhase): number {
    return this.#pods.filter((pod) => pod.phase === phase).length;
  }

  enqueue(count: number, workMs: number, objective = 'chat'): void {
    for (let index = 0; index < count; index += 1) {
      this.#waiting.push({ objective, arrivedMs: this.nowMs, workMs });
    }
    this.#totalsOf(objective).arrived += count;
    this.#activityEpoch += 1;
    if (!this.#pods.some((pod) => freeSlots(pod) > 0)) for (const listener of this.#demandListeners) listener();
  }

  /** Lets time pass, in steps; `each` runs before every step. */
  async pass(ms: number, each: (elapsedMs: number) => void = () => undefined): Promise<void> {
    for (let elapsedMs = 0; elapsedMs < ms; elapsedMs += STEP_MS) {
      each(elapsedMs);
      this.#step();
      await this.clock.advance(STEP_MS);
    }
  }

  async passUntil(what: string, holds: () => boolean, limitMs: number): Promise<number> {
    const startMs = this.nowMs;
    while (!holds()) {
      if (this.nowMs - startMs > limitMs) throw new Error(`not within ${limitMs / 1_000} s: ${what}`);
      await this.pass(STEP_MS);
    }
    return this.nowMs - startMs;
  }

  // The scale target.

  supports(): boolean {
    return true;
  }

  state(_pool: PoolKey, target: ScaleTarget): TargetState {
    return {
      templateHash: templateHash(target),
      noUpWhy: null,
      noDownWhy: null,
      rollsItself: false,
      specReplicas: null,
      conditions: [],
      ...this.states.get(target.name),
    };
  }

  available(): ReturnType<ScaleTargetPort['available']> {
    return this.unknownWhy === null ? { ok: true } : { ok: false, why: this.unknownWhy };
  }

  release(pool: PoolSpec): Promise<void> {
    this.writes.push('release');
    if (this.releaseFails > 0) {
      this.releaseFails -= 1;
      return Promise.reject(new Error('the API server does not answer'));
    }
    this.released.push(pool);
    return Promise.resolve();
  }

  activeRequests(endpointId: string): Promise<number | null> {
    this.asked += 1;
    const pod = this.#pods.find(({ uid }) => endpointId.startsWith(`${uid}@`));
    const own = pod?.running.length ?? 0;
    return Promise.resolve(this.foreignRequests === null ? null : own + this.foreignRequests);
  }

  replicas(pool: PoolKey): readonly TargetReplica[] {
    if (pool !== this.pool) return [];
    return this.#pods.map((pod) => ({
      uid: pod.uid,
      pool,
      target: pod.target.name,
      phase: pod.phase,
      requestedAtEpochMs: pod.requestedMs,
      phaseSinceEpochMs: pod.phaseSinceMs,
      readyAtEpochMs: pod.phase === 'Ready' ? pod.phaseSinceMs : null,
      endpointIds: isServing(pod) ? [`${pod.uid}@10.0.0.1:80`] : [],
      message: pod.message,
      restarts: 0,
      trouble: pod.trouble,
      removalOrder: this.isOrdered ? pod.ordinal : null,
      templateHash: pod.templateHash,
      terminating: pod.terminating,
    }));
  }

  async start({ target, count }: StartOrder): Promise<void> {
    this.writes.push('start');
    await this.startGate;
    for (let index = 0; index < count; index += 1) {
      this.boots += 1;
      const pod: Pod = {
        uid: this.startsAsOrder ? `order-${this.boots}` : `pod-${this.boots}`,
        ordinal: this.#pods.filter((other) => other.target.name === target.name && !other.terminating).length,
        target,
        templateHash: templateHash(target),
        requestedMs: this.nowMs,
        phase: 'Requested',
        phaseSinceMs: this.nowMs,
        terminating: false,
        goneAtMs: Number.POSITIVE_INFINITY,
        message: null,
        trouble: null,
        gate: 'open',
        running: [],
      };
      this.#pods.push(pod);
    }
    this.peakPods = Math.max(this.peakPods, this.#pods.length);
    this.#changed();
  }

  configure(): void {
    // Its slots are those of the target a pod was started with.
  }

  drain(_pool: PoolKey, uids: readonly string[]): Promise<void> {
    this.writes.push('drain');
    for (const pod of this.#podsOf(uids)) if (pod.phase === 'Ready') this.#enter(pod, 'Draining');
    return Promise.resolve();
  }

  undrain(_pool: PoolKey, uids: readonly string[]): Promise<void> {
    this.writes.push('undrain');
    for (const pod of this.#podsOf(uids)) {
      if (pod.phase === 'Draining' && !pod.terminating) this.#enter(pod, 'Ready');
    }
    return Promise.resolve();
  }

  stop(_pool: PoolKey, uids: readonly string[]): Promise<readonly string[]> {
    this.writes.push('stop');
    for (const pod of this.#podsOf(uids)) {
      if (pod.terminating) continue;
      if (this.isOrdered && this.#isBelowAnother(pod, uids)) throw new Error('the wrong pod would go');
      pod.terminating = true;
      pod.goneAtMs = this.nowMs + this.terminateMs;
      this.cut += pod.running.length;
      this.#enter(pod, 'Draining');
    }
    return Promise.resolve(uids);
  }

  onReplicaChange(listener: (pool: PoolKey) => void): () => void {
    this.#replicaListeners.add(listener);
    return () => this.#replicaListeners.delete(listener);
  }

  // The ledger.

  forgetEndpoints(): void {
    // Its endpoints are its pods.
  }

  setEndpoints(): Promise<void> {
    return Promise.resolve();
  }

  setGate(endpointId: string, gate: Gate): Promise<void> {
    this.writes.push('gate');
    const pod = this.#pods.find(({ uid }) => endpointId.startsWith(`${uid}@`));
    if (pod !== undefined) pod.gate = gate;
    return Promise.resolve();
  }

  setSoonSlots(slots: number): Promise<void> {
    this.soonSlots = slots;
    return Promise.resolve();
  }

  closeIfIdle(activityEpoch: number): Promise<boolean> {
    this.beforeClose();
    if (activityEpoch !== this.#activityEpoch || this.#waiting.length + this.running > 0) return Promise.resolve(false);
    for (const pod of this.#pods) pod.gate = 'closed';
    return Promise.resolve(true);
  }

  onDemand(listener: () => void): () => void {
    this.#demandListeners.add(listener);
    return () => this.#demandListeners.delete(listener);
  }

  snapshot(): Promise<LedgerSnapshot> {
    if (this.unreachable) return Promise.reject(new Error('connection refused'));
    return Promise.resolve({
      nowEpochMs: this.clock.epochMs(),
      incarnation: 'one',
      activityEpoch: this.#activityEpoch,
      owners: 1,
      objectives: [...this.#totals].map(([objective, totals]) => this.#demandOf(objective, totals)),
      endpoints: this.#pods
        .filter((pod) => isServing(pod))
        .map((pod) => ({
          id: `${pod.uid}@10.0.0.1:80`,
          slots: slotsOf(pod),
          used: pod.running.length,
          quarantined: 0,
          gate: pod.gate,
        })),
    });
  }

  #demandOf(objective: string, totals: Totals): ReturnType<typeof demand> {
    const waiting = this.#waiting.filter((request) => request.objective === objective);
    const running = this.#pods.flatMap((pod) => pod.running).filter(({ request }) => request.objective === objective);
    return demand({
      objective,
      ...this.#waitingAs(waiting.length, running.length),
      running: running.length,
      oldestAtEpochMs: waiting[0]?.arrivedMs ?? null,
      arrivedTotal: totals.arrived,
      releasedTotal: totals.released,
      slotMsTotal: totals.slotMs,
    });
  }

  #waitingAs(waiting: number, running: number): Parameters<typeof demand>[0] {
    const deadlineEpochMs = this.batchDueAtEpochMs;
    if (deadlineEpochMs === null) return { waitingHeld: waiting };
    const requests = waiting + running;
    const acceptedAtEpochMs = deadlineEpochMs - 3_600_000;
    const due = { deadlineEpochMs, acceptedAtEpochMs, requests, costTokens: requests };
    return { stored: requests, costTokens: requests, deadlines: requests === 0 ? [] : [due] };
  }

  #step(): void {
    for (const pod of this.#pods) this.#advancePod(pod);
    const before = this.#pods.length;
    this.#pods = this.#pods.filter(({ goneAtMs }) => goneAtMs > this.nowMs);
    if (this.#pods.length !== before) this.#changed();
    for (;;) {
      const [pod] = this.#pods
        .filter((candidate) => freeSlots(candidate) > 0)
        .sort((a, b) => freeSlots(b) - freeSlots(a));
      const request = pod === undefined ? undefined : this.#waiting.shift();
      if (pod === undefined || request === undefined) return;
      this.waits.push(this.nowMs - request.arrivedMs);
      pod.running.push({ request, endsAtMs: this.nowMs + request.workMs });
    }
  }

  #advancePod(pod: Pod): void {
    const ended = pod.running.filter(({ endsAtMs }) => endsAtMs <= this.nowMs);
    pod.running = pod.running.filter(({ endsAtMs }) => endsAtMs > this.nowMs);
    for (const { request } of ended) {
      const totals = this.#totalsOf(request.objective);
      totals.released += 1;
      totals.slotMs += request.workMs;
    }
    if (pod.terminating || isServing(pod) || pod.phase === 'Stuck') return;
    const elapsedMs = this.nowMs - pod.requestedMs;
    if (this.startsAsOrder && elapsedMs >= 1_000) pod.uid = pod.uid.replace('order', 'pod');
    if (this.#isTroubled(pod)) return;
    if (elapsedMs < this.bootMs) this.#enter(pod, elapsedMs < this.bootMs / 10 ? 'ContainerStarted' : 'ModelLoading');
    else if (this.bootFails) {
      pod.message = 'exit code 1 while it booted';
      this.#enter(pod, 'Stuck');
    } else this.#enter(pod, 'Ready');
  }

  /** True while something keeps it from booting. */
  #isTroubled(pod: Pod): boolean {
    const known = this.troubles.get(pod.target.name);
    const place = this.#pods.filter(({ target }) => target.name === pod.target.name).indexOf(pod);
    const room = this.gpus.get(pod.target.name) ?? Number.POSITIVE_INFINITY;
    const lacksGpu = place >= room && (pod.phase === 'Requested' || pod.phase === 'Pending');
    const before = pod.trouble;
    pod.trouble = known?.trouble ?? (lacksGpu ? UNSCHEDULABLE : null);
    if (pod.trouble !== null) this.#enter(pod, known?.stuck === true ? 'Stuck' : 'Pending');
    if (pod.trouble !== before) this.#changed();
    return pod.trouble !== null;
  }

  #isBelowAnother(pod: Pod, going: readonly string[]): boolean {
    return this.#pods.some(
      ({ uid, ordinal, target, terminating }) =>
        target.name === pod.target.name && !terminating && ordinal > pod.ordinal && !going.includes(uid),
    );
  }

  #enter(pod: Pod, phase: WarmUpPhase): void {
    if (pod.phase === phase) return;
    pod.phase = phase;
    pod.phaseSinceMs = this.nowMs;
    this.#changed();
  }

  #changed(): void {
    for (const listener of this.#replicaListeners) listener(this.pool);
  }

  #podsOf(uids: readonly string[]): readonly Pod[] {
    return this.#pods.filter(({ uid }) => uids.includes(uid));
  }

  #totalsOf(objective: string): Totals {
    const totals = this.#totals.get(objective) ?? { arrived: 0, released: 0, slotMs: 0 };
    this.#totals.set(objective, totals);
    return totals;
  }
}
