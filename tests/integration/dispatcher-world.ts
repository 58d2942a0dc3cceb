import { Registry } from 'prom-client';
import type { InferenceCall } from '../../src/core/call.ts';
import type { CallTimeouts, DispatchResult } from '../../src/core/dispatch.ts';
import { seededRandom } from '../../src/core/random.ts';
import { UndiciModelServer } from '../../src/dispatcher/adapters/undici-model-server.ts';
import { dispatcherMetrics } from '../../src/dispatcher/metrics.ts';
import { DispatchRunner } from '../../src/dispatcher/runner.ts';
import { SlotsLoop } from '../../src/dispatcher/slots-loop.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { FakeLiveOrder } from '../unit/dispatcher/fake-live-order.ts';
import { endpoint, FakeDirectory, inferenceCall, MemoryLog, POOL, RecordingSink } from '../unit/dispatcher/support.ts';

const GENEROUS = {
  poolMaxRequests: 1_000,
  poolMaxBytes: 1_000_000,
  shedAtPercent: 100,
  objectiveMaxRequests: 1_000,
  objectiveMaxBytes: 1_000_000,
};

/** The dispatcher over real HTTP connections; only the live order is in memory. */
export class DispatcherWorld {
  readonly modelServer = new UndiciModelServer({ connectTimeoutMs: 500, keepAliveMs: 300 });
  readonly order = new FakeLiveOrder();
  readonly directory: FakeDirectory;
  readonly #slots: SlotsLoop;
  readonly #runner: DispatchRunner;
  readonly #timeouts: CallTimeouts;
  #calls = 0;

  /** One endpoint for each address: e0, e1, … */
  constructor(urls: readonly string[], timeouts: Partial<CallTimeouts> = {}) {
    this.#timeouts = { maxWaitMs: 20_000, idleMs: 500, overallMs: 20_000, ...timeouts };
    this.directory = new FakeDirectory(urls.map((url, index) => endpoint(`e${index}`, { url, readyAtEpochMs: 0 })));
    const shared = { clock: systemClock, log: new MemoryLog(), metrics: dispatcherMetrics(new Registry()) };
    const { directory, modelServer, order } = this;
    this.#slots = new SlotsLoop({
      pool: POOL,
      directory,
      modelServer,
      ledger: {
        forgetEndpoints: () => undefined,
        setEndpoints: (wanted) => {
          for (const { id, slots } of wanted) order.resize(id, slots);
          return Promise.resolve();
        },
      },
      ...shared,
    });
    const rank = (): string[] => directory.list(POOL).map(({ id }) => id);
    this.#runner = new DispatchRunner({
      poolRuntimes: () => ({
        order,
        ranker: { rank, started: () => undefined, finished: () => undefined },
        health: this.#slots,
      }),
      directory,
      modelServer,
      advisor: {
        status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: null }),
        retryAfterMs: () => 1_000,
        capacity: () => ({ canCome: true }),
      },
      random: seededRandom(1),
      ...shared,
    });
  }

  run(
    call: Partial<InferenceCall>,
    sink = new RecordingSink(),
    signal = new AbortController().signal,
  ): Promise<DispatchResult> {
    this.#calls += 1;
    const id = `call-${this.#calls}`;
    const ticket = {
      id,
      kind: 'held' as const,
      objective: 'chat',
      priority: 0,
      fairnessId: 'team-a',
      costTokens: 1,
      bytes: 1,
      classKey: '',
      weight: 1,
      expiresAtEpochMs: null,
      arrivedAtEpochMs: null,
      limits: GENEROUS,
    };
    return this.#runner.run({ call: inferenceCall({ id, ...call }), ticket, timeouts: this.#timeouts }, sink, {
      signal,
    });
  }

  /** Stops the loops; connections stay until `close`. */
  stop(): void {
    this.#slots.close();
    this.#runner.close();
  }

  async close(): Promise<void> {
    this.stop();
    await this.modelServer.close();
  }
}
