/* eslint-disable @typescript-eslint/require-await -- fakes answer at once, through the same promises as the real ones */

import type { Clock } from '../../src/core/clock.ts';
import type { RequestKeys } from '../../src/core/idempotency.ts';
import type { JobSpec } from '../../src/core/jobs.ts';
import type { Catalog, ObjectiveSpec, PoolSpec } from '../../src/core/objects.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { EQUAL_TENANTS } from '../../src/core/tenants.ts';
import type {
  AddAnswer,
  Backlog,
  BacklogItem,
  BacklogTags,
  ClaimHandler,
  IntakeQueue,
} from '../../src/queue/backlog/ports.ts';
import type { OutboxClaims } from '../../src/queue/jobs/outbox.ts';
import type {
  Execute,
  JobHint,
  JobHints,
  JobIndex,
  JobPlace,
  JobStore,
  ReadAnswer,
  RecordHeader,
  ScannedRecord,
  SweepReport,
} from '../../src/queue/jobs/ports.ts';
import { StoredWork } from '../../src/queue/jobs/stored-work.ts';
import { FakeClock } from './fake-clock.ts';
import { MemoryDeadLetters } from './memory-dead-letters.ts';
import { silentLogger } from './silent-logger.ts';
import { ToyLedger } from './toy-ledger.ts';

export const POOL = 'default/chat';
export const TENANT = 'team-a';
const RETENTION_MS = 86_400_000;
export const COMPLETED: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };

export function jobSpec(id: string, fields: Partial<JobSpec> = {}): JobSpec {
  return {
    id,
    tenant: TENANT,
    pool: POOL,
    objective: 'nightly',
    path: '/v1/chat/completions',
    model: 'chat',
    servedModel: 'chat',
    adapter: null,
    inputTokens: 10,
    maxOutputTokens: 20,
    acceptedAtEpochMs: 1_700_000_000_000,
    deadlineEpochMs: null,
    ...fields,
  };
}

/** A catalog of one pool with one objective; only what stored work reads of it. */
export function smallCatalog(): Catalog {
  const pool = { key: POOL, limits: { maxRequests: 1_000_000, maxBytes: 1e12 } } as PoolSpec;
  const objective = {
    name: 'nightly',
    pool: POOL,
    priority: -10,
    shedAtPercent: 50,
    maxStoredRequests: 1_000_000,
    maxStoredBytes: 1e12,
  } as ObjectiveSpec;
  return {
    generation: 1,
    pools: new Map([[POOL, pool]]),
    objectivesOf: () => [objective],
    objective: (_pool, name) => (name === objective.name ? objective : undefined),
    defaultObjective: () => objective,
    resolveModel: () => undefined,
    rewrite: (resolution) => resolution,
    models: () => [],
  };
}

/** Ends a process at one of its steps: that call and every later one never come back. */
export class Fuse {
  steps = 0;
  blowsAt = Number.POSITIVE_INFINITY;
  /** Whether the step at which it blows still takes effect. */
  mode: 'before' | 'after' = 'before';

  get isBlown(): boolean {
    return this.steps >= this.blowsAt;
  }

  /** The process dies now. */
  blow(): void {
    this.blowsAt = this.steps;
  }

  async step<T>(act: () => Promise<T>): Promise<T> {
    this.steps += 1;
    if (this.steps > this.blowsAt) return forever();
    if (this.steps < this.blowsAt) return act();
    if (this.mode === 'after') await act();
    return forever();
  }
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}

interface Item extends BacklogItem {
  state: 'waiting' | 'held' | 'delayed';
  claims: number;
  crashes: number;
}

/** What survives processes: the store always, the rest until `loseRedis`. */
export class World {
  readonly clock = new FakeClock();
  readonly records: { ref: string; header: RecordHeader; body: Uint8Array }[] = [];
  readonly items = new Map<string, Item>();
  readonly index = new Map<string, JobPlace>();
  readonly ledger = new ToyLedger(POOL);
  readonly dead = new MemoryDeadLetters({ clock: this.clock, retentionMs: RETENTION_MS });
  readonly listeners = new Set<(hint: JobHint) => void>();
  /** Executions begun, by job id. */
  readonly executions = new Map<string, number>();

  constructor() {
    this.ledger.nowEpochMs = () => this.clock.epochMs();
  }

  loseRedis(): void {
    this.items.clear();
    this.index.clear();
    this.ledger.lose();
    this.dead.entries.clear();
  }

  resultsOf(id: string): RecordHeader[] {
    return this.records.map(({ header }) => header).filter((header) => header.kind === 'result' && header.jobId === id);
  }
}

export interface ProcessOptions {
  readonly fuse?: Fuse;
  readonly clock?: Clock;
  /** Replaces "answer at once with 200". */
  readonly execute?: Execute;
  /** Given, ends are announced. */
  readonly outboxClaims?: OutboxClaims;
  /** Given, keys of submitters are restored. */
  readonly keys?: Pick<RequestKeys, 'restore'>;
  readonly tags?: BacklogTags;
}

/** One process's stored work over the world, each of its steps through the fuse. */
export function startProcess(world: World, options: ProcessOptions = {}) {
  const { fuse = new Fuse(), clock = world.clock, execute, outboxClaims, tags, keys } = options;
  const store = memoryStore(world, fuse);
  const ledger = fusedLedger(world, fuse);
  const answerAtOnce: Execute = async (run) => {
    const [known] = await ledger.outcomes([run.spec.id]);
    if (known) return { kind: 'superseded', outcome: known.outcome };
    world.executions.set(run.spec.id, (world.executions.get(run.spec.id) ?? 0) + 1);
    const ref = await store.append(
      {
        kind: 'result',
        jobId: run.spec.id,
        attempt: run.attempt,
        outcome: COMPLETED,
        contentType: 'application/json',
        finishedAtEpochMs: world.clock.epochMs(),
        job: run.place,
      },
      Buffer.from(`answer to ${run.spec.id}`),
    );
    const answer = await ledger.settle(run.spec.id, run.spec.objective, COMPLETED, ref);
    return answer.kind === 'settled'
      ? { kind: 'settled', outcome: COMPLETED }
      : { kind: 'superseded', outcome: answer.stored.outcome };
  };
  const work = new StoredWork({
    store,
    index: memoryIndex(world, fuse),
    hints: memoryHints(world),
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    tenants: EQUAL_TENANTS,
    advisor: { retryAfterMs: () => 1_500 },
    execute: execute ?? answerAtOnce,
    clock,
    log: silentLogger,
    retentionMs: RETENTION_MS,
    ...(outboxClaims && { outboxClaims }),
    ...(keys && { keys }),
  });
  const backlog = new MemoryBacklog(world, fuse);
  work.addPool({ ledger, backlog, dead: world.dead, ...(tags && { tags }) });
  return { work, backlog, store, fuse };
}

/** Lets a process claim what waits until nothing does, or until it dies. */
export class MemoryBacklog implements Backlog {
  readonly pool = POOL;
  answer: AddAnswer = { kind: 'added' };
  readonly #world: World;
  readonly #fuse: Fuse;
  #handler: ClaimHandler | null = null;
  #window = 0;
  #held = 0;
  readonly #claims = new Set<Promise<void>>();

  constructor(world: World, fuse: Fuse) {
    this.#world = world;
    this.#fuse = fuse;
  }

  add(item: BacklogItem): Promise<AddAnswer> {
    return this.#fuse.step(async () => {
      if (this.answer.kind === 'added' && !this.#world.items.has(item.id)) {
        this.#world.items.set(item.id, { ...item, state: 'waiting', claims: 0, crashes: 0 });
      }
      this.#pump();
      return this.answer;
    });
  }

  async remove(id: string): Promise<void> {
    if (this.#world.items.get(id)?.state === 'waiting') this.#world.items.delete(id);
  }

  async isHeld(id: string): Promise<boolean> {
    return this.#world.items.get(id)?.state === 'held';
  }

  async objectives(): Promise<readonly string[]> {
    return ['nightly'];
  }

  intake(objective: string, handler: ClaimHandler): IntakeQueue {
    this.#handler = handler;
    const heldNow = (): number => this.#held;
    return {
      objective,
      get held() {
        return heldNow();
      },
      setWindow: (window) => {
        this.#window = window;
        this.#pump();
      },
      close: async () => {
        this.#window = 0;
        await Promise.all(this.#claims);
      },
    };
  }

  /** All that is held is taken for a dead process's: tests call it when no other lives. */
  async recoverStalled(): Promise<readonly string[]> {
    return [];
  }

  recoverDead(): void {
    for (const item of this.#world.items.values()) {
      if (item.state !== 'held') continue;
      item.state = 'waiting';
      item.crashes += 1;
    }
    this.#pump();
  }

  async restore(): Promise<void> {
    // Nothing but the items is kept.
  }

  async close(): Promise<void> {
    this.#window = 0;
  }

  #pump(): void {
    for (const item of this.#world.items.values()) {
      if (this.#held >= this.#window || !this.#handler || this.#fuse.isBlown) return;
      if (item.state !== 'waiting') continue;
      const claim: Promise<void> = this.#claim(item, this.#handler).then(() => void this.#claims.delete(claim));
      this.#claims.add(claim);
    }
  }

  async #claim(item: Item, handler: ClaimHandler): Promise<void> {
    this.#held += 1;
    item.state = 'held';
    item.claims += 1;
    const verdict = await this.#fuse.step(() => handler({ ...item }));
    await this.#fuse.step(async () => {
      if (verdict.kind === 'finished') this.#world.items.delete(item.id);
      else item.state = verdict.kind === 'delayed' ? 'delayed' : 'waiting';
    });
    this.#held -= 1;
    this.#pump();
    if (verdict.kind !== 'delayed') return;
    void this.#world.clock.sleep(verdict.delayMs).then(() => {
      if (item.state === 'delayed') item.state = 'waiting';
      this.#pump();
    });
  }
}

function memoryStore(world: World, fuse: Fuse): JobStore {
  const find = (ref: string) => world.records.find((record) => record.ref === ref);
  return {
    append: (header, body = new Uint8Array()) =>
      fuse.step(async () => {
        const ref = `r${world.records.length}`;
        world.records.push({ ref, header, body });
        return ref;
      }),
    async read(ref): Promise<ReadAnswer> {
      const record = find(ref);
      return record ? { kind: 'found', header: record.header, body: record.body } : { kind: 'gone' };
    },
    async readHeader(ref) {
      return find(ref)?.header ?? null;
    },
    async *scan(): AsyncGenerator<ScannedRecord> {
      for (const { ref, header, body } of [...world.records]) yield { ref, header, bodyBytes: body.byteLength };
    },
    async sweep(): Promise<SweepReport> {
      return { removedSegments: 0, removedBytes: 0, keptSegments: 0 };
    },
    async close() {
      // Nothing is open.
    },
  };
}

function memoryIndex(world: World, fuse: Fuse): JobIndex {
  return {
    put: (id, place) =>
      fuse.step(async () => {
        world.index.set(id, place);
      }),
    async missing(ids) {
      return new Set(ids.filter((id) => !world.index.has(id)));
    },
    async get(id) {
      return world.index.get(id) ?? null;
    },
    async expire(ids, ttlMs) {
      // Time does not pass farther here.
      if (ttlMs <= 0) for (const id of ids) world.index.delete(id);
    },
  };
}

function memoryHints(world: World): JobHints {
  return {
    publish: (hint) => {
      for (const listener of world.listeners) listener(hint);
    },
    onHint: (listener) => {
      world.listeners.add(listener);
      return () => world.listeners.delete(listener);
    },
  };
}

/** The world's ledger, with each change a step of this process. */
function fusedLedger({ ledger }: World, fuse: Fuse): ToyLedger {
  return new Proxy(ledger, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property, target);
      if (typeof value !== 'function') return value;
      const method = value.bind(target) as (...args: unknown[]) => unknown;
      if (!STEPS.has(String(property))) return method;
      return (...args: unknown[]) => fuse.step(() => method(...args) as Promise<unknown>);
    },
  });
}

const STEPS: ReadonlySet<string> = new Set(['reserve', 'confirm', 'forget', 'settle', 'ackOutbox']);
