import { afterEach, expect, test } from 'vitest';
import { poolSpec, scale, scaleTarget } from './support/builders.ts';
import { KEY, MINUTE_MS, start, startExperienced, stopAll } from './support/running.ts';
import { World } from './support/world.ts';

afterEach(stopAll);

test('a first request on a sleeping pool orders a replica at once, and idleness ends it', async () => {
  const { world, autoscaler } = await start();
  await world.pass(3_000);
  expect(autoscaler.status(KEY)).toMatchObject({ phase: 'Asleep', desiredReplicas: 0 });
  world.enqueue(1, 5_000);
  await world.clock.advance(0);
  expect(world.boots).toBe(1);
  expect(autoscaler.status(KEY)).toMatchObject({ phase: 'Waking', lastDecision: { rule: 'immediate' } });
  await world.passUntil('the request is done', () => world.queued + world.running === 0, 310_000);
  expect(world.podsIn('Ready')).toBe(1);
  const idleMs = await world.passUntil('the pool sleeps', () => world.livePods === 0, 16 * MINUTE_MS);
  expect(idleMs).toBeGreaterThan(290_000);
  expect(world.cut).toBe(0);
  await world.pass(200);
  expect(autoscaler.status(KEY)?.lastDecision?.rule).toBe('asleep');
});

test('what happened is in the metrics', async () => {
  const { world, registry } = await start({ scale: { ...scale, coldStartPriorMs: 5_000, keepWarmMs: 10_000 } });
  world.bootMs = 3_000;
  world.enqueue(1, 5_000);
  await world.passUntil(
    'the pool sleeps',
    () => world.waits.length === 1 && world.replicas(KEY).length === 0,
    MINUTE_MS,
  );
  const text = await registry.metrics();
  for (const line of [
    `pilotlight_autoscaler_wakes_total{pool="${KEY}",rule="immediate"} 1`,
    `pilotlight_autoscaler_boot_duration_seconds_sum{pool="${KEY}"} 3`,
    `pilotlight_autoscaler_desired_replicas{pool="${KEY}"} 0`,
    `pilotlight_autoscaler_replicas{pool="${KEY}",phase="Ready"} 0`,
    `pilotlight_autoscaler_source_available{pool="${KEY}",source="ledger"} 1`,
  ]) {
    expect(text).toContain(line);
  }
});

test('a burst of 2,000 during a boot of 300 s orders each needed pod once', async () => {
  const { world } = await startExperienced();
  world.enqueue(2_000, 25_000);
  await world.passUntil('all are done', () => world.queued + world.running === 0, 30 * MINUTE_MS);
  expect(world.boots).toBeGreaterThanOrEqual(5);
  expect(world.boots).toBeLessThanOrEqual(8);
  expect(world.cut).toBe(0);
});

test('a batch that is due in an hour is done by then, with no more replicas than that takes', async () => {
  const { world, autoscaler } = await startExperienced();
  world.batchDueAtEpochMs = world.clock.epochMs() + 60 * MINUTE_MS;
  world.enqueue(4_000, 25_000, 'nightly');
  await world.pass(2_000);
  // 4,400 × 25 s on 25.6 slots a replica in 3,600 − 300 (reserve) − 300 s (boot): two.
  expect(autoscaler.status(KEY)).toMatchObject({ desiredReplicas: 2 });
  await world.passUntil('all are done', () => world.queued + world.running === 0, 60 * MINUTE_MS);
  expect(world.boots).toBe(2);
  await world.passUntil('the pool sleeps', () => world.livePods === 0, 20 * MINUTE_MS);
});

test('a command that never booted is tried with one replica before the others are ordered', async () => {
  const { world } = await start();
  world.enqueue(2_000, 25_000);
  await world.pass(10_000);
  expect(world.boots).toBe(1);
  await world.passUntil('the probe is ready', () => world.podsIn('Ready') === 1, 310_000);
  await world.pass(1_000);
  expect(world.boots).toBeGreaterThan(1);
});

test('steady arrivals hold the number of pods without flapping', async () => {
  const { world } = await startExperienced();
  const arrive = (elapsedMs: number): void => {
    if (elapsedMs % 500 === 0) world.enqueue(2, 25_000);
  };
  await world.pass(20 * MINUTE_MS, arrive);
  const settled = world.boots;
  await world.pass(40 * MINUTE_MS, arrive);
  expect(world.boots - settled).toBeLessThanOrEqual(1);
  expect(world.podsIn('Ready')).toBeGreaterThanOrEqual(4);
  expect(world.podsIn('Ready')).toBeLessThanOrEqual(6);
  expect(world.cut).toBe(0);
});

test('a boot longer than keep-warm is not abandoned while its request waits', async () => {
  const { world } = await start({ scale: { ...scale, keepWarmMs: 30_000, coldStartPriorMs: 60_000 } });
  world.bootMs = 12 * MINUTE_MS;
  world.enqueue(1, 5_000);
  await world.passUntil('the request is done', () => world.queued + world.running === 0, 13 * MINUTE_MS);
  expect(world.boots).toBe(1);
});

test('a pool without demand drains to zero through fewer pods and cuts nothing', async () => {
  const { world } = await startExperienced();
  world.enqueue(2_000, 25_000);
  await world.passUntil('all are done', () => world.queued + world.running === 0, 30 * MINUTE_MS);
  await world.passUntil('the pool sleeps', () => world.livePods === 0, 20 * MINUTE_MS);
  expect(world.cut).toBe(0);
});

test('a request that races with the close keeps the pool up', async () => {
  const { world } = await start({ scale: { ...scale, keepWarmMs: 10_000, coldStartPriorMs: 5_000 } });
  world.bootMs = 2_000;
  world.enqueue(1, 1_000);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  let raced = 0;
  world.beforeClose = () => {
    raced += 1;
    if (raced === 1) world.enqueue(1, 1_000);
  };
  await world.passUntil('a close was tried', () => raced === 1, 30_000);
  expect(world.livePods).toBe(1);
  await world.passUntil('the racing request is done', () => world.waits.length === 2 && world.running === 0, 5_000);
  expect(world.boots).toBe(1);
  await world.passUntil('the pool sleeps', () => world.livePods === 0, 30_000);
});

test('a request just after the close wakes the pool again', async () => {
  const { world } = await start({ scale: { ...scale, keepWarmMs: 10_000, coldStartPriorMs: 5_000 } });
  world.bootMs = 2_000;
  world.terminateMs = 10_000;
  world.enqueue(1, 1_000);
  await world.passUntil('it was closed', () => world.waits.length === 1 && world.livePods === 0, 30_000);
  world.enqueue(1, 1_000);
  await world.clock.advance(50);
  expect(world.boots).toBe(2);
});

test('returning demand takes back a draining replica instead of ordering another one', async () => {
  const quick = {
    ...scale,
    keepWarmMs: 600_000,
    scaleDownAfterMs: 20_000,
    drainTargetMs: 10_000,
    coldStartPriorMs: 2_000,
  };
  const { world } = await start({
    targets: [scaleTarget({ slotsPerEndpoint: 4 })],
    scale: { ...quick, requestPriorMs: 30_000 },
  });
  world.bootMs = 2_000;
  world.enqueue(40, 30_000);
  await world.passUntil('several pods are ready', () => world.podsIn('Ready') >= 3, MINUTE_MS);
  world.enqueue(world.podsIn('Ready'), 600_000);
  await world.passUntil('one drains', () => world.podsIn('Draining') === 1, 10 * MINUTE_MS);
  const drained = world.replicas(KEY).find(({ phase }) => phase === 'Draining');
  world.enqueue(60, 30_000);
  await world.pass(1_000);
  expect(world.replicas(KEY).find(({ uid }) => uid === drained?.uid)?.phase).toBe('Ready');
  expect(world.cut).toBe(0);
});

test('a ledger that cannot be reached freezes the pool for as long as that lasts', async () => {
  const { world, autoscaler } = await start({ scale: { ...scale, keepWarmMs: 10_000, coldStartPriorMs: 5_000 } });
  world.bootMs = 2_000;
  world.enqueue(1, 1_000);
  await world.passUntil('one is ready', () => world.podsIn('Ready') === 1, 10_000);
  world.unreachable = true;
  await world.pass(10 * MINUTE_MS);
  expect(world.livePods).toBe(1);
  expect(autoscaler.status(KEY)?.lastDecision?.rule).toBe('hold');
  world.unreachable = false;
  const idleMs = await world.passUntil('the pool sleeps', () => world.livePods === 0, 30_000);
  expect(idleMs).toBeGreaterThan(9_000);
});

test('three failed boots open the breaker, back off, and a changed command closes it', async () => {
  const { world, autoscaler, catalog } = await start();
  world.bootMs = 1_000;
  world.bootFails = true;
  world.enqueue(5, 1_000);
  await world.pass(30_000);
  expect(world.boots).toBe(3);
  expect(autoscaler.status(KEY)?.phase).toBe('Stalled');
  expect(autoscaler.status(KEY)?.blockedWhy).toContain('exit code 1 while it booted');
  await world.pass(MINUTE_MS);
  expect(world.boots).toBe(4);
  await world.pass(2 * MINUTE_MS + 5_000);
  expect(world.boots).toBe(5);
  world.bootFails = false;
  const target = scaleTarget({
    process: { command: ['fixed'], env: {}, readinessPath: '/health', readinessEveryMs: 1_000 },
  });
  catalog.change([poolSpec({ targets: [target] })]);
  await world.passUntil('all are done', () => world.queued + world.running === 0, 10_000);
  expect(autoscaler.status(KEY)?.blockedWhy).toBeNull();
});

test('one Ready after failures closes the breaker', async () => {
  const { world, autoscaler } = await start();
  world.bootMs = 1_000;
  world.bootFails = true;
  world.enqueue(5, 1_000);
  await world.pass(30_000);
  world.bootFails = false;
  await world.passUntil('all are done', () => world.queued + world.running === 0, 2 * MINUTE_MS);
  expect(autoscaler.status(KEY)?.phase).toBe('Ready');
});

test('batched work waits until it is worth a boot', async () => {
  const { world, autoscaler } = await start();
  world.enqueue(100, 25_000, 'nightly');
  await world.pass(MINUTE_MS);
  expect(world.boots).toBe(0);
  expect(autoscaler.status(KEY)?.lastDecision?.sentence).toBe(
    'stays at zero: 100 queued requests are not yet worth a boot',
  );
  world.enqueue(600, 25_000, 'nightly');
  await world.clock.advance(50);
  expect(world.boots).toBe(1);
  expect(autoscaler.decisions(KEY).map(({ decision }) => decision.rule)).toContain('economics');
});

test('a few batched requests wake the pool when the oldest has waited its limit', async () => {
  const { world, autoscaler } = await start();
  world.enqueue(3, 25_000, 'nightly');
  await world.clock.advance(4 * 60 * MINUTE_MS - 1_000);
  expect(world.boots).toBe(0);
  await world.clock.advance(1_100);
  expect(world.boots).toBe(1);
  expect(autoscaler.decisions(KEY).map(({ decision }) => decision.rule)).toContain('age');
});

test('an Observe policy decides and reports, and starts nothing', async () => {
  const { world, autoscaler } = await start({ scale: { ...scale, mode: 'Observe' } });
  world.enqueue(1, 1_000);
  await world.pass(5_000);
  expect(world.boots).toBe(0);
  expect(autoscaler.status(KEY)).toMatchObject({ desiredReplicas: 1, lastDecision: { rule: 'immediate' } });
  expect(autoscaler.status(KEY)?.blockedWhy).toContain('mode Observe');
});

test('a removed pool drains its replicas and its loop ends', async () => {
  const { world, autoscaler, catalog } = await start({ scale: { ...scale, coldStartPriorMs: 5_000 } });
  world.bootMs = 2_000;
  world.enqueue(1, 20_000);
  await world.passUntil('it runs', () => world.running === 1, 5_000);
  catalog.change([]);
  await world.pass(10_000);
  expect(world.running).toBe(1);
  await world.passUntil('its replica is gone', () => world.replicas(KEY).length === 0, 20_000);
  await world.pass(1_000);
  expect(world.cut).toBe(0);
  expect(autoscaler.status(KEY)).toBeUndefined();
});

test('a replica with an older command is replaced when nothing needs it', async () => {
  const { world, catalog } = await start({ scale: { ...scale, coldStartPriorMs: 5_000, keepWarmMs: 600_000 } });
  world.bootMs = 2_000;
  world.enqueue(1, 5_000);
  await world.passUntil('it runs', () => world.running === 1, 5_000);
  const target = scaleTarget({
    process: { command: ['newer'], env: {}, readinessPath: '/health', readinessEveryMs: 1_000 },
  });
  catalog.change([poolSpec({ targets: [target] })]);
  await world.pass(2_000);
  expect(world.running).toBe(1);
  await world.passUntil('the old one is gone', () => world.replicas(KEY).length === 0, 20_000);
  world.enqueue(1, 1_000);
  await world.pass(1_000);
  expect(world.replicas(KEY)).toMatchObject([{ templateHash: 'newer' }]);
  expect(world.cut).toBe(0);
});

test('learned cold starts survive a restart', async () => {
  const first = await start();
  first.world.bootMs = 3_000;
  first.world.enqueue(1, 1_000);
  await first.world.passUntil('it is done', () => first.world.waits.length === 1, 10_000);
  await first.autoscaler.stop();
  const second = await start({}, new World(KEY), first.learned);
  await second.world.pass(1_000);
  const status = second.autoscaler.status(KEY);
  expect(status?.nextReadyMs?.p50).toBeLessThan(150_000);
});

test('GPU time is accounted by what the replicas did', async () => {
  const { world, autoscaler } = await start({ scale: { ...scale, coldStartPriorMs: 5_000, keepWarmMs: 10_000 } });
  world.bootMs = 5_000;
  world.enqueue(1, 20_000);
  await world.passUntil(
    'the pool sleeps',
    () => world.waits.length === 1 && world.replicas(KEY).length === 0,
    MINUTE_MS,
  );
  const use = autoscaler.gpuUse(KEY);
  expect(use?.loadingGpuS).toBeCloseTo(5, 0);
  expect(use?.readyBusyGpuS).toBeGreaterThan(17);
  expect(use?.readyBusyGpuS).toBeLessThan(23);
  expect(use?.readyIdleGpuS).toBeGreaterThan(9);
  expect(use?.readyIdleGpuS).toBeLessThan(14);
  expect(use?.alwaysOnGpuS).toBeCloseTo(((use?.elapsedMs ?? 0) / 1_000) * 20, 0);
  expect(use?.costUsd).toBeCloseTo(((use?.usedGpuS ?? 0) * 2) / 3_600, 5);
});
