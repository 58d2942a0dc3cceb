import { Registry } from 'prom-client';
import { Autoscaler } from '../../../../src/autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../../../../src/autoscaler/metrics.ts';
import type { LearnedStateStore } from '../../../../src/autoscaler/ports.ts';
import type { PoolKey, PoolSpec } from '../../../../src/core/objects.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../../../src/core/pool-orders.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { FakeCatalog, objectiveSpec, poolSpec } from './builders.ts';
import { World } from './world.ts';

export const KEY = 'default/llama';
export const MINUTE_MS = 60_000;

export class MemoryStore implements LearnedStateStore {
  saved: unknown = null;
  load(): Promise<unknown> {
    return Promise.resolve(this.saved);
  }
  save(state: unknown): Promise<void> {
    this.saved = JSON.parse(JSON.stringify(state));
    return Promise.resolve();
  }
}

/** Orders of people for one pool. */
export class HandOrders implements PoolOrders {
  #order: PoolOrder = NO_ORDER;
  #listeners = new Set<(pool: PoolKey) => void>();

  of(): PoolOrder {
    return this.#order;
  }

  set(pool: PoolKey, change: Partial<PoolOrder>): Promise<void> {
    this.#order = { ...this.#order, ...change };
    for (const listener of this.#listeners) listener(pool);
    return Promise.resolve();
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

const started: Autoscaler[] = [];

/** For afterEach. */
export async function stopAll(): Promise<void> {
  for (const autoscaler of started.splice(0)) await autoscaler.stop();
}

const CHAT = objectiveSpec();
const NIGHTLY = objectiveSpec({ name: 'nightly', priority: -10, activation: 'Batched', maxWaitMs: 4 * 3_600_000 });
/** The same without the right to keep the pool up. */
export const GUEST = { ...NIGHTLY, mayExtendKeepWarm: false };

export async function start(
  over: Partial<PoolSpec> = {},
  world = new World(KEY),
  learned = new MemoryStore(),
  nightly = NIGHTLY,
) {
  const catalog = new FakeCatalog([poolSpec(over)], [CHAT, nightly]);
  const registry = new Registry();
  const orders = new HandOrders();
  /** Another term of the same installation. */
  const lead = async (metrics = new Registry()): Promise<Autoscaler> => {
    const autoscaler = new Autoscaler({
      clock: world.clock,
      log: silentLogger,
      catalog,
      ledgerOf: () => world,
      target: world,
      learned,
      metrics: autoscalerMetrics(metrics),
      orders,
      engines: world,
    });
    started.push(autoscaler);
    await autoscaler.start();
    return autoscaler;
  };
  const autoscaler = await lead(registry);
  return { autoscaler, world, catalog, learned, registry, orders, lead };
}

/** A pool whose command has booted six times, so that no probe is needed and its cold start is known. */
export async function startExperienced(over: Partial<PoolSpec> = {}, bootMs = 300_000, nightly = NIGHTLY) {
  const world = new World(KEY);
  const learned = new MemoryStore();
  const boot = { atEpochMs: world.clock.epochMs(), toReadyMs: { Requested: bootMs, ModelLoading: bootMs * 0.9 } };
  const hashes = ['serve', ...(over.targets ?? []).map(({ name }) => `serve-${name}`)];
  learned.saved = { version: 1, boots: Object.fromEntries(hashes.map((h) => [h, Array(6).fill(boot)])), pools: {} };
  world.bootMs = bootMs;
  return await start(over, world, learned, nightly);
}
