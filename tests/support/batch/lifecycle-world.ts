import { batchIds } from '../../../src/batch/adapters/lifecycle/batch-ids.ts';
import { BlobJournal } from '../../../src/batch/adapters/lifecycle/blob-journal.ts';
import type { BatchMeter } from '../../../src/batch/lifecycle/batch-meter.ts';
import { BatchLifecycle, type LifecycleDeps } from '../../../src/batch/lifecycle/lifecycle.ts';
import type { LifecycleSettings } from '../../../src/batch/lifecycle/ports.ts';
import type { PoolState } from '../../../src/batch/policy/lifecycle/hold.ts';
import type { BatchDoc } from '../../../src/batch/ports.ts';
import { MemoryRowStates } from '../../../src/batch/rows/memory-row-states.ts';
import { type BatchRequest, type BatchView, isFinalBatch } from '../../../src/core/batches.ts';
import { API_PATHS } from '../../../src/core/call.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import { FakeClock } from '../fake-clock.ts';
import { MemoryBlobStore } from '../memory-blob-store.ts';
import { silentLogger } from '../silent-logger.ts';
import { batchRequest, storedFile } from './batch-doc.ts';
import { FakeCabinet, FakeFinalise, FakeNotices, FakeRowWork, FakeValidation, type Records } from './fake-parts.ts';
import {
  MemoryBatchBoard,
  MemoryBatchIndex,
  MemoryBatchLeases,
  MemoryCreationClaims,
  MemoryHints,
} from './memory-lifecycle.ts';

export const SETTINGS: LifecycleSettings = {
  endpoints: API_PATHS,
  windows: ['24h', '1h'],
  batchFileBytes: 1_000_000,
  tenantRows: 1_000,
  tenantBatches: 5,
  objective: null,
  cancelGraceMs: 60_000,
  fileRetentionMs: 30 * 24 * 3_600_000,
};

export class CountingMeter implements BatchMeter {
  readonly counts: Record<string, number> = {};
  created = () => this.#count('created');
  kept = () => undefined;
  ended = (status: string) => this.#count(`ended ${status}`);
  paused = (reason: string) => this.#count(`paused ${reason}`);
  validated = (result: string) => this.#count(`validated ${result}`);
  finalised = () => this.#count('finalised');
  short = () => this.#count('short');
  takenOver = () => this.#count('taken over');
  reconciled = () => this.#count('reconciled');

  #count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1;
  }
}

export interface Gateway {
  readonly batches: BatchLifecycle;
  readonly rows: FakeRowWork;
  readonly meter: CountingMeter;
  readonly isDead: boolean;
  /** As SIGKILL: nothing of it runs on, nothing is given back. */
  kill(): void;
  /** In order. */
  stop(): Promise<void>;
}

/** Gateways over one store and one Redis that are both in memory. */
export class LifecycleWorld {
  readonly clock = new FakeClock();
  readonly blobs = new MemoryBlobStore(() => this.clock.epochMs());
  readonly index = new MemoryBatchIndex();
  readonly leases = new MemoryBatchLeases(this.clock);
  readonly claims = new MemoryCreationClaims(this.clock);
  readonly board = new MemoryBatchBoard();
  readonly states = new MemoryRowStates();
  readonly hints = new MemoryHints();
  readonly records: Records = new Map();
  readonly cabinet = new FakeCabinet();
  readonly notices = new FakeNotices();
  readonly validation = new FakeValidation(this.blobs);
  readonly finalise = new FakeFinalise(this.states, this.blobs);
  /** Objectives that exist. */
  objectives: readonly string[] = ['batch', 'nightly'];
  poolState: PoolState = { kind: 'serving', message: 'It serves.' };
  readonly #settings: Partial<LifecycleSettings>;
  #gateways = 0;

  constructor(settings: Partial<LifecycleSettings> = {}) {
    this.#settings = settings;
    this.cabinet.files.set('file-in', storedFile());
  }

  /** One that keeps batches, unless told otherwise. With `diesAtCall` it is killed at that call of its to anything. */
  gateway({ keeps = true, diesAtCall = Number.POSITIVE_INFINITY } = {}): Gateway {
    this.#gateways += 1;
    const life: Life = { isOver: false, callsLeft: diesAtCall };
    const rows = new FakeRowWork(this.states, this.records);
    const meter = new CountingMeter();
    const mine = <T extends object>(part: T): T => mortal(part, life);
    const index = mine(this.index);
    const deps: LifecycleDeps = {
      journal: new BlobJournal({ blobs: mine(this.blobs), index, log: silentLogger, hints: mine(this.hints) }),
      index,
      leases: mine(this.leases),
      claims: mine(this.claims),
      board: mine(this.board),
      blobs: mine(this.blobs),
      states: mine(this.states),
      rows: mine(rows),
      validate: (input, options) => mine(this.validation).validate(input, options),
      finalise: (doc, options) => mine(this.finalise).finalise(doc, options),
      cabinet: mine(this.cabinet),
      notices: mine(this.notices),
      ids: batchIds,
      world: {
        refuseObjective: (_identity, objective) =>
          this.objectives.includes(objective)
            ? null
            : new PilotlightError('unknown_objective', `No objective '${objective}'.`, { param: 'objective' }),
        poolState: () => this.poolState,
        forecastMs: () => 60_000,
      },
      readRows: () => Promise.resolve({ items: [], hasMore: false }),
      settings: { ...SETTINGS, ...this.#settings },
      owner: `gateway-${this.#gateways}`,
      meter,
      clock: this.clock,
      log: silentLogger,
    };
    const batches = new BatchLifecycle(deps);
    const stopping = new AbortController();
    const stopped = keeps ? batches.run(stopping.signal) : Promise.resolve();
    return {
      batches,
      rows,
      meter,
      get isDead() {
        return life.isOver;
      },
      kill: () => {
        life.isOver = true;
      },
      stop: async () => {
        stopping.abort();
        await stopped;
      },
    };
  }

  create(gateway: Gateway, changes: Partial<BatchRequest> = {}): Promise<BatchView> {
    return gateway.batches.service.create(batchRequest(changes));
  }

  view(gateway: Gateway, id: string): Promise<BatchView> {
    return gateway.batches.service.get(id, 'acme');
  }

  /** The batch as the store has it. */
  stored(id: string): Promise<BatchDoc> {
    const keys = this.blobs.keys.filter((key) => key.startsWith(`batch-journal/${id}/`));
    return Promise.resolve(JSON.parse(this.blobs.text(keys.at(-1) ?? '')) as BatchDoc);
  }

  /** Lets time pass until the condition holds; fails after `withinMs` of it. */
  async until(condition: () => boolean | Promise<boolean>, what: string, withinMs = 300_000): Promise<void> {
    for (let passedMs = 0; !(await condition()); passedMs += 500) {
      if (passedMs > withinMs) throw new Error(`waited ${withinMs} ms of the test's time in vain: ${what}`);
      await this.clock.advance(500);
    }
  }

  untilStatus(id: string, status: string): Promise<void> {
    return this.until(async () => (await this.stored(id)).status === status, `${id} is ${status}`);
  }

  /** Ended, and everything done that follows. */
  untilSettled(id: string): Promise<void> {
    return this.until(async () => (await this.stored(id)).settled === true, `${id} is settled`);
  }

  async untilEnded(id: string): Promise<void> {
    await this.until(async () => isFinalBatch((await this.stored(id)).status), `${id} has ended`);
  }

  /** Everything that is only in Redis. */
  loseRedis(): void {
    this.index.lose();
    this.leases.lose();
    this.claims.lose();
    this.states.lose();
  }
}

interface Life {
  isOver: boolean;
  callsLeft: number;
}

/** The part as a process has it: once that is over, no call goes out and no answer comes in. */
function mortal<T extends object>(part: T, life: Life): T {
  const never = () => new Promise<never>(() => undefined);
  return new Proxy(part, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return (...args: unknown[]): unknown => {
        if (life.isOver) return never();
        life.callsLeft -= 1;
        // Half of the deaths come before the call does anything, half after it.
        if (life.callsLeft <= 0.5) life.isOver = true;
        if (life.callsLeft <= 0 && life.isOver) return never();
        const answer: unknown = Reflect.apply(value, target, args);
        if (!(answer instanceof Promise)) return answer;
        return answer.then(
          (result: unknown) => (life.isOver ? never() : result),
          (error: unknown) => (life.isOver ? never() : Promise.reject(error as Error)),
        );
      };
    },
  });
}
