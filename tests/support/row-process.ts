/* eslint-disable @typescript-eslint/require-await -- fakes answer at once, through the same promises as the real ones */
import { rowRecords } from '../../src/batch/adapters/rows/row-records.ts';
import type { RowSpec } from '../../src/batch/ports.ts';
import { BatchRows } from '../../src/batch/rows/batch-rows.ts';
import { MemorySupplyBook } from '../../src/batch/rows/memory-supply-book.ts';
import type {
  ChunkBacklog,
  ChunkClaim,
  ChunkIntake,
  ChunkItem,
  ChunkVerdict,
  RowHints,
  RowLane,
  SupplyBook,
} from '../../src/batch/rows/ports.ts';
import type { BlobStore } from '../../src/core/blobs.ts';
import type { CallRunner, DispatchRequest, DispatchResult } from '../../src/core/dispatch.ts';
import { type ErrorCode, PilotlightError } from '../../src/core/errors.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import { seededRandom } from '../../src/core/random.ts';
import type { RateQuotas } from '../../src/core/tenants.ts';
import { MeteredRunner } from '../../src/queue/quotas/metered-runner.ts';
import { OBJECTIVE, type RowWorld } from './row-world.ts';
import { silentLogger } from './silent-logger.ts';
import { POOL, smallCatalog } from './stored-world.ts';
import { ToyLedger } from './toy-ledger.ts';

const TIMES = { waitedMs: 3, firstByteMs: 1, totalMs: 2 };

export type RowBehaviour =
  | { readonly status: number; readonly body?: string }
  | { readonly fails: ErrorCode }
  | { readonly handedBack: string };

/** What the engine does with the row of this id; its tries are counted from 1. */
export type Engine = (row: {
  readonly id: string;
  readonly body: string;
  readonly tries: number;
}) => RowBehaviour | Promise<RowBehaviour>;

export interface RowProcessOptions {
  readonly engine?: Engine;
  /** Rows in the window of each objective. */
  readonly window?: number;
  readonly chunkRows?: number;
  readonly failingRows?: number;
  readonly rowAttempts?: number;
  readonly backlog?: ChunkBacklog;
  readonly book?: SupplyBook;
  readonly hints?: RowHints;
  readonly store?: BlobStore;
  /** Rates of tenants; none unless given. */
  readonly quotas?: RateQuotas;
}

export interface RowProcess {
  readonly rows: BatchRows;
  readonly ledger: ToyLedger;
  readonly lane: RowLane;
  /** As kill -9: nothing of it happens any more. */
  kill(): void;
}

export function startRowProcess(world: RowWorld, options: RowProcessOptions = {}): RowProcess {
  const { engine = () => ({ status: 200 }), window = 8, chunkRows = 10, quotas } = options;
  const life = { isDead: false };
  const runner = engineRunner(world, engine, life);
  const ledger = new ToyLedger(POOL);
  const lane = { ledger, backlog: options.backlog ?? new MemoryChunkBacklog(world, life) };
  const rows = new BatchRows({
    runner: quotas ? new MeteredRunner({ runner, quotas, clock: world.clock }) : runner,
    toRequest: (row, body) => requestOf(row, body),
    states: mortal(world.states, life),
    cabinet: world.cabinet(),
    store: options.store ?? mortal(world.store, life),
    records: rowRecords,
    journal: world.journal(),
    hints: options.hints ?? world.hints(),
    book: options.book ?? new MemorySupplyBook(world.clock),
    catalog: { current: smallCatalog, onChange: () => () => undefined },
    clock: world.clock,
    random: seededRandom(7),
    log: silentLogger,
    chunkRows,
    rowAttempts: options.rowAttempts ?? 5,
    failingRows: options.failingRows ?? 100,
    maxResultBytes: 1_000_000,
  });
  rows.addPool(lane);
  rows.start();
  ledger.setWindows({ [OBJECTIVE]: window, urgent: window });
  return {
    rows,
    ledger,
    lane,
    kill: () => {
      life.isDead = true;
    },
  };
}

interface Life {
  isDead: boolean;
}

/** Calls of a process that is dead never come back; what it had begun may still take effect, as in the world. */
function mortal<T extends object>(target: T, life: Life): T {
  return new Proxy(target, {
    get(object, property) {
      const value: unknown = Reflect.get(object, property, object);
      if (typeof value !== 'function') return value;
      const method = value.bind(object) as (...args: unknown[]) => unknown;
      return (...args: unknown[]) => {
        if (life.isDead) return new Promise(() => undefined);
        const answer = method(...args);
        return answer instanceof Promise
          ? answer.then((it: unknown) => (life.isDead ? new Promise(() => undefined) : it))
          : answer;
      };
    },
  });
}

/** As the dispatcher: live order, slot, engine, slot back, persisted until it works. */
function engineRunner(world: RowWorld, engine: Engine, life: Life): CallRunner {
  return {
    async run(request, sink, { signal, persist, onSlot }): Promise<DispatchResult> {
      const { id } = request.ticket;
      if (life.isDead) return forever();
      if (world.live.has(id)) return { kind: 'superseded', outcome: null };
      if (signal.aborted) return { kind: 'handed_back', reason: 'draining' };
      world.live.add(id);
      const tries = (world.tries.get(id) ?? 0) + 1;
      world.tries.set(id, tries);
      onSlot?.();
      const ends = await Promise.race([
        engine({ id, body: Buffer.from(request.call.body).toString(), tries }),
        aborted(signal),
      ]);
      if (hasDied(life)) return forever();
      world.live.delete(id);
      if (ends === 'aborted') return stopped(signal);
      if ('handedBack' in ends) return { kind: 'handed_back', reason: ends.handedBack };
      if ('fails' in ends) {
        const error = new PilotlightError(ends.fails, `It failed with ${ends.fails}.`);
        const outcome: Outcome = { kind: 'failed', httpStatus: 502, code: ends.fails, attempts: 1, usage: null };
        await persist?.(outcome);
        return { kind: 'failed', error, begun: false, outcome, times: TIMES };
      }
      const { status, body = `{"answer":"to ${id}"}` } = ends;
      const usage = { promptTokens: 5, completionTokens: 2, cachedTokens: 1 };
      const outcome: Outcome = { kind: 'completed', httpStatus: status, code: null, attempts: 1, usage };
      sink.begin({ status, headers: {}, waitedMs: 3 });
      sink.write(Buffer.from(body));
      sink.end();
      for (;;) {
        try {
          await persist?.(outcome);
          break;
        } catch {
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      }
      return { kind: 'completed', outcome, usage: null, endpointId: 'pod-a', times: TIMES };
    },
  };
}

function stopped(signal: AbortSignal): DispatchResult {
  const reason: unknown = signal.reason;
  if (reason instanceof PilotlightError && reason.code === 'draining')
    return { kind: 'handed_back', reason: 'draining' };
  const outcome: Outcome = { kind: 'cancelled', httpStatus: 499, code: 'request_cancelled', attempts: 1, usage: null };
  return {
    kind: 'failed',
    error: new PilotlightError('request_cancelled', 'Stopped.'),
    begun: false,
    outcome,
    times: TIMES,
  };
}

function aborted(signal: AbortSignal): Promise<'aborted'> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve('aborted'), { once: true }));
}

/** One queue per objective in the world's memory, lowest tag first. */
class MemoryChunkBacklog implements ChunkBacklog {
  readonly #world: RowWorld;
  readonly #life: Life;
  readonly #lanes = new Map<
    string,
    { window: number; held: number; handler: (claim: ChunkClaim) => Promise<ChunkVerdict> }
  >();

  constructor(world: RowWorld, life: Life) {
    this.#world = world;
    this.#life = life;
  }

  async add(item: ChunkItem): Promise<{ kind: 'added' }> {
    if (this.#life.isDead) return forever();
    if (!this.#world.items.has(item.id)) {
      this.#world.items.set(item.id, { ...item, state: 'waiting', claims: 0, crashes: 0 });
      this.#world.added.push(item.id);
    }
    this.#pump();
    return { kind: 'added' };
  }

  async remove(id: string): Promise<void> {
    if (this.#world.items.get(id)?.state === 'waiting') this.#world.items.delete(id);
  }

  async isHeld(id: string): Promise<boolean> {
    return this.#world.items.get(id)?.state === 'held';
  }

  async objectives(): Promise<readonly string[]> {
    return [OBJECTIVE];
  }

  intake(objective: string, handler: (claim: ChunkClaim) => Promise<ChunkVerdict>): ChunkIntake {
    const lane = { window: 0, held: 0, handler };
    this.#lanes.set(objective, lane);
    return {
      get held() {
        return lane.held;
      },
      setWindow: (window) => {
        lane.window = window;
        this.#pump();
      },
      close: async () => {
        lane.window = 0;
        while (lane.held > 0 && !this.#life.isDead) await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  async recoverStalled(): Promise<readonly string[]> {
    this.#pump();
    return [];
  }

  async restore(): Promise<void> {
    // Nothing but the items is kept.
  }

  #pump(): void {
    if (this.#life.isDead) return;
    for (const item of [...this.#world.items.values()].sort((one, other) => one.tag - other.tag)) {
      const lane = this.#lanes.get(item.objective);
      if (item.state === 'waiting' && lane && lane.held < lane.window) void this.#claim(item, lane);
    }
  }

  async #claim(
    item: ChunkItem & { state: 'waiting' | 'held'; claims: number; crashes: number },
    lane: { held: number; handler: (claim: ChunkClaim) => Promise<ChunkVerdict> },
  ): Promise<void> {
    item.state = 'held';
    item.claims += 1;
    lane.held += 1;
    this.#world.opened.push(item.id);
    const verdict = await lane.handler({ ...item });
    if (this.#life.isDead) return;
    lane.held -= 1;
    if (verdict.kind === 'finished') this.#world.items.delete(item.id);
    else if (verdict.kind === 'delayed') await this.#world.clock.sleep(verdict.delayMs);
    item.state = 'waiting';
    this.#pump();
  }
}

function hasDied(life: Life): boolean {
  return life.isDead;
}

function forever(): Promise<never> {
  return new Promise(() => undefined);
}

function requestOf(row: RowSpec, body: Uint8Array): DispatchRequest {
  const { id, group, deadlineEpochMs } = row;
  const { pool, objective, path, model, servedModel, adapter } = group;
  const limits = {
    poolMaxRequests: 1,
    poolMaxBytes: 1,
    shedAtPercent: 1,
    objectiveMaxRequests: 1,
    objectiveMaxBytes: 1,
  };
  return {
    call: {
      id,
      path,
      pool,
      model,
      servedModel,
      adapter,
      stream: false,
      body,
      promptText: () => '',
      inputTokens: row.inputTokens,
      maxOutputTokens: row.maxOutputTokens,
      forwardHeaders: {},
    },
    ticket: {
      id,
      kind: 'row',
      objective,
      priority: 0,
      fairnessId: row.tenant,
      weight: 1,
      costTokens: 30,
      bytes: body.length,
      classKey: '',
      expiresAtEpochMs: deadlineEpochMs,
      arrivedAtEpochMs: null,
      limits,
    },
    timeouts: { maxWaitMs: null, idleMs: 1_000, overallMs: 1_000 },
  };
}
