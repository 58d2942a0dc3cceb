import { DelayedError, type Job, Queue, type RedisConnection, WaitingError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRedis, whenReady } from '../../src/platform/redis/connection.ts';
import { backendOver, shareConnection } from '../../src/queue/adapters/bullmq/shared-backend.ts';
import { Wake } from '../../src/queue/adapters/bullmq/wake.ts';
import { useRedis } from '../support/redis.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';

/**
 * What our code takes for granted about BullMQ 6.7.0, one test a fact. An upgrade that breaks one says so here; the
 * consequences are in docs/stored-work.md, "What BullMQ is relied on for".
 */
const redis = useRedis();
const NAME = 'nightly';

let round = 0;
let client: Redis;
let connection: RedisConnection;
let workers: Worker[];
let queues: Queue[];

beforeEach(async () => {
  round += 1;
  workers = [];
  queues = [];
  client = createRedis({ url: redis.url, purpose: 'command', log: silentLogger });
  await whenReady(client, 10_000);
  connection = await shareConnection(client);
});

afterEach(async () => {
  for (const worker of workers) await worker.close(true);
  for (const queue of queues) await queue.close();
  client.disconnect();
});

const prefix = (): string => `${redis.prefix}:{facts-${round}}:backlog`;

function openQueue(options: Record<string, unknown> = {}): Queue {
  const gate = { isOpen: false, wake: new Wake() };
  const queue = new Queue(NAME, { connection: client, prefix: prefix(), ...options }, backendOver(connection, gate));
  queue.on('error', () => undefined);
  queues.push(queue);
  return queue;
}

interface OpenWorker {
  worker: Worker;
  gate: { isOpen: boolean; wake: Wake };
}

function openWorker(
  process: (job: Job, token: string) => Promise<unknown>,
  options: Record<string, unknown> = {},
): OpenWorker {
  const gate = { isOpen: true, wake: new Wake() };
  const worker = new Worker(
    NAME,
    (job: Job, token?: string) => process(job, token ?? ''),
    {
      connection: client,
      prefix: prefix(),
      skipStalledCheck: true,
      lockDuration: 500,
      removeOnComplete: { count: 0 },
      ...options,
    },
    backendOver(connection, gate),
  );
  worker.on('error', () => undefined);
  workers.push(worker);
  return { worker, gate };
}

/** Holds every job until told. */
function holder() {
  const jobs: Job[] = [];
  const ends: (() => void)[] = [];
  return {
    jobs,
    process: (job: Job) => {
      jobs.push(job);
      return new Promise<void>((resolve) => ends.push(resolve));
    },
    endAll: () => {
      for (const end of ends.splice(0)) end();
    },
  };
}

interface Seen {
  id: string | undefined;
  attemptsMade: number;
  attemptsStarted: number;
  priority: number;
  atMs: number;
}

/** As the processor got it: the object changes when the job ends. */
function seenOf({ id, attemptsMade, attemptsStarted, priority }: Job): Seen {
  return { id, attemptsMade, attemptsStarted, priority, atMs: performance.now() };
}

const add = (queue: Queue, id: string, priority = 1) =>
  queue.add('job', { a: id }, { jobId: id, priority, removeOnComplete: true });

const quietly = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 500));

describe('bullmq: names and ids', () => {
  test('a queue name or a job id with a colon, and an id like an integer, are refused', async () => {
    expect(() => new Queue('a:b', { connection: client })).toThrow();
    const queue = openQueue();
    await expect(add(queue, 'a:b')).rejects.toThrow();
    await expect(add(queue, '123')).rejects.toThrow();
  });

  test('adding an id that waits is a no-op; adding one that has completed queues it again', async () => {
    const queue = openQueue();
    await add(queue, 'job-a');
    await add(queue, 'job-a');
    expect(await queue.getPrioritizedCount()).toBe(1);
    let runs = 0;
    openWorker(() => Promise.resolve((runs += 1)));
    await until(() => runs === 1, 'ran');
    await until(async () => (await queue.getJob('job-a')) === undefined, 'removed');
    await add(queue, 'job-a');
    await until(() => runs === 2, 'ran again');
  });

  test('every key of a queue carries the hash tag of its prefix', async () => {
    const queue = openQueue();
    await add(queue, 'job-a');
    const keys = await client.keys(`*facts-${round}*`);
    expect(keys.length).toBeGreaterThan(3);
    expect(keys.filter((key) => !key.startsWith(`${prefix()}:${NAME}`))).toEqual([]);
  });
});

describe('bullmq: order', () => {
  test('lower priorities first, equal ones by arrival', async () => {
    const queue = openQueue();
    for (const [id, priority] of [
      ['late', 2],
      ['a', 1],
      ['b', 1],
      ['last', 2_097_151],
      ['c', 1],
    ] as const) {
      await add(queue, `job-${id}`, priority);
    }
    const order: string[] = [];
    openWorker((job) => Promise.resolve(order.push(job.id ?? '')));
    await until(() => order.length === 5, 'all ran');
    expect(order).toEqual(['job-a', 'job-b', 'job-c', 'job-late', 'job-last']);
  });

  test('priority 0 would pass all others, which is why we never use it', async () => {
    const queue = openQueue();
    await add(queue, 'job-a', 1);
    await queue.add('job', {}, { jobId: 'job-zero' });
    const order: string[] = [];
    openWorker((job) => Promise.resolve(order.push(job.id ?? '')));
    await until(() => order.length === 2, 'both ran');
    expect(order).toEqual(['job-zero', 'job-a']);
  });
});

describe('bullmq: handing back', () => {
  test('moveToWait and WaitingError use no attempt and put the job before its equals', async () => {
    const queue = openQueue();
    for (const id of ['job-a', 'job-b']) await add(queue, id);
    const seen: Seen[] = [];
    const { worker, gate } = openWorker(async (job, token) => {
      seen.push(seenOf(job));
      if (seen.length > 1) return;
      gate.isOpen = false;
      await worker.pause(true);
      await job.moveToWait(token);
      throw new WaitingError();
    });
    await until(() => seen.length === 1, 'handed back');
    await until(async () => (await queue.getPrioritizedCount()) === 2, 'both wait');
    gate.isOpen = true;
    await worker.resume();
    await until(() => seen.length === 3, 'all ran');
    expect(seen.map(({ id }) => id)).toEqual(['job-a', 'job-a', 'job-b']);
    expect(seen[1]).toMatchObject({ attemptsMade: 0, attemptsStarted: 2, priority: 1 });
  });

  test('moveToDelayed and DelayedError use no attempt, keep the priority, and come back on time', async () => {
    const queue = openQueue();
    await add(queue, 'job-a', 7);
    const seen: Seen[] = [];
    openWorker(async (job, token) => {
      seen.push(seenOf(job));
      if (seen.length > 1) return;
      await job.moveToDelayed(Date.now() + 400, token);
      throw new DelayedError();
    });
    await until(() => seen.length === 2, 'came back');
    expect(seen[1]).toMatchObject({ attemptsMade: 0, attemptsStarted: 2, priority: 7 });
    const awayMs = (seen[1]?.atMs ?? 0) - (seen[0]?.atMs ?? 0);
    expect(awayMs).toBeGreaterThan(380);
    expect(awayMs).toBeLessThan(2_000);
  });
});

describe('bullmq: concurrency', () => {
  test('a raised concurrency acts only after pause(true) and resume() while all its jobs are held', async () => {
    const queue = openQueue();
    for (let index = 0; index < 5; index += 1) await add(queue, `job-${index}`);
    const { jobs, process, endAll } = holder();
    const { worker } = openWorker(process, { concurrency: 2 });
    await until(() => jobs.length === 2, 'two held');
    worker.concurrency = 4;
    await quietly();
    expect(jobs).toHaveLength(2);
    await worker.pause(true);
    await worker.resume();
    await until(() => jobs.length === 4, 'four held');
    endAll();
    await until(() => jobs.length === 5, 'all held once');
    endAll();
  });

  test('fifty Workers share our one connection', async () => {
    const connections = async (): Promise<number> => ((await redis.client.client('LIST')) as string).split('\n').length;
    const before = await connections();
    openQueue();
    for (let index = 0; index < 50; index += 1) openWorker(() => Promise.resolve());
    await quietly();
    expect(await connections()).toBe(before);
  });

  test('a Worker whose gate is closed claims nothing, also one that was waiting for work', async () => {
    const queue = openQueue();
    const { jobs, process, endAll } = holder();
    const { gate } = openWorker(process);
    await quietly();
    gate.isOpen = false;
    await add(queue, 'job-a');
    gate.wake.fire();
    await quietly();
    expect(jobs).toEqual([]);
    gate.isOpen = true;
    gate.wake.fire();
    await until(() => jobs.length === 1, 'claimed');
    endAll();
  });
});

describe('bullmq: what a dead process leaves', () => {
  test('its jobs come back without any Worker, first in line, counted, once the lock is over; not before', async () => {
    const options = { stalledInterval: 50, maxStalledCount: 1_000_000 };
    const queue = openQueue(options);
    await add(queue, 'job-a');
    const dead = holder();
    const { worker } = openWorker(dead.process);
    await until(() => dead.jobs.length === 1, 'held');
    await add(queue, 'job-b');
    const backend = queue.getBackend();
    for (let pass = 0; pass < 5; pass += 1) {
      expect(await backend.moveStalledJobsToWait()).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 60));
    }
    await worker.close(true);
    let recovered: string[] = [];
    await until(async () => {
      recovered = [...recovered, ...(await backend.moveStalledJobsToWait())];
      return recovered.length > 0;
    }, 'recovered');
    expect(recovered).toEqual(['job-a']);
    const alive = holder();
    openWorker(alive.process, { concurrency: 2 });
    await until(() => alive.jobs.length === 2, 'both held');
    expect(alive.jobs.map(({ id }) => id)).toEqual(['job-a', 'job-b']);
    expect(alive.jobs[0]).toMatchObject({ stalledCounter: 1, attemptsMade: 0, attemptsStarted: 2 });
    alive.endAll();
  });

  test('however often it was lost, BullMQ itself never fails it', async () => {
    const queue = openQueue({ stalledInterval: 20, maxStalledCount: 1_000_000 });
    await add(queue, 'job-a');
    for (let crash = 1; crash <= 4; crash += 1) {
      const dead = holder();
      const { worker } = openWorker(dead.process, { lockDuration: 50 });
      await until(() => dead.jobs.length === 1, `held for the ${crash}th time`);
      await worker.close(true);
      await until(async () => (await queue.getBackend().moveStalledJobsToWait()).length === 1, 'recovered');
    }
    expect(await queue.getJobState('job-a')).toBe('waiting');
  });

  test('a late completion by the old owner is refused and leaves the new one alone', async () => {
    const queue = openQueue({ stalledInterval: 20, maxStalledCount: 1_000_000 });
    await add(queue, 'job-a');
    const old = holder();
    const { worker } = openWorker(old.process, { lockDuration: 50, skipLockRenewal: true });
    await until(() => old.jobs.length === 1, 'held by the old');
    await until(async () => (await queue.getBackend().moveStalledJobsToWait()).length === 1, 'recovered');
    await worker.pause(true);
    const fresh = holder();
    openWorker(fresh.process, { lockDuration: 5_000 });
    await until(() => fresh.jobs.length === 1, 'held by the new');
    old.endAll();
    await quietly();
    expect(await queue.getJobState('job-a')).toBe('active');
    fresh.endAll();
    await until(async () => (await queue.getJob('job-a')) === undefined, 'completed by the new');
  });

  test('a lock is renewed for as long as its process lives', async () => {
    const queue = openQueue({ stalledInterval: 20, maxStalledCount: 1_000_000 });
    await add(queue, 'job-a');
    const { jobs, process, endAll } = holder();
    openWorker(process, { lockDuration: 1_000 });
    await until(() => jobs.length === 1, 'held');
    const untilMs = performance.now() + 2_500;
    while (performance.now() < untilMs) {
      expect(await queue.getBackend().moveStalledJobsToWait()).toEqual([]);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    endAll();
  });
});

describe('bullmq: what stays in Redis', () => {
  test('a finished job leaves no key, and its event carries no body', async () => {
    const queue = openQueue({ streams: { events: { maxLen: 100 } } });
    let runs = 0;
    openWorker(() => {
      runs += 1;
      return Promise.resolve();
    });
    await add(queue, 'job-a');
    await until(() => runs === 1, 'ran');
    await until(async () => (await queue.getJob('job-a')) === undefined, 'removed');
    expect((await client.keys(`${prefix()}*job-a*`)).length).toBe(0);
    const events = JSON.stringify(await client.xrange(`${prefix()}:${NAME}:events`, '-', '+'));
    expect(events).toContain('completed');
    expect(events).not.toContain('{\\"');
  });

  test('the event stream keeps to its length', async () => {
    const queue = openQueue({ streams: { events: { maxLen: 100 } } });
    await queue.waitUntilReady();
    let runs = 0;
    openWorker(() => Promise.resolve((runs += 1)), { concurrency: 20 });
    await Promise.all(Array.from({ length: 600 }, (_, index) => add(queue, `job-${index}`)));
    await until(() => runs === 600, 'all ran');
    // Trimming is approximate: whole nodes of the stream.
    expect(await client.xlen(`${prefix()}:${NAME}:events`)).toBeLessThan(400);
  });

  test('removing answers alike for what waits and what was never there, so nothing rests on the answer', async () => {
    const queue = openQueue();
    await add(queue, 'job-a');
    const answers = [await queue.remove('job-a'), await queue.remove('job-never')];
    expect(answers).toEqual([1, 1]);
  });
});
