import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { BullmqBacklog } from '../../src/queue/adapters/bullmq/bullmq-backlog.ts';
import { shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { RedisChannels } from '../../src/queue/adapters/job-index/channels.ts';
import type { Claim, ClaimVerdict } from '../../src/queue/backlog/ports.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const LOCK_MS = 1_000;
const FINISHED: ClaimVerdict = { kind: 'finished' };

let round = 0;
let opened: { backlog: BullmqBacklog; clients: Redis[] }[];
let letGo: (() => void)[];

beforeEach(() => {
  round += 1;
  opened = [];
  letGo = [];
});

afterEach(async () => {
  for (const end of letGo) end();
  for (const { backlog, clients } of opened) {
    await backlog.close();
    for (const client of clients) client.disconnect();
  }
});

/** One process's backlog, over connections of its own. */
async function openBacklog(): Promise<BullmqBacklog> {
  const client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  const subscriber = createRedis({ url: redis.url, purpose: 'subscriber', log: silentLogger });
  await whenReady(client, 10_000);
  const backlog = new BullmqBacklog({
    pool: 'default/chat',
    root: `${redis.prefix}:{test/default/chat-${round}}`,
    client,
    connection: await shareConnection(client),
    channels: new RedisChannels(subscriber),
    log: silentLogger,
    lockMs: LOCK_MS,
    stallPassMs: 100,
  });
  opened.push({ backlog, clients: [client, subscriber] });
  return backlog;
}

function item(id: string, objective = 'nightly'): Parameters<BullmqBacklog['add']>[0] {
  return { id, objective, tag: 1, acceptRef: `run.seg:${id.length}:1`, costTokens: 7 };
}

interface Holding {
  claims: Claim[];
  handler: (claim: Claim) => Promise<ClaimVerdict>;
  end: (id: string, verdict: ClaimVerdict) => void;
}

/** A handler that keeps what it gets until told what becomes of it; at the end of the test everything is finished. */
function holding(): Holding {
  const claims: Claim[] = [];
  const ends = new Map<string, (verdict: ClaimVerdict) => void>();
  let isOver = false;
  letGo.push(() => {
    isOver = true;
    for (const end of ends.values()) end(FINISHED);
  });
  return {
    claims,
    handler: (claim) => {
      claims.push(claim);
      return isOver ? Promise.resolve(FINISHED) : new Promise((resolve) => ends.set(claim.id, resolve));
    },
    end: (id, verdict) => ends.get(id)?.(verdict),
  };
}

/** Long enough for a claim that should not happen to happen: several idle ticks. */
const quietWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 700));

describe('Backlog/bullmq', () => {
  test('what was added is claimed in order of arrival, once each, and is gone when finished', async () => {
    const backlog = await openBacklog();
    const ids = Array.from({ length: 30 }, (_, index) => `job-${index}`);
    for (const id of ids) expect(await backlog.add(item(id))).toEqual({ kind: 'added' });
    const claimed: Claim[] = [];
    const intake = backlog.intake('nightly', (claim) => {
      claimed.push(claim);
      return Promise.resolve(FINISHED);
    });
    intake.setWindow(1);
    await until(() => claimed.length === ids.length && intake.held === 0, 'all claimed');
    expect(claimed.map(({ id }) => id)).toEqual(ids);
    expect(claimed[0]).toEqual({ id: 'job-0', objective: 'nightly', acceptRef: 'run.seg:5:1', claims: 1, crashes: 0 });
    await until(async () => (await redis.client.keys(`*chat-${round}*:job-*`)).length === 0, 'no job left in Redis');
  });

  test('adding an id twice is one item', async () => {
    const backlog = await openBacklog();
    await Promise.all([backlog.add(item('job-a')), backlog.add(item('job-a')), backlog.add(item('job-b'))]);
    const { claims, handler } = holding();
    backlog.intake('nightly', handler).setWindow(10);
    await until(() => claims.length === 2, 'both claimed');
    await quietWhile();
    expect(claims.map(({ id }) => id).sort()).toEqual(['job-a', 'job-b']);
  });

  test('a closed intake claims nothing, also when it was just waiting for work', async () => {
    const backlog = await openBacklog();
    const { claims, handler } = holding();
    const intake = backlog.intake('nightly', handler);
    await backlog.add(item('job-a'));
    await quietWhile();
    expect(claims).toEqual([]);
    intake.setWindow(5);
    await until(() => claims.length === 1, 'claimed');
    intake.setWindow(0);
    await backlog.add(item('job-b'));
    await quietWhile();
    expect(claims).toHaveLength(1);
  });

  test('a raised window acts while everything it held before is still held, a lowered one as jobs end', async () => {
    const backlog = await openBacklog();
    for (let index = 0; index < 12; index += 1) await backlog.add(item(`job-${index}`));
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    intake.setWindow(2);
    await until(() => claims.length === 2, 'two held');
    intake.setWindow(6);
    await until(() => claims.length === 6, 'six held');
    intake.setWindow(1);
    for (const { id } of claims.slice(0, 5)) end(id, FINISHED);
    await until(() => intake.held === 1, 'one held');
    await quietWhile();
    expect(claims).toHaveLength(6);
    end(claims[5]!.id, FINISHED);
    await until(() => claims.length === 7, 'the next one');
  });

  test('closed and opened again in the same breath, it still claims', async () => {
    const backlog = await openBacklog();
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    for (let turn = 0; turn < 20; turn += 1) {
      intake.setWindow(2);
      intake.setWindow(0);
      if (turn % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
      intake.setWindow(1 + (turn % 3));
      await backlog.add(item(`job-${turn}`));
      await until(() => claims.length === turn + 1, `claim of turn ${turn}`);
      end(`job-${turn}`, FINISHED);
    }
  });

  test('a returned item is claimed again, before later ones, when the intake opens', async () => {
    const backlog = await openBacklog();
    for (const id of ['job-a', 'job-b', 'job-c']) await backlog.add(item(id));
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    intake.setWindow(1);
    await until(() => claims.length === 1, 'the first');
    intake.setWindow(0);
    end('job-a', { kind: 'returned' });
    await until(() => intake.held === 0, 'returned');
    await quietWhile();
    expect(claims).toHaveLength(1);
    intake.setWindow(1);
    await until(() => claims.length === 2, 'again');
    expect(claims[1]).toMatchObject({ id: 'job-a', claims: 2, crashes: 0 });
  });

  test('a delayed item stays away for its delay and comes back before those that were added after it', async () => {
    const backlog = await openBacklog();
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    intake.setWindow(1);
    await backlog.add(item('job-a'));
    await until(() => claims.length === 1, 'claimed');
    const startMs = performance.now();
    end('job-a', { kind: 'delayed', delayMs: 600 });
    await until(() => claims.length === 2, 'back');
    expect(performance.now() - startMs).toBeGreaterThan(550);
    expect(claims[1]).toMatchObject({ id: 'job-a', claims: 2 });
  });

  test('what a dead process held is back after its lock, without any open intake, and counted as a crash', async () => {
    const dying = await openBacklog();
    const { claims, handler } = holding();
    dying.intake('nightly', handler).setWindow(3);
    for (const id of ['job-a', 'job-b', 'job-c']) await dying.add(item(id));
    await until(() => claims.length === 3, 'held by the first');
    opened[0]!.clients[0]!.disconnect();

    const alive = await openBacklog();
    const recovered: string[] = [];
    await until(async () => {
      recovered.push(...(await alive.recoverStalled('nightly')));
      return recovered.length === 3;
    }, 'recovered');
    expect(recovered.sort()).toEqual(['job-a', 'job-b', 'job-c']);
    const second = holding();
    alive.intake('nightly', second.handler).setWindow(3);
    await until(() => second.claims.length === 3, 'held by the second');
    expect(second.claims.map(({ crashes }) => crashes)).toEqual([1, 1, 1]);
    for (const { id } of second.claims) second.end(id, FINISHED);
  });

  test('a living process keeps what it holds for longer than a lock', async () => {
    const backlog = await openBacklog();
    const { claims, handler, end } = holding();
    backlog.intake('nightly', handler).setWindow(1);
    await backlog.add(item('job-a'));
    await until(() => claims.length === 1, 'claimed');
    const untilMs = performance.now() + 3 * LOCK_MS;
    await until(async () => {
      expect(await backlog.recoverStalled('nightly')).toEqual([]);
      return performance.now() > untilMs;
    }, 'three locks long');
    end('job-a', FINISHED);
  });

  test('another process is woken by an add', async () => {
    const [producer, consumer] = [await openBacklog(), await openBacklog()];
    const { claims, handler, end } = holding();
    consumer.intake('nightly', handler).setWindow(4);
    await producer.add(item('job-a'));
    await until(() => claims.length === 1, 'claimed elsewhere');
    end('job-a', FINISHED);
  });

  test('says whether an item is held, removes waiting ones, lists objectives', async () => {
    const backlog = await openBacklog();
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    intake.setWindow(1);
    await backlog.add(item('job-a'));
    await backlog.add(item('job-b'));
    await backlog.add(item('job-c', 'interactive'));
    await until(() => claims.length === 1, 'claimed');
    expect(await backlog.isHeld('job-a', 'nightly')).toBe(true);
    expect(await backlog.isHeld('job-b', 'nightly')).toBe(false);
    expect(await backlog.isHeld('job-unknown', 'nightly')).toBe(false);
    await backlog.remove('job-b', 'nightly');
    await backlog.remove('job-unknown', 'nightly');
    end('job-a', FINISHED);
    await quietWhile();
    expect(claims).toHaveLength(1);
    expect([...(await backlog.objectives())].sort()).toEqual(['interactive', 'nightly']);
  });

  test('closing waits for what is held', async () => {
    const backlog = await openBacklog();
    const { claims, handler, end } = holding();
    const intake = backlog.intake('nightly', handler);
    intake.setWindow(1);
    await backlog.add(item('job-a'));
    await until(() => claims.length === 1, 'claimed');
    let isClosed = false;
    const closing = intake.close().then(() => {
      isClosed = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(isClosed).toBe(false);
    end('job-a', FINISHED);
    await closing;
  });

  test('an unreachable Redis is a value: refused when nothing was sent', async () => {
    const backlog = await openBacklog();
    await backlog.add(item('job-a'));
    opened[0]!.clients[0]!.disconnect();
    expect(await backlog.add(item('job-b'))).toMatchObject({
      kind: expect.stringMatching(/refused|unknown/) as string,
    });
  });
});
