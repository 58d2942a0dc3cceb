import { Registry } from 'prom-client';
import type { RunOptions } from '../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { FlowOutcomeName } from '../../../src/core/flow-outcomes.ts';
import { FLOW_OUTCOMES_METRIC } from '../../../src/core/flow-outcomes.ts';
import type { RequestKeys } from '../../../src/core/idempotency.ts';
import type { JobService } from '../../../src/core/jobs.ts';
import type { Entry, LiveOrder } from '../../../src/core/live-order.ts';
import type { Catalog, ObjectiveSpec, PoolSpec } from '../../../src/core/objects.ts';
import { seededRandom } from '../../../src/core/random.ts';
import type { QuotaAnswer } from '../../../src/core/tenants.ts';
import { refusalCounter } from '../../../src/dispatcher/call-metrics.ts';
import { dispatcherMetrics } from '../../../src/dispatcher/metrics.ts';
import { DispatchRunner } from '../../../src/dispatcher/runner.ts';
import { OpenCalls } from '../../../src/ingress/open-calls.ts';
import type { IngressSettings } from '../../../src/ingress/settings.ts';
import { MemoryLedgerStore } from '../../../src/queue/adapters/ledger/memory-ledger-store.ts';
import { PoolLiveOrder } from '../../../src/queue/live-order/pool-live-order.ts';
import { MeteredRunner } from '../../../src/queue/quotas/metered-runner.ts';
import { FakeModelServer } from '../../contract/model-server-fake.ts';
import {
  chatAnswer,
  end,
  event,
  hang,
  head,
  json,
  type Script,
  sseHead,
  tokenChunk,
} from '../../contract/model-server-script.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FlakyLedger } from '../../support/flaky-ledger.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { endpoint, FakeDirectory, RecordingSink } from '../../unit/dispatcher/support.ts';
import { fakeCatalog } from '../../unit/ingress/support/fake-catalog.ts';
import { type Rig, startRig, until } from './rig.ts';

export const POOL = 'default/chat';
export const CHAT = '/v1/chat/completions';
export const BODY = { model: 'tiny', messages: [{ role: 'user', content: 'hi' }] };

export const ANSWERS: Script = [head(200), json(chatAnswer()), end];
/** A plain call that is never answered. */
export const THINKS: Script = [hang];
/** A stream that stops after its first word. */
export const STALLS: Script = [sseHead, event(tokenChunk('Hi')), hang];

export interface FlowWorldOptions {
  /** What the only model server, with its only slot, does; null = there is none. */
  readonly script?: Script | null;
  readonly pool?: Partial<PoolSpec['limits']>;
  readonly objective?: Partial<ObjectiveSpec>;
  readonly settings?: Partial<IngressSettings>;
  /** Why no capacity can come. */
  readonly blockedWhy?: string;
  /** An error = they cannot be looked up. */
  readonly quota?: QuotaAnswer | PilotlightError;
  readonly keys?: RequestKeys;
  readonly submit?: JobService['submit'];
}

/** Public listener, dispatcher, live order and ledger as they are in a process; the model server and the clock are the test's. */
export class FlowWorld {
  readonly clock = new FakeClock();
  readonly registry = new Registry();
  readonly openCalls = new OpenCalls();
  readonly link: FlakyLedger;
  readonly modelServer: FakeModelServer;
  /** Answered by the order instead of entering, once. */
  nextEntry: Entry | null = null;
  readonly #options: FlowWorldOptions;
  readonly #order: PoolLiveOrder;
  readonly #runner: DispatchRunner;
  readonly #metered: MeteredRunner;
  #rig: Rig | null = null;

  constructor(options: FlowWorldOptions) {
    const { script = ANSWERS } = options;
    this.#options = options;
    const { clock } = this;
    this.link = new FlakyLedger(new MemoryLedgerStore(() => clock.epochMs() * 1_000));
    this.#order = new PoolLiveOrder({ store: this.link, pool: POOL, owner: 'gateway-1', clock, log: silentLogger });
    const directory = new FakeDirectory(script ? [endpoint('ep', { pool: POOL })] : []);
    this.modelServer = new FakeModelServer({ 'http://ep': [script ?? 'refuse'] });
    const metrics = dispatcherMetrics(this.registry);
    const order: LiveOrder = { pool: POOL, enter: (ticket, entering) => this.#enter(ticket, entering) };
    this.#runner = new DispatchRunner({
      poolRuntimes: () => ({
        order,
        ranker: { rank: () => (script ? ['ep'] : []), started: () => undefined, finished: () => undefined },
        health: { report: () => undefined, isOpen: () => true },
      }),
      directory,
      modelServer: this.modelServer,
      advisor: {
        status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: null }),
        retryAfterMs: () => 7_000,
        capacity: () =>
          options.blockedWhy === undefined ? { canCome: true } : { canCome: false, why: options.blockedWhy },
      },
      clock,
      random: seededRandom(1),
      log: silentLogger,
      metrics,
    });
    const answer = options.quota ?? { kind: 'granted', grant: { giveBack: () => undefined, correct: () => undefined } };
    const quotas = {
      take: () => (answer instanceof PilotlightError ? Promise.reject(answer) : Promise.resolve(answer)),
      state: () => ({ requests: null, tokens: null }),
    };
    this.#metered = new MeteredRunner({ runner: this.#runner, quotas, clock, onRefused: refusalCounter(metrics) });
  }

  get rig(): Rig {
    if (!this.#rig) throw new Error('open it first');
    return this.#rig;
  }

  async open(): Promise<void> {
    const { settings, submit, keys, script = ANSWERS } = this.#options;
    if (script) await this.#order.setEndpoints([{ id: 'ep', slots: 1, adapters: null }]);
    this.#rig = await startRig({
      clock: this.clock,
      registry: this.registry,
      runner: this.#metered,
      openCalls: this.openCalls,
      catalog: catalogOf(this.#options),
      ...(settings && { settings }),
      ...(submit && { submit }),
      ...(keys && { keys }),
    });
  }

  /** Sends a call and leaves it where it gets to: in the slot, or waiting for one. */
  async leave(
    headers: Record<string, string> = {},
    body: unknown = BODY,
  ): Promise<{ readonly response: Promise<Response> }> {
    const before = this.#entered();
    const response = this.rig.post(CHAT, body, headers);
    response.catch(() => undefined);
    await until(() => this.#entered() > before, 'the call to be in the order');
    return { response };
  }

  /** A job that runs here, beside the listener. */
  runStored(expiresAtEpochMs: number, options: RunOptions) {
    const ticket = {
      id: 'job_1',
      kind: 'stored' as const,
      objective: 'default',
      priority: 0,
      fairnessId: 'acme',
      weight: 1,
      costTokens: 1,
      bytes: 1,
      classKey: '',
      expiresAtEpochMs,
      arrivedAtEpochMs: null,
      limits: {
        poolMaxRequests: 10,
        poolMaxBytes: 1_000,
        shedAtPercent: 100,
        objectiveMaxRequests: 10,
        objectiveMaxBytes: 1_000,
      },
    };
    const call = {
      id: 'job_1',
      path: CHAT,
      pool: POOL,
      model: 'tiny',
      servedModel: 'tiny',
      adapter: null,
      stream: false,
      body: Buffer.from(JSON.stringify(BODY)),
      promptText: () => 'hi',
      inputTokens: 1,
      maxOutputTokens: null,
      forwardHeaders: {},
    } as const;
    const timeouts = { maxWaitMs: null, idleMs: 60_000, overallMs: 60_000 };
    return this.#runner.run({ call, ticket, timeouts }, new RecordingSink(), options);
  }

  async left(outcome: FlowOutcomeName): Promise<number> {
    const metric = await this.registry.getSingleMetric(FLOW_OUTCOMES_METRIC.name)?.get();
    const series = (metric?.values ?? []).filter(({ labels }) => labels['outcome'] === outcome);
    return series.reduce((sum, { value }) => sum + value, 0);
  }

  async close(): Promise<void> {
    this.link.connection = 'up';
    await this.#rig?.close();
    this.#runner.close();
    const closed = this.#order.close();
    await this.clock.advance(5_000);
    await closed;
  }

  #enter(...[ticket, entering]: Parameters<LiveOrder['enter']>): Promise<Entry> {
    const { nextEntry } = this;
    this.nextEntry = null;
    return nextEntry ? Promise.resolve(nextEntry) : this.#order.enter(ticket, entering);
  }

  #entered(): number {
    return this.link.executed.filter(({ op }) => op === 'admit').length;
  }
}

function catalogOf({ pool = {}, objective = {} }: FlowWorldOptions): Catalog {
  const catalog = fakeCatalog();
  const byDefault = { ...catalog.defaultObjective(POOL), ...objective };
  return {
    ...catalog,
    defaultObjective: () => byDefault,
    resolveModel(model) {
      const found = catalog.resolveModel(model);
      return found && { ...found, pool: { ...found.pool, limits: { ...found.pool.limits, ...pool } } };
    },
  };
}
