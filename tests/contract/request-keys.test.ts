import { beforeEach, describe, expect, test } from 'vitest';
import type { Clock } from '../../src/core/clock.ts';
import { ACCEPT_LEASE_MS, KEY_KEPT_MS, type KeyUse, type RequestKeys } from '../../src/core/idempotency.ts';
import { MemoryRequestKeys } from '../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { RedisRequestKeys } from '../../src/ingress/adapters/idempotency/redis-request-keys.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { useRedis } from '../support/redis.ts';

const redis = useRedis();
let round = 0;
/** Makes the lease of the claim lapse, as time would. */
let lapse: (use: KeyUse) => Promise<void>;

beforeEach(() => {
  round += 1;
});

function inMemory(): RequestKeys {
  let aheadMs = 0;
  lapse = () => {
    aheadMs += ACCEPT_LEASE_MS + 1;
    return Promise.resolve();
  };
  return new MemoryRequestKeys({ epochMs: () => Date.now() + aheadMs });
}

function inRedis(clock: Clock = systemClock): RedisRequestKeys {
  const prefix = `${redis.prefix}-${round}`;
  lapse = async () => {
    for (const key of await redis.client.keys(`${prefix}:*`)) {
      const value = (await redis.client.get(key)) ?? '';
      await redis.client.set(key, value.replace(/ \d+$/, ' 0'), 'KEEPTTL');
    }
  };
  return new RedisRequestKeys(redis.client, { prefix, clock });
}

const use = (changes: Partial<KeyUse> = {}): KeyUse => ({
  tenant: 'acme',
  keyHash: 'a'.repeat(64),
  requestHash: 'b'.repeat(64),
  ...changes,
});
const other = use({ requestHash: 'c'.repeat(64) });

describe.each([
  ['memory', inMemory],
  ['Redis', inRedis],
])('request keys in %s', (_name, create) => {
  test('a key is the first claimant’s until the claim ends, then stands for the job', async () => {
    const keys = create();
    expect(await keys.claimJob(use(), 'job_1')).toEqual({ kind: 'mine', id: 'job_1', isRepeated: false });
    expect(await keys.claimJob(use(), 'job_2')).toEqual({ kind: 'busy' });
    await keys.endJob(use(), 'job_1', 'accepted');
    expect(await keys.claimJob(use(), 'job_2')).toEqual({ kind: 'accepted', id: 'job_1' });
    // Ending it again, or another's, changes nothing.
    await keys.endJob(use(), 'job_2', 'refused');
    expect(await keys.claimJob(use(), 'job_2')).toEqual({ kind: 'accepted', id: 'job_1' });
  });

  test('another request of the same key is a conflict in every state, other tenants and keys are not concerned', async () => {
    const keys = create();
    await keys.claimJob(use(), 'job_1');
    expect(await keys.claimJob(other, 'job_2')).toEqual({ kind: 'conflict' });
    await keys.endJob(use(), 'job_1', 'unknown');
    expect(await keys.claimJob(other, 'job_2')).toEqual({ kind: 'conflict' });
    await keys.endJob(use(), 'job_1', 'accepted');
    expect(await keys.claimCall(other, 'req_2')).toEqual({ kind: 'conflict' });
    expect(await keys.claimJob({ ...other, tenant: 'umbrella' }, 'job_3')).toMatchObject({ kind: 'mine', id: 'job_3' });
    expect(await keys.claimJob({ ...other, keyHash: 'd'.repeat(64) }, 'job_4')).toMatchObject({ id: 'job_4' });
  });

  test('a refused try leaves the key as if it had never been used', async () => {
    const keys = create();
    await keys.claimJob(use(), 'job_1');
    await keys.endJob(use(), 'job_1', 'refused');
    expect(await keys.claimJob(other, 'job_2')).toEqual({ kind: 'mine', id: 'job_2', isRepeated: false });
  });

  test('after a try of which nobody knows the end the next one goes on under its id', async () => {
    const keys = create();
    await keys.claimJob(use(), 'job_1');
    await keys.endJob(use(), 'job_1', 'unknown');
    expect(await keys.claimJob(use(), 'job_2')).toEqual({ kind: 'mine', id: 'job_1', isRepeated: true });
    expect(await keys.claimJob(use(), 'job_3')).toEqual({ kind: 'busy' });
  });

  test('a claim whose process died lapses, and the next one goes on under its id', async () => {
    const keys = create();
    await keys.claimJob(use(), 'job_1');
    await lapse(use());
    expect(await keys.claimJob(use(), 'job_2')).toEqual({ kind: 'mine', id: 'job_1', isRepeated: true });
  });

  test('a call has its key to itself while it runs, and leaves nothing behind', async () => {
    const keys = create();
    expect(await keys.claimCall(use(), 'req_1')).toEqual({ kind: 'mine', id: 'req_1', isRepeated: false });
    expect(await keys.claimCall(use(), 'req_2')).toEqual({ kind: 'busy' });
    expect(await keys.claimCall(other, 'req_3')).toEqual({ kind: 'conflict' });
    await keys.endCall(use(), 'req_2');
    expect(await keys.claimCall(use(), 'req_2')).toEqual({ kind: 'busy' });
    await keys.endCall(use(), 'req_1');
    expect(await keys.claimCall(other, 'req_3')).toEqual({ kind: 'mine', id: 'req_3', isRepeated: false });
    await keys.endCall(other, 'req_3');
  });

  test('a restored key stands for its job unless it was used again or is too old', async () => {
    const keys = create();
    const acceptedAtEpochMs = Date.now() - KEY_KEPT_MS / 2;
    await keys.restore(use(), { id: 'job_1', acceptedAtEpochMs });
    expect(await keys.claimJob(use(), 'job_9')).toEqual({ kind: 'accepted', id: 'job_1' });
    const used = use({ keyHash: 'e'.repeat(64) });
    await keys.claimJob(used, 'job_2');
    await keys.restore(used, { id: 'job_3', acceptedAtEpochMs });
    await keys.endJob(used, 'job_2', 'accepted');
    expect(await keys.claimJob(used, 'job_9')).toEqual({ kind: 'accepted', id: 'job_2' });
    const old = use({ keyHash: 'f'.repeat(64) });
    await keys.restore(old, { id: 'job_4', acceptedAtEpochMs: Date.now() - KEY_KEPT_MS });
    expect(await keys.claimJob(old, 'job_5')).toMatchObject({ kind: 'mine', id: 'job_5' });
  });

  test('of many claims at one moment exactly one wins', async () => {
    const keys = create();
    const claims = await Promise.all(Array.from({ length: 50 }, (_, place) => keys.claimJob(use(), `job_${place}`)));
    expect(claims.filter(({ kind }) => kind === 'mine')).toHaveLength(1);
    expect(claims.filter(({ kind }) => kind === 'busy')).toHaveLength(49);
  });

  test('parts of a hash do not run into each other', () => {
    const keys = create();
    expect(keys.hashOf(['ab', 'c'])).not.toBe(keys.hashOf(['a', 'bc']));
    expect(keys.hashOf(['é'])).toBe(keys.hashOf([Buffer.from('é')]));
  });
});

describe('in Redis', () => {
  test('neither key nor tenant nor request can be read, every entry has an end, and each key a slot of its own', async () => {
    const keys = inRedis();
    const secret = {
      tenant: 'acme-secret',
      keyHash: keys.hashOf(['order-4711']),
      requestHash: keys.hashOf(['prompt']),
    };
    await keys.claimJob(secret, 'job_1');
    await keys.endJob(secret, 'job_1', 'accepted');
    const [name = ''] = await redis.client.keys(`${redis.prefix}-${round}:*`);
    expect(name).toMatch(/:idempotency:\{[0-9a-f]{64}\}$/);
    expect(`${name} ${(await redis.client.get(name)) ?? ''}`).not.toMatch(/acme|4711|prompt/);
    const leftMs = await redis.client.pttl(name);
    expect(leftMs).toBeGreaterThan(KEY_KEPT_MS - 60_000);
    expect(leftMs).toBeLessThanOrEqual(KEY_KEPT_MS);
  });

  test('a call that runs on is renewed, and its claim is made again after a loss of Redis', async () => {
    const { clock, tick } = steppedClock();
    const keys = inRedis(clock);
    await keys.claimCall(use(), 'req_1');
    await redis.client.del(...(await redis.client.keys(`${redis.prefix}-${round}:*`)));
    await tick();
    await expect.poll(() => redis.client.keys(`${redis.prefix}-${round}:*`)).toHaveLength(1);
    expect(await keys.claimCall(use(), 'req_2')).toEqual({ kind: 'busy' });
    await keys.endCall(use(), 'req_1');
    await tick();
    expect(await redis.client.keys(`${redis.prefix}-${round}:*`)).toEqual([]);
    keys.close();
  });
});

/** A clock whose sleeps end when told to. */
function steppedClock(): { readonly clock: Clock; readonly tick: () => Promise<void> } {
  const sleepers: (() => void)[] = [];
  const clock = { ...systemClock, sleep: () => new Promise<void>((resolve) => sleepers.push(resolve)) };
  const tick = async () => {
    for (const wake of sleepers.splice(0)) wake();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { clock, tick };
}
