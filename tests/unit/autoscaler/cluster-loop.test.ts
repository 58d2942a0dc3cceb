import { afterEach, expect, test } from 'vitest';
import type { BootTrouble } from '../../../src/core/replicas.ts';
import { poolSpec, scale, scaleTarget } from './support/builders.ts';
import { KEY, MINUTE_MS, start, startExperienced, stopAll } from './support/running.ts';

afterEach(stopAll);

/** Typed: expect.stringContaining is `any`. */
const containing = (text: string): string => expect.stringContaining(text) as string;
const quick = { ...scale, keepWarmMs: 10_000, coldStartPriorMs: 5_000 };
const command = (name: string) => ({
  process: { command: [`serve-${name}`], env: {}, readinessPath: '/health', readinessEveryMs: 1_000 },
});
const spot = scaleTarget({ name: 'spot', preference: 1, ...command('spot') });
const onDemand = scaleTarget({ name: 'on-demand', ...command('on-demand') });
const pods = { matchLabels: { app: 'llama' }, ports: [8000] };
const imagePull: BootTrouble = {
  kind: 'ImagePull',
  message: 'manifest unknown',
  permanent: true,
  blocksOrders: true,
};

test('a pod that finds no GPU is waited for, not fed with more, and not counted as a failed boot', async () => {
  const { world, autoscaler } = await startExperienced({}, 10_000);
  world.gpus.set('gpu', 3);
  world.enqueue(2_000, 25_000);
  await world.pass(MINUTE_MS);
  const ordered = world.boots;
  expect(world.podsIn('Ready')).toBe(3);
  expect(world.podsIn('Pending')).toBe(ordered - 3);
  expect(autoscaler.status(KEY)?.lastDecision?.sentence).toContain('target gpu: no order (Unschedulable: 0/3 nodes');
  await world.pass(5 * MINUTE_MS);
  expect(world.boots).toBe(ordered);
  expect(autoscaler.view(KEY)?.targets[0]).toMatchObject({
    breaker: { failures: 0 },
    heldWhy: containing('no order'),
  });
});

test('a GPU that comes free lets the waiting pod boot, and the pool orders again', async () => {
  const { world } = await startExperienced({}, 10_000);
  world.gpus.set('gpu', 1);
  world.enqueue(3_000, 25_000);
  await world.pass(MINUTE_MS);
  const ordered = world.boots;
  world.gpus.clear();
  await world.pass(MINUTE_MS);
  expect(world.podsIn('Ready')).toBeGreaterThanOrEqual(ordered);
  await world.passUntil('all are done', () => world.queued + world.running === 0, 40 * MINUTE_MS);
  expect(world.cut).toBe(0);
});

test('work falls back to another target while the preferred one is blocked, with one pod left there as a probe', async () => {
  const { world } = await startExperienced({ targets: [spot, onDemand] }, 5_000);
  world.gpus.set('spot', 0);
  world.enqueue(1, 5_000);
  await world.passUntil('the request is done', () => world.waits.length === 1 && world.running === 0, 30_000);
  const byTarget = world.replicas(KEY).map(({ target, phase }) => `${target} ${phase}`);
  expect(byTarget.sort()).toEqual(['on-demand Ready', 'spot Pending']);
});

test('without any target that takes an order, a waiting pool says why and its blocked pod stays', async () => {
  const { world, autoscaler } = await startExperienced({}, 5_000);
  world.gpus.set('gpu', 0);
  world.enqueue(1, 5_000);
  await world.pass(2 * MINUTE_MS);
  expect(world.boots).toBe(1);
  expect(world.writes.filter((write) => write === 'stop')).toEqual([]);
  const status = autoscaler.status(KEY);
  expect(status).toMatchObject({ phase: 'Waking', nextReadyMs: null, blockedWhy: null });
  expect(status?.lastDecision).toMatchObject({ rule: 'no-capacity' });
});

test('a permanent trouble opens the breaker at once, and a fixed template closes it', async () => {
  const { world, autoscaler, catalog } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.troubles.set('gpu', { trouble: imagePull, stuck: true });
  world.enqueue(1, 1_000);
  await world.pass(30_000);
  expect(world.boots).toBe(1);
  expect(autoscaler.status(KEY)).toMatchObject({
    phase: 'Stalled',
    blockedWhy: containing('manifest unknown'),
  });
  expect(autoscaler.view(KEY)?.targets[0]?.breaker).toMatchObject({ isOpen: true });
  world.troubles.clear();
  catalog.change([poolSpec({ scale: quick, targets: [scaleTarget(command('fixed'))] })]);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
});

test('the breaker of one target sends the work to another', async () => {
  const { world } = await startExperienced({ targets: [spot, onDemand] }, 5_000);
  world.troubles.set('spot', { trouble: imagePull, stuck: true });
  world.enqueue(1, 5_000);
  await world.passUntil('the request is done', () => world.waits.length === 1 && world.running === 0, 30_000);
  expect(world.replicas(KEY).map(({ target }) => target)).toEqual(['on-demand']);
});

test('a GPU that is coming free is waited for as long as a boot, and only then is another target used', async () => {
  const { world } = await startExperienced({ targets: [spot, onDemand] }, 20_000);
  const trouble: BootTrouble = { kind: 'WaitingForGpu', message: 'x', permanent: false, blocksOrders: false };
  world.troubles.set('spot', { trouble, stuck: false });
  world.enqueue(1, 5_000);
  await world.pass(18_000);
  expect(world.replicas(KEY).map(({ target }) => target)).toEqual(['spot']);
  await world.pass(5_000);
  expect(world.replicas(KEY).map(({ target }) => target)).toEqual(['spot', 'on-demand']);
});

test('nothing is taken from a target in a rollout, and it goes to zero afterwards', async () => {
  const { world, autoscaler } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.enqueue(1, 1_000);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  world.states.set('gpu', { noDownWhy: 'Deployment llama is rolling out' });
  await world.pass(2 * MINUTE_MS);
  expect(world.podsIn('Ready')).toBe(1);
  expect(world.writes.filter((write) => write === 'drain' || write === 'stop')).toEqual([]);
  expect(autoscaler.status(KEY)?.lastDecision?.sentence).toContain('no step down (Deployment llama is rolling out)');
  world.states.clear();
  await world.passUntil('it sleeps', () => world.livePods === 0, 10_000);
});

test('a target that takes no order gets none, and callers learn why', async () => {
  const { world, autoscaler } = await start({ scale: quick });
  world.states.set('gpu', { noUpWhy: 'an HPA scales Deployment llama', noDownWhy: 'an HPA scales Deployment llama' });
  world.enqueue(1, 1_000);
  await world.pass(10_000);
  expect(world.writes).toEqual([]);
  expect(autoscaler.status(KEY)).toMatchObject({
    phase: 'Stalled',
    blockedWhy: 'target gpu takes no order: an HPA scales Deployment llama',
    lastDecision: {
      rule: 'no-capacity',
      sentence: containing('no order and no step down (an HPA scales Deployment llama)'),
    },
  });
  world.states.clear();
  world.bootMs = 2_000;
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
});

test('a workload that removes its highest pod first loses no other one', async () => {
  const { world } = await startExperienced(
    {
      targets: [scaleTarget({ slotsPerEndpoint: 4 })],
      scale: { ...scale, scaleDownAfterMs: 20_000, keepWarmMs: 60_000 },
    },
    5_000,
  );
  world.isOrdered = true;
  world.enqueue(200, 20_000);
  await world.passUntil('several are ready', () => world.podsIn('Ready') >= 3, 2 * MINUTE_MS);
  await world.passUntil('the pool sleeps', () => world.livePods === 0, 60 * MINUTE_MS);
  expect(world.cut).toBe(0);
  expect(world.queued).toBe(0);
});

test('replicas that are not known freeze the pool, dispatch goes on, and the time does not count as idle', async () => {
  const { world, autoscaler } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.enqueue(1, 1_000);
  await world.passUntil('one is ready', () => world.podsIn('Ready') === 1, 10_000);
  world.unknownWhy = 'the API server was not heard for 30s';
  const writes = world.writes.length;
  world.enqueue(2_000, 500);
  await world.passUntil('dispatch goes on', () => world.queued + world.running === 0, MINUTE_MS);
  await world.pass(10 * MINUTE_MS);
  expect(world.writes).toHaveLength(writes);
  const status = autoscaler.status(KEY);
  expect(status?.lastDecision).toMatchObject({
    rule: 'hold',
    sentence: containing('hold: replicas: the API server was not heard for 30s'),
  });
  expect(status?.frozen).toMatchObject({ source: 'replicas', why: 'the API server was not heard for 30s' });
  expect(world.nowMs - (status?.frozen?.sinceEpochMs ?? 0)).toBeGreaterThan(10 * MINUTE_MS);
  world.unknownWhy = null;
  const idleMs = await world.passUntil('the pool sleeps', () => world.livePods === 0, 30_000);
  expect(idleMs).toBeGreaterThan(9_000);
  expect(autoscaler.status(KEY)?.frozen).toBeNull();
});

test('a pool whose replicas were never known says so', async () => {
  const { world, autoscaler } = await start();
  await world.pass(1_000);
  expect(autoscaler.status(KEY)?.frozen).toBeNull();
  const later = await start();
  later.world.unknownWhy = 'pods were not listed yet';
  later.world.enqueue(1, 1_000);
  await later.world.pass(2_000);
  expect(later.world.writes).not.toContain('start');
});

test('a new leader in mid-boot orders nothing again and learns the whole boot', async () => {
  const { world, autoscaler, lead } = await start({ scale: quick });
  world.bootMs = 20_000;
  world.enqueue(1, 1_000);
  await world.pass(12_000);
  await autoscaler.stop();
  await world.pass(3_000);
  const next = await lead();
  await world.pass(2_000);
  expect(world.boots).toBe(1);
  const [booting] = next.decisions(KEY).at(-1)?.snapshot.replicas ?? [];
  expect(booting?.sinceRequestedMs).toBeGreaterThan(14_000);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  expect(world.boots).toBe(1);
  const seen = next.decisions(KEY).at(-1)?.snapshot.targets[0]?.coldStart;
  expect(seen?.boots).toBe(1);
});

test('a new leader knows the breaker of the last one', async () => {
  const { world, autoscaler, lead } = await start({ scale: quick });
  world.troubles.set('gpu', { trouble: imagePull, stuck: true });
  world.enqueue(1, 1_000);
  await world.pass(5_000);
  await autoscaler.stop();
  const next = await lead();
  await world.pass(20_000);
  expect(world.boots).toBe(1);
  expect(next.status(KEY)?.blockedWhy).toMatch(/next try at \d{4}-/);
  await world.pass(40_000);
  expect(world.boots).toBe(2);
});

test('a new leader in mid-drain goes on with it, or takes it back, and steps nothing down at once', async () => {
  const steps = {
    ...scale,
    keepWarmMs: 600_000,
    scaleDownAfterMs: 20_000,
    drainTargetMs: 10_000,
    drainTimeoutMs: 900_000,
  };
  const { world, autoscaler, lead } = await startExperienced(
    { targets: [scaleTarget({ slotsPerEndpoint: 4 })], scale: steps },
    2_000,
  );
  world.enqueue(60, 30_000);
  await world.passUntil('several are ready', () => world.podsIn('Ready') >= 3, MINUTE_MS);
  world.enqueue(world.podsIn('Ready'), 900_000);
  await world.passUntil('one drains', () => world.podsIn('Draining') === 1, 10 * MINUTE_MS);
  await autoscaler.stop();
  const ready = world.podsIn('Ready');
  const next = await lead();
  await world.pass(15_000);
  expect({ ready: world.podsIn('Ready'), draining: world.podsIn('Draining') }).toEqual({ ready, draining: 1 });
  world.enqueue(60, 30_000);
  await world.pass(3_000);
  expect(world.podsIn('Draining')).toBe(0);
  expect(world.cut).toBe(0);
  await next.stop();
});

test('an order that becomes a pod keeps its time and is no failed boot', async () => {
  const { world, autoscaler } = await start({ scale: quick });
  world.startsAsOrder = true;
  world.bootMs = 6_000;
  world.enqueue(1, 1_000);
  await world.pass(4_000);
  const [replica] = autoscaler.decisions(KEY).at(-1)?.snapshot.replicas ?? [];
  expect(replica).toMatchObject({ uid: 'pod-1' });
  expect(replica?.sinceRequestedMs).toBeGreaterThan(1_500);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  expect(world.boots).toBe(1);
  expect(autoscaler.view(KEY)?.targets[0]).toMatchObject({ breaker: { failures: 0 }, coldStart: { boots: 1 } });
});

test('a stopped loop writes nothing more, not even when what it waited for comes', async () => {
  const { world, autoscaler } = await start();
  let open: () => void = () => undefined;
  world.startGate = new Promise((resolve) => (open = resolve));
  world.enqueue(1, 1_000);
  await world.clock.advance(10);
  expect(world.writes).toEqual(['start']);
  await autoscaler.stop();
  open();
  await world.pass(10_000);
  expect(world.writes).toEqual(['start']);
});

test('a wake order keeps replicas up without work until it is over', async () => {
  const { world, autoscaler, orders } = await startExperienced({}, 2_000);
  await world.pass(1_000);
  await orders.set(KEY, { wakeUntilEpochMs: world.nowMs + 30 * MINUTE_MS, wakeReplicas: 2, by: 'ann' });
  await world.clock.advance(50);
  expect(world.boots).toBe(2);
  expect(autoscaler.decisions(KEY).map(({ decision }) => decision.rule)).toContain('manual');
  await world.pass(29 * MINUTE_MS);
  expect(world.podsIn('Ready')).toBe(2);
  expect(autoscaler.view(KEY)?.orders).toEqual(['at least 2 kept awake by ann for 1m more']);
  await world.passUntil('the pool sleeps', () => world.livePods === 0, 10 * MINUTE_MS);
});

test('a drain order empties the pool through a drain, and its work waits until the order is over', async () => {
  const { world, autoscaler, orders } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.enqueue(1, 20_000);
  await world.passUntil('it runs', () => world.running === 1, 10_000);
  await orders.set(KEY, { drainUntilEpochMs: world.nowMs + 10 * MINUTE_MS, by: 'bob' });
  await world.pass(1_000);
  world.enqueue(1, 1_000);
  await world.pass(5_000);
  expect(world.running).toBe(1);
  expect(autoscaler.status(KEY)).toMatchObject({ lastDecision: { rule: 'drained' } });
  await world.pass(2 * MINUTE_MS);
  expect({ cut: world.cut, left: world.replicas(KEY).length, queued: world.queued }).toEqual({
    cut: 0,
    left: 0,
    queued: 1,
  });
  expect(autoscaler.status(KEY)?.blockedWhy).toContain('is drained by bob for');
  await world.passUntil('the rest is done', () => world.queued + world.running === 0, 9 * MINUTE_MS);
});

test('a pause by people leaves the replicas as they are', async () => {
  const { world, autoscaler, orders } = await start({ scale: quick });
  await orders.set(KEY, { paused: true, by: 'ann' });
  world.enqueue(1, 1_000);
  await world.pass(10_000);
  expect(world.boots).toBe(0);
  expect(autoscaler.status(KEY)).toMatchObject({
    phase: 'Paused',
    blockedWhy: containing('paused by ann'),
  });
  world.bootMs = 1_000;
  await orders.set(KEY, { paused: false });
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
});

test('engines that run something past Pilotlight keep the last replica up, and the pool says so', async () => {
  const { world, autoscaler, registry } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.foreignRequests = 3;
  world.enqueue(1, 1_000);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  await world.pass(2 * MINUTE_MS);
  expect(world.podsIn('Ready')).toBe(1);
  expect(autoscaler.status(KEY)?.bypassTraffic).toMatchObject({ requests: 3 });
  expect(autoscaler.status(KEY)?.lastDecision?.sentence).toContain('3 requests came past Pilotlight');
  expect(await registry.metrics()).toContain(`pilotlight_autoscaler_bypass_requests{pool="${KEY}"} 3`);
  world.foreignRequests = 0;
  await world.passUntil('it sleeps', () => world.livePods === 0, 30_000);
  await world.pass(3_000);
  expect(autoscaler.status(KEY)?.bypassTraffic).toBeNull();
});

test('an engine that does not tell is taken at the word of the ledger', async () => {
  const { world } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.foreignRequests = null;
  world.enqueue(1, 1_000);
  await world.passUntil('it sleeps', () => world.waits.length === 1 && world.livePods === 0, 30_000);
  expect(world.asked).toBeGreaterThan(0);
});

test('a drained replica that runs something past Pilotlight gets the drain timeout, then it is forced and counted', async () => {
  const { world, orders, registry } = await start({ scale: quick });
  world.bootMs = 2_000;
  world.foreignRequests = 1;
  world.enqueue(1, 1_000);
  await world.passUntil('it is done', () => world.waits.length === 1 && world.running === 0, 10_000);
  await orders.set(KEY, { drainUntilEpochMs: world.nowMs + 10 * MINUTE_MS });
  await world.pass(55_000);
  expect(world.podsIn('Draining')).toBe(1);
  expect(world.livePods).toBe(1);
  await world.passUntil('it is forced', () => world.livePods === 0, 10_000);
  expect(await registry.metrics()).toContain(`pilotlight_autoscaler_drains_forced_total{pool="${KEY}"} 1`);
});

test('a deleted policy that keeps its target releases it at once and touches no pod', async () => {
  const { world, catalog } = await start({ pods, scale: quick });
  world.bootMs = 2_000;
  world.enqueue(1, 20_000);
  await world.passUntil('it runs', () => world.running === 1, 10_000);
  const writes = world.writes.length;
  world.releaseFails = 2;
  catalog.change([]);
  await world.pass(10_000);
  expect(world.writes.slice(writes)).toEqual(['release', 'release', 'release']);
  expect(world.released).toMatchObject([{ onDelete: 'Keep' }]);
  expect(world.livePods).toBe(1);
});

test('a deleted policy that scales to zero drains what runs first', async () => {
  const { world, autoscaler, catalog } = await start({ pods, onDelete: 'ScaleToZero', scale: quick });
  world.bootMs = 2_000;
  world.enqueue(1, 20_000);
  await world.passUntil('it runs', () => world.running === 1, 10_000);
  catalog.change([]);
  await world.pass(10_000);
  expect({ released: world.released.length, running: world.running }).toEqual({ released: 0, running: 1 });
  await world.passUntil('it is released', () => world.released.length === 1, 30_000);
  await world.pass(1_000);
  expect(world.cut).toBe(0);
  expect(world.released).toMatchObject([{ onDelete: 'ScaleToZero', key: KEY }]);
  expect(autoscaler.status(KEY)).toBeUndefined();
});

test('a deleted policy that only observed changes nothing', async () => {
  const { world, catalog } = await start({ pods, onDelete: 'ScaleToZero', scale: { ...quick, mode: 'Observe' } });
  await world.pass(1_000);
  catalog.change([]);
  await world.pass(3_000);
  expect(world.writes).toEqual(['release']);
  expect(world.released).toMatchObject([{ onDelete: 'Keep' }]);
});
