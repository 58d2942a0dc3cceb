import { Redis } from 'ioredis';
import { afterEach, expect, test } from 'vitest';
import { BoardPublisher, type BoardSource } from '../../src/autoscaler/adapters/board/board-publisher.ts';
import { BoardReader } from '../../src/autoscaler/adapters/board/board-reader.ts';
import type { WaitAdvice } from '../../src/autoscaler/policy/wait-advice.ts';
import { createWaitAdvisor } from '../../src/autoscaler/wait-advisor.ts';
import type { Leadership } from '../../src/core/kubernetes.ts';
import { NO_ORDER } from '../../src/core/pool-orders.ts';
import type { PoolView } from '../../src/autoscaler/pool-view.ts';
import type { PoolStatus, Replica, WarmUpPhase } from '../../src/core/replicas.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { createRedis } from '../../src/platform/redis/connection.ts';

const redis = useRedis();
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const POOL = 'default/llama';
let installations = 0;
const newPlace = () => ({ keyPrefix: redis.prefix, installation: `i${(installations += 1)}` });
type Place = ReturnType<typeof newPlace>;
const keyOf = ({ keyPrefix, installation }: Place) => `${keyPrefix}:{${installation}/${POOL}}:board`;

function replica(uid: string, phase: WarmUpPhase): Replica {
  const times = { requestedAtEpochMs: 1, phaseSinceEpochMs: 1, readyAtEpochMs: null };
  return {
    uid,
    pool: POOL,
    target: 'gpu',
    phase,
    ...times,
    endpointIds: [],
    message: null,
    restarts: 0,
    trouble: null,
  };
}

/** A controller's knowledge that a test can change. */
class FakeSource implements BoardSource {
  told: PoolStatus = {
    pool: POOL,
    phase: 'Waking',
    desiredReplicas: 1,
    replicas: [replica('a', 'ModelLoading')],
    nextReadyMs: { p50: 60_000, p90: 90_000 },
    lastDecision: { atEpochMs: 5, rule: 'immediate', sentence: 'wakes' },
    blockedWhy: null,
  };
  advised: WaitAdvice = {
    sources: [{ availableInMs: 60_000, freeSlots: 32, requestsPerMs: 0.001 }],
    ifOrdered: { availableInMs: 300_000, freeSlots: 32, requestsPerMs: 0.001 },
    immediate: new Set(['chat']),
    queued: 3,
    queuedByPriority: [{ priority: 0, queued: 3 }],
    finishedPerS: 0,
  };
  records: unknown[] = [];

  view(): PoolView {
    const { told, advised } = this;
    const account = { loadingGpuS: 1, readyIdleGpuS: 2, readyBusyGpuS: 3, usedGpuS: 6, costUsd: 0, alwaysOnCostUsd: 0 };
    return {
      ...{ atEpochMs: 1, status: told, advice: advised, decision: null, lastStep: null, order: NO_ORDER, orders: [] },
      ...{ bypassTraffic: null, frozen: null, saturationRatio: 0 },
      demand: { queued: 3, running: 0, oldestQueuedAtEpochMs: 1 },
      gpuUse: { ...account, elapsedMs: 1, alwaysOnGpuS: 9, peakReplicas: 1 },
      targets: [
        {
          ...{ name: 'gpu', supported: true, state: null, readyReplicas: 0, bootingReplicas: 1, coldStart: null },
          breaker: { failures: 3, message: 'no', isOpen: true, retryInMs: 60_000 },
          heldWhy: 'quota',
        },
      ],
    };
  }
  decisions(): ReturnType<BoardSource['decisions']> {
    return this.records as ReturnType<BoardSource['decisions']>;
  }
}

class FakeLeadership implements Leadership {
  leads: boolean;
  readonly #term: number;
  constructor(term: number, leads = true) {
    this.#term = term;
    this.leads = leads;
  }
  isLeader(): boolean {
    return this.leads;
  }
  term(): number | null {
    return this.leads ? this.#term : null;
  }
  onChange(): () => void {
    return () => undefined;
  }
}

function publish(
  place: Place,
  source: BoardSource,
  leadership: Leadership = new FakeLeadership(1),
  client = redis.client,
) {
  const publisher = new BoardPublisher({
    ...{ client, place, clock: systemClock, log: silentLogger, leadership, source, pools: () => [POOL] },
  });
  publisher.start();
  cleanUps.push(() => publisher.stop());
  return publisher;
}

async function read(place: Place, options: { clock?: FakeClock; client?: Redis; channels?: RedisChannels } = {}) {
  let { channels } = options;
  if (channels === undefined) {
    const subscriber = new Redis(redis.url);
    cleanUps.push(() => subscriber.disconnect());
    channels = new RedisChannels(subscriber);
  }
  const { clock = systemClock, client = redis.client } = options;
  const reader = new BoardReader({ client, channels, place, clock, log: silentLogger, pools: () => [POOL] });
  await reader.start();
  cleanUps.push(() => reader.stop());
  return reader;
}

const isPublished = (place: Place) => until(async () => (await redis.client.exists(keyOf(place))) === 1, 'a record');

test('before the first record nothing is known, and callers are told so without an error', async () => {
  const reader = await read(newPlace());
  expect(reader.status(POOL)).toBeUndefined();
  expect(reader.advice(POOL)).toBeNull();
  expect(reader.silence(POOL)).toBeNull();
  expect(createWaitAdvisor(reader, () => 0).status(POOL, 'chat', 0)).toEqual({
    position: 0,
    phase: 'queued',
    etaMs: null,
  });
});

test('a gateway knows what the controller knows: status, advice, targets, decisions', async () => {
  const place = newPlace();
  const source = new FakeSource();
  source.records = [{ atEpochMs: 1, decision: { rule: 'immediate' }, snapshot: { replicas: [] } }];
  publish(place, source);
  const reader = await read(place);
  await until(() => reader.status(POOL) !== undefined, 'the first view');
  expect(reader.status(POOL)).toMatchObject({ ...source.told, nextReadyMs: expect.anything() as unknown });
  expect(reader.advice(POOL)).toMatchObject({ immediate: new Set(['chat']), queued: 3 });
  expect(reader.gpuUse(POOL)).toEqual(source.view().gpuUse);
  expect(reader.view(POOL)).toMatchObject({
    demand: source.view().demand,
    targets: [{ name: 'gpu', heldWhy: 'quota' }],
  });
  expect(await reader.decisions(POOL)).toEqual(source.records);
  expect(createWaitAdvisor(reader, () => 0).status(POOL, 'chat', 0).phase).toBe('ModelLoading');
});

test('a change is heard at once, and a hundred in one turn are one record', async () => {
  const place = newPlace();
  const source = new FakeSource();
  const publisher = publish(place, source);
  const subscriber = new Redis(redis.url);
  cleanUps.push(() => subscriber.disconnect());
  let messages = 0;
  subscriber.on('message', () => (messages += 1));
  await subscriber.subscribe(`${place.keyPrefix}:${place.installation}:board`);
  const reader = await read(place);
  await until(() => reader.status(POOL) !== undefined, 'the first view');
  messages = 0;
  source.told = { ...source.told, phase: 'Ready' };
  for (let touch = 0; touch < 100; touch += 1) publisher.touch(POOL);
  const startMs = performance.now();
  await until(() => reader.status(POOL)?.phase === 'Ready', 'the change');
  expect(performance.now() - startMs).toBeLessThan(2_000);
  expect(messages).toBeLessThanOrEqual(1);
});

test('times run down with the age of the record by the clock of Redis, whatever the clocks of the processes say', async () => {
  const place = newPlace();
  const publisher = publish(place, new FakeSource());
  await isPublished(place);
  await publisher.stop();
  await redis.client.hincrby(keyOf(place), 'atMs', -10_000);
  const clock = new FakeClock(1_000);
  const reader = await read(place, { clock });
  const { p50 } = reader.status(POOL)!.nextReadyMs!;
  expect(p50).toBeLessThanOrEqual(50_000);
  expect(p50).toBeGreaterThan(45_000);
  clock.freeze(4_000);
  expect(reader.status(POOL)!.nextReadyMs!.p50).toBe(p50 - 4_000);
  expect(reader.advice(POOL)!.sources[0]!.availableInMs).toBeLessThanOrEqual(46_000);
  expect(reader.advice(POOL)!.ifOrdered!.availableInMs).toBe(300_000);
  expect(reader.view(POOL)!.targets[0]!.breaker!.retryInMs).toBeLessThanOrEqual(46_000);
});

test('a record that seems to come from the future is taken as new', async () => {
  const place = newPlace();
  const publisher = publish(place, new FakeSource());
  await isPublished(place);
  await publisher.stop();
  await redis.client.hincrby(keyOf(place), 'atMs', 3_600_000);
  const reader = await read(place, { clock: new FakeClock() });
  expect(reader.status(POOL)!.nextReadyMs).toEqual({ p50: 60_000, p90: 90_000 });
  expect(reader.silence(POOL)).toBeNull();
});

test('a controller that falls silent is named: the phase stays, nothing is promised, and later callers are refused', async () => {
  const place = newPlace();
  const publisher = publish(place, new FakeSource());
  await isPublished(place);
  await publisher.stop();
  const clock = new FakeClock();
  const reader = await read(place, { clock });
  const advisor = createWaitAdvisor(reader, () => 0);
  clock.freeze(16_000);
  expect(reader.silence(POOL)).toContain('the controller has been silent about pool default/llama since');
  expect(reader.status(POOL)).toMatchObject({ phase: 'Waking', nextReadyMs: null, blockedWhy: null });
  expect(reader.advice(POOL)!.ifOrdered).toBeNull();
  expect(advisor.capacity(POOL)).toEqual({ canCome: true });
  clock.freeze(16_000);
  expect(advisor.capacity(POOL)).toMatchObject({ canCome: false, why: expect.stringContaining('silent') as string });
});

test('a pool that served when the controller fell silent takes calls on', async () => {
  const place = newPlace();
  const source = new FakeSource();
  source.told = { ...source.told, phase: 'Ready', replicas: [replica('a', 'Ready')], nextReadyMs: null };
  const publisher = publish(place, source);
  await isPublished(place);
  await publisher.stop();
  const clock = new FakeClock();
  const reader = await read(place, { clock });
  clock.freeze(3_600_000);
  expect(createWaitAdvisor(reader, () => 0).capacity(POOL)).toEqual({ canCome: true });
  expect(reader.status(POOL)!.phase).toBe('Ready');
});

test('a gateway that starts after the controller died still learns the last state, and that it is old', async () => {
  const place = newPlace();
  const publisher = publish(place, new FakeSource());
  await isPublished(place);
  await publisher.stop();
  await redis.client.hincrby(keyOf(place), 'atMs', -60_000);
  expect(await redis.client.pttl(keyOf(place))).toBeGreaterThan(60_000);
  const reader = await read(place);
  expect(reader.status(POOL)!.phase).toBe('Waking');
  expect(reader.silence(POOL)).toContain('1m');
});

test('an older term never overwrites a newer one, and a newer one takes over at once', async () => {
  const place = newPlace();
  const source = new FakeSource();
  await publishOnce(place, { ...source.told, phase: 'Ready' }, 7);
  await publishOnce(place, { ...source.told, phase: 'Stalled' }, 6);
  expect((await read(place)).status(POOL)!.phase).toBe('Ready');
  await publishOnce(place, { ...source.told, phase: 'Asleep' }, 8);
  expect((await read(place)).status(POOL)!.phase).toBe('Asleep');
});

/** Publishes under that term until the publisher has had its turn. */
async function publishOnce(place: Place, told: PoolStatus, term: number): Promise<void> {
  const source = new FakeSource();
  source.told = told;
  await publish(place, source, new FakeLeadership(term)).stop();
}

test('a process that does not lead publishes nothing', async () => {
  const place = newPlace();
  await publish(place, new FakeSource(), new FakeLeadership(1, false)).stop();
  expect(await redis.client.exists(keyOf(place))).toBe(0);
});

test('a pool of a thousand replicas and endless messages makes a small record that shows every phase', async () => {
  const place = newPlace();
  const source = new FakeSource();
  const many = Array.from({ length: 1_000 }, (_, index) => replica(`r${index}`, 'Ready'));
  const loud = { ...replica('last', 'Stuck'), message: 'x'.repeat(100_000) };
  source.told = { ...source.told, replicas: [...many, loud, replica('boot', 'ImagePulling')] };
  source.records = Array.from({ length: 50 }, (_, index) => ({
    atEpochMs: index,
    decision: { rule: 'rate', sentence: 'y'.repeat(5_000) },
    snapshot: { replicas: many },
  }));
  await publish(place, source).stop();
  const record = await redis.client.hgetall(keyOf(place));
  expect(Buffer.byteLength(record['view']!)).toBeLessThan(64 * 1_024);
  expect(Buffer.byteLength(record['decisions']!)).toBeLessThan(130 * 1_024);
  const reader = await read(place);
  const shown = reader.status(POOL)!.replicas;
  expect(shown).toHaveLength(100);
  expect(reader.view(POOL)!.omittedReplicas).toBe(902);
  expect(new Set(shown.map(({ phase }) => phase))).toEqual(new Set(['Ready', 'Stuck', 'ImagePulling']));
  const decisions = (await reader.decisions(POOL)) as { atEpochMs: number; snapshot: { omittedReplicas: number } }[];
  expect(decisions.at(-1)).toMatchObject({ atEpochMs: 49, snapshot: { omittedReplicas: 980 } });
});

test('a record of another format, or a damaged one, is as none; what was read before stays', async () => {
  const place = newPlace();
  await publish(place, new FakeSource()).stop();
  const reader = await read(place);
  for (const view of ['{"format":2}', 'nonsense', 'null']) {
    await redis.client.hset(keyOf(place), 'view', view);
    await redis.client.publish(`${place.keyPrefix}:${place.installation}:board`, POOL);
    expect((await read(place)).status(POOL)).toBeUndefined();
  }
  expect(reader.status(POOL)!.phase).toBe('Waking');
});

test('a Redis that dies leaves what was read, names itself after a while, and is read again when it is back', async () => {
  const server = await startDedicatedRedis();
  const client = createRedis({ url: server.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: server.url, purpose: 'subscriber', log: silentLogger });
  cleanUps.push(
    () => client.disconnect(),
    () => subscriber.disconnect(),
  );
  await until(() => client.status === 'ready', 'a connection');
  const place = newPlace();
  const source = new FakeSource();
  publish(place, source, new FakeLeadership(1), client);
  await until(async () => (await client.exists(keyOf(place))) === 1, 'a record');
  const clock = new FakeClock();
  const reader = await read(place, { clock, client, channels: new RedisChannels(subscriber) });
  await server.kill();
  await clock.advance(20_000);
  await until(() => reader.silence(POOL)?.includes('Redis does not answer') === true, 'Redis to be named');
  expect(reader.status(POOL)!.phase).toBe('Waking');
  source.told = { ...source.told, phase: 'Ready' };
  await server.restart();
  await until(async () => {
    await clock.advance(3_000);
    return reader.status(POOL)?.phase === 'Ready' && reader.silence(POOL) === null;
  }, 'the view of the restarted Redis');
});
