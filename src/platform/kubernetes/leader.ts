import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import { type KubeApi, KubeApiError, type KubeMetadata, kubePath, type Leadership } from '../../core/kubernetes.ts';
import type { Logger } from '../../core/logger.ts';
import type { Random } from '../../core/random.ts';
import {
  LEASE_TIMING,
  type LeasePlan,
  type LeaseRecord,
  type LeaseState,
  type LeaseTiming,
  leads,
  leadsForMs,
  letGo,
  type Moment,
  newLeaseState,
  observe,
  planOf,
  wrote,
} from './lease-state.ts';
import type { KubernetesMetrics } from './metrics.ts';

export interface LeaderOptions {
  readonly api: KubeApi;
  /** Of the Lease. */
  readonly namespace: string;
  readonly name: string;
  /** Readable name of this process; a random part is added, so that a restarted process is another candidate. */
  readonly identity: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics?: KubernetesMetrics;
  readonly timing?: LeaseTiming;
}

export interface LeaderElection extends Leadership {
  /** As it stands in the Lease. */
  readonly identity: string;
  /** Why this process does not lead, with the remedy where there is one; null while it leads. */
  why(): string | null;
  /** Steps down, gives the Lease up so that the next takes over at once, and ends. Never rejects. */
  release(): Promise<void>;
  /** Resolves when it has ended. */
  readonly done: Promise<void>;
}

const LEASES = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' } as const;
const REQUEST_TIMEOUT_MS = 4_000;
const RELEASE_TIMEOUT_MS = 3_000;

/** Takes part in the election from now on, in the background, whatever fails. */
export function electLeader(options: LeaderOptions): LeaderElection {
  const candidate = new Candidate(options);
  candidate.start();
  return candidate;
}

interface Lease {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: KubeMetadata;
  readonly spec?: {
    readonly holderIdentity?: string | null;
    readonly leaseDurationSeconds?: number | null;
    readonly leaseTransitions?: number | null;
    readonly acquireTime?: string | null;
    readonly renewTime?: string | null;
  };
}

class Candidate implements LeaderElection {
  readonly identity: string;
  done: Promise<void> = Promise.resolve();
  readonly #options: LeaderOptions;
  readonly #timing: LeaseTiming;
  readonly #stop = new AbortController();
  readonly #listeners = new Set<(isLeader: boolean) => void>();
  #state: LeaseState;
  /** As last read or written. */
  #lease: Lease | null = null;
  #mustRead = true;
  #problem: string | null = 'the Lease was not read yet';
  #wasLeader = false;
  #released: Promise<void> = Promise.resolve();

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#timing = options.timing ?? LEASE_TIMING;
    this.identity = `${options.identity}_${randomUUID().slice(0, 8)}`;
    this.#state = newLeaseState(this.identity, this.#timing);
  }

  isLeader(): boolean {
    return leads(this.#state, this.#now());
  }

  term(): number | null {
    return this.isLeader() ? (this.#state.held?.term ?? null) : null;
  }

  why(): string | null {
    if (this.isLeader()) return null;
    if (this.#problem !== null) return this.#problem;
    const { namespace, name } = this.#options;
    const holder = this.#state.seen?.holder ?? '';
    return `Lease ${namespace}/${name} is held by ${holder === '' ? 'nobody' : holder}`;
  }

  onChange(listener: (isLeader: boolean) => void): () => void {
    const own = (isLeader: boolean) => listener(isLeader);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  start(): void {
    this.#options.metrics?.leader.set({ lease: this.#options.name }, 0);
    this.done = this.#run().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) this.#options.log.error({ err: error }, 'kubernetes.election_failed');
    });
  }

  async release(): Promise<void> {
    if (!this.#stop.signal.aborted) {
      this.#stop.abort(new Error('the election was left'));
      this.#state = letGo(this.#state);
      this.#tell();
      this.#released = this.done.then(() => this.#giveUp());
    }
    await this.#released;
  }

  /** Ends with the signal only. */
  async #run(): Promise<void> {
    const { clock, random } = this.#options;
    const { signal } = this.#stop;
    for (;;) {
      try {
        await this.#attempt(signal);
        this.#problem = null;
      } catch (error) {
        signal.throwIfAborted();
        this.#note(error);
      }
      this.#tell();
      // Chance, so that candidates who started together do not write together.
      const restMs = this.#timing.retryEveryMs * (0.9 + random.next() / 5);
      const leftMs = leadsForMs(this.#state, this.#now());
      await clock.sleep(leftMs > 0 ? Math.min(restMs, leftMs) : restMs, signal);
      this.#tell();
    }
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    if (this.#mustRead || !this.isLeader()) await this.#read(signal);
    const plan = planOf(this.#state, this.#now());
    if (plan.kind === 'wait') return;
    // What a write did that is not answered is not known.
    this.#mustRead = true;
    const sentAt = this.#now();
    const lease = await this.#write(plan, signal);
    signal.throwIfAborted();
    this.#lease = lease;
    this.#state = wrote(this.#state, recordOf(lease), sentAt);
    this.#mustRead = false;
  }

  async #read(signal: AbortSignal): Promise<void> {
    const { api, namespace, name } = this.#options;
    const path = kubePath(LEASES, namespace, name);
    try {
      this.#lease = (await api.request({ method: 'GET', path, signal, timeoutMs: this.#timeoutMs() })) as Lease;
    } catch (error) {
      if (!(error instanceof KubeApiError) || error.status !== 404) throw error;
      this.#lease = null;
    }
    this.#state = observe(this.#state, this.#lease && recordOf(this.#lease), this.#now());
    this.#mustRead = false;
  }

  async #write(plan: Exclude<LeasePlan, { kind: 'wait' }>, signal: AbortSignal): Promise<Lease> {
    const { api, namespace, name, clock } = this.#options;
    const now = microTime(clock.epochMs());
    const spec = {
      holderIdentity: this.identity,
      leaseDurationSeconds: Math.ceil(this.#timing.durationMs / 1_000),
      leaseTransitions: plan.term,
      acquireTime: plan.kind === 'renew' ? (this.#lease?.spec?.acquireTime ?? now) : now,
      renewTime: now,
    };
    const isNew = plan.kind === 'create';
    const metadata = isNew ? { name, namespace } : { ...this.#lease?.metadata, resourceVersion: plan.over.version };
    return (await api.request({
      method: isNew ? 'POST' : 'PUT',
      path: isNew ? kubePath(LEASES, namespace) : kubePath(LEASES, namespace, name),
      body: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec },
      signal,
      timeoutMs: this.#timeoutMs(),
    })) as Lease;
  }

  /** A Lease without a holder is free at once. */
  async #giveUp(): Promise<void> {
    const { api, namespace, name, log } = this.#options;
    const deadline = AbortSignal.timeout(RELEASE_TIMEOUT_MS);
    try {
      // A renewal that was cut off may have come through.
      if (this.#mustRead) await this.#read(deadline);
      if (this.#state.seen?.holder !== this.identity) return;
      const { holderIdentity: _mine, ...spec } = this.#lease?.spec ?? {};
      await api.request({
        method: 'PUT',
        path: kubePath(LEASES, namespace, name),
        body: { ...this.#lease, spec: { ...spec, leaseDurationSeconds: 1 } },
        signal: deadline,
        timeoutMs: RELEASE_TIMEOUT_MS,
      });
      log.info({ lease: name }, 'kubernetes.lease_released');
    } catch (error) {
      log.warn({ lease: name, why: messageOf(error) }, 'kubernetes.lease_not_released');
    }
  }

  /** A leader hears of its end in time, also when the API server says nothing. */
  #timeoutMs(): number {
    const leftMs = leadsForMs(this.#state, this.#now());
    return leftMs > 0 ? Math.max(1, Math.min(REQUEST_TIMEOUT_MS, leftMs)) : REQUEST_TIMEOUT_MS;
  }

  #note(error: unknown): void {
    const { namespace, name, log } = this.#options;
    this.#mustRead = true;
    const status = error instanceof KubeApiError ? error.status : 0;
    if (status === 409) {
      this.#problem = null;
      return;
    }
    const remedy = status === 403 ? '; needs a Role with get, create and update on leases.coordination.k8s.io' : '';
    const problem = `Lease ${namespace}/${name}: ${messageOf(error)}${remedy}`;
    if (problem !== this.#problem) log.warn({ lease: name, why: problem }, 'kubernetes.lease_failed');
    this.#problem = problem;
  }

  #tell(): void {
    const isLeader = this.isLeader();
    if (isLeader === this.#wasLeader) return;
    this.#wasLeader = isLeader;
    const { log, metrics, name } = this.#options;
    metrics?.leader.set({ lease: name }, isLeader ? 1 : 0);
    if (isLeader) log.info({ lease: name, term: this.term() }, 'kubernetes.lease_taken');
    else log.info({ lease: name, why: this.why() }, 'kubernetes.lease_lost');
    for (const listener of this.#listeners) {
      try {
        listener(isLeader);
      } catch (error) {
        log.error({ err: error }, 'kubernetes.leader_listener_failed');
      }
    }
  }

  #now(): Moment {
    const { clock } = this.#options;
    return { monotonicMs: clock.monotonicMs(), epochMs: clock.epochMs() };
  }
}

function recordOf({ metadata, spec = {} }: Lease): LeaseRecord {
  return {
    holder: spec.holderIdentity ?? '',
    durationMs: (spec.leaseDurationSeconds ?? 0) * 1_000,
    transitions: spec.leaseTransitions ?? 0,
    version: metadata.resourceVersion ?? '',
  };
}

/** metav1.MicroTime. */
function microTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('Z', '000Z');
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
