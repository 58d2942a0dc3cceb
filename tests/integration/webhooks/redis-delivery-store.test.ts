import { describe, expect, test } from 'vitest';
import { RedisDeliveryStore } from '../../../src/webhooks/adapters/redis-delivery-store.ts';
import { type DeliveryRecord, newDelivery } from '../../../src/webhooks/policy/delivery.ts';
import { useRedis } from '../../support/redis.ts';
import { noticeFor } from '../../support/webhook-rig.ts';

const redis = useRedis();
const NOW = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

function storeOf(name: string, maxPending = 10_000): RedisDeliveryStore {
  const prefix = `${redis.prefix}:${name}`;
  return new RedisDeliveryStore({ client: redis.client, prefix, giveUpAfterMs: 72 * HOUR_MS, maxPending });
}

function delivery(id: string, atEpochMs = NOW): DeliveryRecord {
  return newDelivery(id, 'we_1', noticeFor('team-a'), atEpochMs);
}

function ended(record: DeliveryRecord): DeliveryRecord {
  return { ...record, status: 'delivered', nextAttemptAtEpochMs: null };
}

describe('deliveries in Redis', () => {
  test('are made once', async () => {
    const store = storeOf('once');
    const record = delivery('whd_1');
    expect(await store.create(record)).toBe('created');
    await store.save({ ...record, attempts: 3 });
    expect(await store.create(record)).toBe('known');
    expect(await store.get('whd_1')).toMatchObject({ attempts: 3 });
    expect(await store.get('whd_2')).toBeNull();
  });

  test('are no more than an endpoint may have waiting; an ended one makes room', async () => {
    const store = storeOf('bounded', 3);
    const records = [1, 2, 3].map((place) => delivery(`whd_${place}`));
    for (const record of records) expect(await store.create(record)).toBe('created');
    expect(await store.create(delivery('whd_4'))).toBe('full');
    expect(await store.get('whd_4')).toBeNull();
    expect(await store.create(delivery('whd_1'))).toBe('known');
    await store.save(ended(delivery('whd_1')));
    expect(await store.create(delivery('whd_4'))).toBe('created');
  });

  test('that were kept too long for anybody to try them take no room', async () => {
    const store = storeOf('forgotten', 1);
    await store.create(delivery('whd_1', NOW - 1_000 * HOUR_MS));
    expect(await store.create(delivery('whd_2'))).toBe('created');
  });

  test('are listed newest first, the newest 100; older ones are kept while they are not ended', async () => {
    const store = storeOf('log');
    for (let place = 0; place < 103; place += 1) {
      const record = delivery(`whd_${place}`, NOW + place);
      await store.create(record);
      if (place !== 1) await store.save(ended(record));
    }
    const log = await store.log('we_1');
    expect(log.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, place) => `whd_${102 - place}`));
    const keptMs = async (place: number) => redis.client.pttl(`${redis.prefix}:log:delivery:whd_${place}`);
    expect(await keptMs(0)).toBeLessThanOrEqual(HOUR_MS);
    expect(await keptMs(1)).toBeGreaterThan(72 * HOUR_MS);
    expect(await keptMs(50)).toBeGreaterThan(100 * HOUR_MS);
  });

  test('that are overdue are told in turns, ended and forgotten ones never', async () => {
    const store = storeOf('overdue');
    for (let place = 0; place < 150; place += 1) await store.create(delivery(`whd_${place}`, NOW + place));
    await store.save(ended(delivery('whd_0')));
    await store.create(delivery('whd_later', NOW + HOUR_MS));
    const first = await store.overdue(NOW + 1_000);
    const second = await store.overdue(NOW + 1_000);
    expect(first).toHaveLength(100);
    expect(second).toHaveLength(49);
    const told = new Set([...first, ...second].map(({ id }) => id));
    expect(told.size).toBe(149);
    expect(told.has('whd_0') || told.has('whd_later')).toBe(false);
    await store.forget('we_1');
    expect(await store.overdue(NOW + 10_000)).toEqual([]);
  });

  test('leave nothing behind when their endpoint is forgotten', async () => {
    const store = storeOf('gone');
    for (let place = 0; place < 120; place += 1) await store.create(delivery(`whd_${place}`, NOW + place));
    await store.forget('we_1');
    while ((await store.overdue(NOW + HOUR_MS)).length > 0);
    await store.overdue(NOW + HOUR_MS);
    expect(await redis.client.keys(`${redis.prefix}:gone:*`)).toEqual([]);
  });
});
