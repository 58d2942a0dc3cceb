import { Redis } from 'ioredis';
import { afterEach, describe, expect, test } from 'vitest';
import { KubernetesPoolOrders } from '../../src/autoscaler/adapters/orders/kubernetes-pool-orders.ts';
import { MemoryPoolOrders } from '../../src/autoscaler/adapters/orders/memory-pool-orders.ts';
import { RedisPoolOrders } from '../../src/autoscaler/adapters/orders/redis-pool-orders.ts';
import { KUBE_MARKS, KubeApiError } from '../../src/core/kubernetes.ts';
import { NO_ORDER, type PoolOrder, type PoolOrders } from '../../src/core/pool-orders.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { FakeKube } from '../support/fake-kube.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { FakeCatalog, poolSpec } from '../unit/autoscaler/support/builders.ts';

const redis = useRedis();
const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

const POOL = 'default/llama';
const OTHER = 'default/qwen';
const HOUR_MS = 3_600_000;
let installations = 0;

/** Two processes that see the same orders, or one seen twice. */
interface Rig {
  readonly clock: FakeClock;
  readonly here: PoolOrders;
  readonly there: PoolOrders;
}

const adapters: Record<string, () => Promise<Rig>> = {
  memory: () => {
    const clock = new FakeClock();
    const orders = new MemoryPoolOrders(clock);
    return Promise.resolve({ clock, here: orders, there: orders });
  },
  Redis: async () => {
    const clock = new FakeClock();
    const place = { keyPrefix: redis.prefix, installation: `i${(installations += 1)}` };
    const open = async (): Promise<RedisPoolOrders> => {
      const subscriber = new Redis(redis.url);
      const channels = new RedisChannels(subscriber);
      const orders = new RedisPoolOrders({ client: redis.client, channels, place, clock, log: silentLogger });
      await orders.start();
      cleanUps.push(async () => {
        await orders.stop();
        subscriber.disconnect();
      });
      return orders;
    };
    const [here, there] = await Promise.all([open(), open()]);
    const channel = `${place.keyPrefix}:{${place.installation}}:orders:changed`;
    const listeners = async (): Promise<number> => Number((await redis.client.pubsub('NUMSUB', channel))[1]);
    await until(async () => (await listeners()) === 2, 'both listen');
    return { clock, here, there };
  },
  Kubernetes: () => Promise.resolve(inKubernetes()),
};

function inKubernetes() {
  const clock = new FakeClock();
  const kube = scalePolicies();
  const catalog = new FakeCatalog(
    [
      poolSpec(),
      poolSpec({ key: OTHER, name: 'qwen', policyName: 'qwen' }),
      poolSpec({ key: 'default/bare', policyName: null }),
    ],
    [],
  );
  for (const name of ['llama', 'qwen']) kube.put({ metadata: { namespace: 'default', name } });
  const open = (): KubernetesPoolOrders => {
    const orders = new KubernetesPoolOrders({ api: kube, policies: kube, catalog, clock });
    cleanUps.push(() => orders.close());
    return orders;
  };
  return { clock, kube, here: open(), there: open() };
}

function scalePolicies(): FakeKube {
  return new FakeKube({ group: 'pilotlight.dev', version: 'v1alpha1', plural: 'scalepolicies', kind: 'ScalePolicy' });
}

describe.each(Object.entries(adapters))('%s', (_name, open) => {
  const seen = (orders: PoolOrders, want: Partial<PoolOrder>) =>
    until(
      () => {
        const order = orders.of(POOL);
        return Object.entries(want).every(([field, value]) => order[field as keyof PoolOrder] === value);
      },
      `an order of ${JSON.stringify(want)}`,
    );

  test('a pool of which nobody ordered anything has no order', async () => {
    const { here } = await open();
    expect(here.of(POOL)).toEqual(NO_ORDER);
  });

  test('an order is seen by every process, by this pool alone, and those who listen hear of it', async () => {
    const { clock, here, there } = await open();
    const heard: string[] = [];
    cleanUps.push(there.onChange((pool) => heard.push(pool)));
    const wakeUntilEpochMs = clock.epochMs() + HOUR_MS;
    await here.set(POOL, { wakeUntilEpochMs, wakeReplicas: 3, by: 'ada' });
    const want: PoolOrder = { wakeUntilEpochMs, wakeReplicas: 3, drainUntilEpochMs: null, paused: false, by: 'ada' };
    await seen(there, want);
    await seen(here, want);
    expect(there.of(OTHER)).toEqual(NO_ORDER);
    expect(new Set(heard)).toEqual(new Set([POOL]));
  });

  test('what a change does not name stays as it was', async () => {
    const { clock, here, there } = await open();
    const wakeUntilEpochMs = clock.epochMs() + HOUR_MS;
    await here.set(POOL, { wakeUntilEpochMs, wakeReplicas: 2 });
    await there.set(POOL, { paused: true });
    await seen(here, { wakeUntilEpochMs, wakeReplicas: 2, paused: true });
    await there.set(POOL, { paused: false });
    await seen(here, { wakeUntilEpochMs, wakeReplicas: 2, paused: false });
  });

  test('a wake ends a drain order, and a drain ends a wake', async () => {
    const { clock, here } = await open();
    const laterEpochMs = clock.epochMs() + HOUR_MS;
    await here.set(POOL, { drainUntilEpochMs: laterEpochMs });
    await here.set(POOL, { wakeUntilEpochMs: laterEpochMs });
    await seen(here, { wakeUntilEpochMs: laterEpochMs, wakeReplicas: 1, drainUntilEpochMs: null });
    await here.set(POOL, { drainUntilEpochMs: laterEpochMs });
    await seen(here, { wakeUntilEpochMs: null, wakeReplicas: 0, drainUntilEpochMs: laterEpochMs });
  });

  test('a wake and a drain pass by themselves, a pause does not', async () => {
    const { clock, here } = await open();
    await here.set(POOL, { wakeUntilEpochMs: clock.epochMs() + HOUR_MS, wakeReplicas: 2, paused: true });
    await seen(here, { wakeReplicas: 2, paused: true });
    clock.freeze(HOUR_MS);
    expect(here.of(POOL)).toMatchObject({ wakeUntilEpochMs: null, wakeReplicas: 0, paused: true });
  });

  test('everything can be taken back', async () => {
    const { clock, here, there } = await open();
    await here.set(POOL, { wakeUntilEpochMs: clock.epochMs() + HOUR_MS, paused: true, by: 'ada' });
    await seen(there, { paused: true });
    await here.set(POOL, { wakeUntilEpochMs: null, drainUntilEpochMs: null, paused: false });
    await seen(there, { wakeUntilEpochMs: null, paused: false });
    expect(there.of(POOL)).toEqual(NO_ORDER);
  });

  test.each([
    { name: 'a time that has passed', change: { wakeUntilEpochMs: -1 }, field: 'wakeUntilEpochMs', says: 'ahead' },
    { name: 'more than 7 days', change: { drainUntilEpochMs: 169 * HOUR_MS }, field: 'drainUntilEpochMs', says: '7d' },
    { name: 'a fraction', change: { wakeUntilEpochMs: 0.5 }, field: 'wakeUntilEpochMs', says: 'ahead' },
    { name: 'no number', change: { wakeUntilEpochMs: Number.NaN }, field: 'wakeUntilEpochMs', says: 'NaN' },
    {
      name: 'no replica',
      change: { wakeUntilEpochMs: HOUR_MS, wakeReplicas: 0 },
      field: 'wakeReplicas',
      says: 'from 1',
    },
    { name: '1,001 replicas', change: { wakeReplicas: 1_001 }, field: 'wakeReplicas', says: 'to 1000' },
    {
      name: 'a wake and a drain at once',
      change: { wakeUntilEpochMs: HOUR_MS, drainUntilEpochMs: HOUR_MS },
      field: 'drainUntilEpochMs',
      says: 'either',
    },
  ])('refused, with field and limit, and nothing changes: $name', async ({ change, field, says }) => {
    const { clock, here } = await open();
    const now = clock.epochMs();
    const shifted = Object.entries(change).map(([key, value]) => [key, key.endsWith('Ms') ? value + now : value]);
    const setting = here.set(POOL, Object.fromEntries(shifted) as Partial<PoolOrder>);
    await expect(setting).rejects.toMatchObject({ code: 'invalid_value', param: field });
    await expect(setting).rejects.toThrow(says);
    expect(here.of(POOL)).toEqual(NO_ORDER);
  });
});

test('in Kubernetes a status that is written is no news of an order', () => {
  const { kube, here } = inKubernetes();
  const heard: string[] = [];
  here.onChange((pool) => heard.push(pool));
  kube.put({ metadata: { namespace: 'default', name: 'llama' }, status: { queued: 1 } });
  kube.put({ metadata: { namespace: 'default', name: 'llama', annotations: { other: 'x' } }, status: { queued: 2 } });
  expect(heard).toEqual([]);
  kube.put({ metadata: { namespace: 'default', name: 'llama', annotations: { [KUBE_MARKS.paused]: 'true' } } });
  expect(heard).toEqual([POOL]);
});

test.each([
  { mark: KUBE_MARKS.wakeUntil, value: 'tomorrow', says: 'write a time like' },
  { mark: KUBE_MARKS.wakeUntil, value: '2030-13-40T00:00:00Z', says: 'write a time like' },
  { mark: KUBE_MARKS.drainUntil, value: '2999-01-01T00:00:00Z', says: 'more than 7 days ahead' },
  { mark: KUBE_MARKS.paused, value: 'yes', says: 'write "true"' },
  { mark: KUBE_MARKS.wakeReplicas, value: '1e3', says: 'from 1 to 1000' },
])('in Kubernetes $mark: $value orders nothing and is reported', ({ mark, value, says }) => {
  const { kube, here } = inKubernetes();
  kube.put({ metadata: { namespace: 'default', name: 'llama', annotations: { [mark]: value } } });
  expect(here.of(POOL)).toEqual(NO_ORDER);
  expect(here.problems()).toEqual([{ pool: POOL, problem: expect.stringContaining(says) as string }]);
});

test('in Kubernetes a drain wins over a wake that contradicts it, and that is reported', () => {
  const { clock, kube, here } = inKubernetes();
  const later = new Date(clock.epochMs() + HOUR_MS).toISOString();
  const annotations = { [KUBE_MARKS.wakeUntil]: later, [KUBE_MARKS.drainUntil]: later };
  kube.put({ metadata: { namespace: 'default', name: 'llama', annotations } });
  expect(here.of(POOL)).toMatchObject({ wakeUntilEpochMs: null, drainUntilEpochMs: clock.epochMs() + HOUR_MS });
  expect(here.problems()[0]?.problem).toContain('contradict each other');
});

test.each([
  { status: 403, code: 'store_unavailable', says: 'may not patch scalepolicies in namespace default' },
  { status: 0, code: 'store_unavailable', says: 'give the order again' },
  { status: 404, code: 'invalid_value', says: 'does not exist any more' },
])('in Kubernetes an order that meets $status fails with the remedy', async ({ status, code, says }) => {
  const { kube, here } = inKubernetes();
  kube.failures.push(new KubeApiError('no', { status }));
  const setting = here.set(POOL, { paused: true });
  await expect(setting).rejects.toMatchObject({ code });
  await expect(setting).rejects.toThrow(says);
});

test('in Kubernetes a pool without a ScalePolicy takes no order', async () => {
  const { here } = inKubernetes();
  await expect(here.set('default/bare', { paused: true })).rejects.toThrow('has no ScalePolicy');
});

test('in Redis, orders of a damaged record are none, and the next order repairs it', async () => {
  const clock = new FakeClock();
  const place = { keyPrefix: redis.prefix, installation: 'damaged' };
  await redis.client.hset(`${redis.prefix}:{damaged}:orders`, POOL, '{"paused":"maybe","wakeUntilEpochMs":"soon"}');
  const channels = { listen: () => () => undefined };
  const orders = new RedisPoolOrders({ client: redis.client, channels, place, clock, log: silentLogger });
  await orders.start();
  cleanUps.push(() => orders.stop());
  expect(orders.of(POOL)).toEqual(NO_ORDER);
  await orders.set(POOL, { paused: true });
  expect(orders.of(POOL)).toMatchObject({ paused: true });
});
