import { Registry } from 'prom-client';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { learnedStateFile } from '../../src/autoscaler/adapters/learned-state-file.ts';
import { Autoscaler } from '../../src/autoscaler/autoscaler.ts';
import { autoscalerMetrics } from '../../src/autoscaler/metrics.ts';
import { createWaitAdvisor } from '../../src/autoscaler/wait-advisor.ts';
import type { LedgerSnapshot, SlotLedger } from '../../src/core/live-order.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { demand, FakeCatalog, objectiveSpec, poolSpec, scale } from '../unit/autoscaler/support/builders.ts';
import { until, type Workplace, workplace } from './process-target/support.ts';

/** A ledger of one objective whose demand a test sets. */
class HandLedger implements SlotLedger {
  waiting = 0;
  arrived = 0;
  #listeners = new Set<() => void>();

  arrive(): void {
    this.waiting += 1;
    this.arrived += 1;
    for (const listener of this.#listeners) listener();
  }

  snapshot(): Promise<LedgerSnapshot> {
    const objectives = [demand({ waitingHeld: this.waiting, arrivedTotal: this.arrived })];
    const nowEpochMs = systemClock.epochMs();
    return Promise.resolve({
      nowEpochMs,
      incarnation: 'a',
      activityEpoch: this.arrived,
      objectives,
      endpoints: [],
      owners: 1,
    });
  }

  closeIfIdle(activityEpoch: number): Promise<boolean> {
    return Promise.resolve(this.waiting === 0 && activityEpoch === this.arrived);
  }

  forgetEndpoints = (): void => undefined;
  setEndpoints = (): Promise<void> => Promise.resolve();
  setGate = (): Promise<void> => Promise.resolve();
  setSoonSlots = (): Promise<void> => Promise.resolve();

  onDemand(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

let place: Workplace;
beforeEach(() => {
  place = workplace();
});
afterEach(() => place.close());

async function open(flags: readonly string[]) {
  const processes = place.open();
  const ledger = new HandLedger();
  const pool = poolSpec({
    targets: [place.engine(flags)],
    scale: { ...scale, keepWarmMs: 300, coldStartPriorMs: 1_000, requestPriorMs: 1_000 },
  });
  const autoscaler = new Autoscaler({
    clock: systemClock,
    log: silentLogger,
    catalog: new FakeCatalog([pool], [objectiveSpec()]),
    ledgerOf: () => ledger,
    target: processes,
    learned: learnedStateFile(`${place.dataDir}/learned.json`),
    metrics: autoscalerMetrics(new Registry()),
  });
  await autoscaler.start();
  return { autoscaler, processes, ledger, key: pool.key };
}

test('a first request spawns a process within milliseconds, serves, and the pool goes back to zero', async () => {
  const { autoscaler, processes, ledger, key } = await open(['load-ms=200']);
  await until('the first decision', () => autoscaler.status(key)?.lastDecision?.rule === 'asleep');
  const spawned = new Promise<number>((resolve) => {
    processes.onReplicaChange(() => {
      if (processes.replicas(key)[0]?.phase === 'ContainerStarted') resolve(performance.now());
    });
  });
  const arrivedAt = performance.now();
  ledger.arrive();
  const spawnMs = (await spawned) - arrivedAt;
  const advisor = createWaitAdvisor(autoscaler, () => 0);
  expect(advisor.capacity(key)).toEqual({ canCome: true });
  expect(advisor.status(key, 'chat', 0).etaMs).toBeGreaterThan(0);
  await until('the endpoint', () => processes.list(key).length === 1);
  ledger.waiting = 0;
  await until('zero again', () => processes.replicas(key).length === 0);
  await autoscaler.stop();
  // The aim is 10 ms on an idle machine; the bound leaves room for a busy one.
  expect(spawnMs).toBeLessThan(250);
  process.stdout.write(`first request to spawned process: ${spawnMs.toFixed(1)} ms\n`);
});

test('a cold start learned by one run is known to the next', async () => {
  const bootsKnownTo = ({ autoscaler, key }: Awaited<ReturnType<typeof open>>): number | undefined =>
    autoscaler.decisions(key).at(-1)?.snapshot.targets[0]?.coldStart.boots;
  const first = await open(['load-ms=200']);
  first.ledger.arrive();
  await until('a boot was learned', () => bootsKnownTo(first) === 1);
  await first.autoscaler.stop();
  const second = await open(['load-ms=200']);
  await until('it is known', () => bootsKnownTo(second) === 1);
  await second.autoscaler.stop();
});

test('a command that cannot boot stalls the pool with its last words and stops trying', async () => {
  const { autoscaler, processes, ledger, key } = await open(['exit-at-boot']);
  ledger.arrive();
  await until('the breaker is open', () => autoscaler.status(key)?.phase === 'Stalled');
  const capacity = createWaitAdvisor(autoscaler, () => 0).capacity(key);
  expect(capacity.canCome).toBe(false);
  expect(JSON.stringify(capacity)).toContain('weights not found');
  expect(processes.replicas(key)).toEqual([]);
  await autoscaler.stop();
});
