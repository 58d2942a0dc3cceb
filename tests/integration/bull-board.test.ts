import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { type Job, Queue } from 'bullmq';
import express from 'express';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type HttpServer, startServer } from '../../src/platform/http/server.ts';
import type { JobPointer } from '../../src/queue/adapters/bullmq/intake-worker.ts';
import { useRedis } from '../support/redis.ts';
import { type StoredProcess, startStoredProcess } from '../support/stored-process.ts';
import { jobSpec, POOL, TENANT } from '../support/stored-world.ts';
import { until } from '../support/until.ts';

/** Bull Board on the queues of stored jobs, opened as docs/operating-queues.md tells. */
const redis = useRedis();
const BODY = Buffer.from('{"messages":"a secret prompt"}');
const JOBS = 12;

let dataDir: string;
let round = 0;
let process: StoredProcess;
let queue: Queue<JobPointer>;
let board: HttpServer;
let ids: string[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-board-'));
  round += 1;
  const prefix = `${redis.prefix}-board-${round}`;
  process = await startStoredProcess({ redisUrl: redis.url, prefix, dataDir, executionMs: 5 });
  queue = new Queue<JobPointer>('nightly', {
    connection: { url: redis.url },
    prefix: `${prefix}:{test/${POOL}}:backlog`,
  });
  board = await openBoard(queue);
  ids = Array.from({ length: JOBS }, (_, index) => `job-${index}`);
  for (const id of ids) await process.work.jobs.submit(jobSpec(id), BODY);
  await process.work.reconcile();
});

afterEach(async () => {
  await board.close(0);
  await queue.close();
  await process.stop();
  await rm(dataDir, { recursive: true, force: true });
});

function openBoard(shown: Queue): Promise<HttpServer> {
  const serverAdapter = new ExpressAdapter();
  createBullBoard({ queues: [new BullMQAdapter(shown)], serverAdapter });
  const app = express();
  app.use('/', serverAdapter.getRouter() as express.Router);
  return startServer(app, { host: '127.0.0.1', port: 0, portSetting: 'admin.port' });
}

/** As its page asks. */
async function ask(method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(`${board.url}/api/queues${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function order(method: string, path: string, body: unknown = {}): Promise<void> {
  const response = await ask(method, path, body);
  expect(`${response.status} ${response.status < 300 ? '' : await response.text()}`).toMatch(/^20[04] $/);
}

async function jobOf(id: string): Promise<Job<JobPointer>> {
  const job = await queue.getJob(id);
  if (!job) throw new Error(`the queue has no ${id}`);
  return job;
}

/** The first three are as jobs that were handed back until a time, ten minutes from now. */
async function delayThree(): Promise<void> {
  for (const id of ids.slice(0, 3)) {
    const job = await jobOf(id);
    await job.remove();
    await queue.add('job', job.data, { ...job.opts, delay: 600_000 });
  }
}

async function records(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for await (const { header } of process.store.scan()) {
    if (header.kind === 'result') counts[header.jobId] = (counts[header.jobId] ?? 0) + 1;
  }
  return counts;
}

async function finish(): Promise<void> {
  process.ledger.setWindows({ nightly: 8 });
  const isDone = async () => (await process.ledger.outcomes(ids)).every((outcome) => outcome !== null);
  await until(isDone, 'every job has its outcome', 10_000);
  for (const id of ids) expect(await process.work.jobs.get(id, TENANT)).toMatchObject({ status: 'completed' });
  await until(
    async () => Object.values(await queue.getJobCounts()).every((count) => count === 0),
    'the queue is empty',
    10_000,
  );
  expect(await records()).toEqual(Object.fromEntries(ids.map((id) => [id, 1])));
}

test('it lists what waits, by state, and shows pointers and no prompts', async () => {
  await delayThree();
  const [shown] = (
    (await (await ask('GET', '?activeQueue=nightly&status=prioritized&page=1&jobsPerPage=50')).json()) as {
      queues: { name: string; counts: Record<string, number>; jobs: { id: string; data: unknown }[] }[];
    }
  ).queues;
  expect(shown).toMatchObject({ name: 'nightly', counts: { prioritized: JOBS - 3, delayed: 3, active: 0, failed: 0 } });
  expect(shown?.jobs.map(({ id }) => id).sort()).toEqual(ids.slice(3).sort());
  expect(shown?.jobs[0]?.data).toEqual({ a: expect.any(String) as string, c: 30 });
  expect(JSON.stringify(shown)).not.toContain('secret');
  expect(await process.backlog.counts('nightly')).toEqual({
    ...{ waiting: JOBS - 3, delayed: 3, active: 0, failed: 0, isPaused: false },
  });
  const place = await process.backlog.placeOf('job-0', 'nightly');
  expect(place).toMatchObject({ kind: 'delayed' });
  const inMs = place.kind === 'delayed' ? place.untilEpochMs - Date.now() : 0;
  expect(Math.abs(inMs - 600_000)).toBeLessThan(60_000);
  expect(await process.backlog.placeOf('job-5', 'nightly')).toEqual({ kind: 'waiting' });
  expect(await process.backlog.placeOf('never', 'nightly')).toEqual({ kind: 'absent' });
});

describe('whatever is clicked, each accepted job ends once', () => {
  test.each([
    { what: 'promoting a delayed job', path: '/nightly/job-0/promote' },
    { what: 'promoting all delayed jobs', path: '/nightly/promote' },
  ])('$what', async ({ path }) => {
    await delayThree();
    await order('PUT', path);
    for (const id of ['job-1', 'job-2']) await (await queue.getJob(id))?.promote().catch(() => undefined);
    await finish();
  });

  test.each([
    { what: 'removing a job', orders: [['PUT', '/nightly/job-1/clean', {}]] },
    { what: 'emptying the queue', orders: [['PUT', '/nightly/empty', {}]] },
    { what: 'cleaning what waits', orders: [['PUT', '/nightly/clean/prioritized', {}]] },
    {
      what: 'obliterating the queue',
      orders: [
        ['PUT', '/nightly/pause', {}],
        ['PUT', '/nightly/obliterate', { force: true }],
      ],
    },
  ] as const)('$what, and a reconcile', async ({ orders }) => {
    for (const [method, path, body] of orders) await order(method, path, body);
    await process.work.reconcile();
    await finish();
  });

  test.each([
    { what: 'another priority', orders: [['PATCH', '/nightly/job-1/priority', { priority: 0 }]] },
    { what: 'data of nothing', orders: [['PATCH', '/nightly/job-1/update-data', { jobData: {} }]] },
    {
      what: 'data that leads nowhere',
      orders: [['PATCH', '/nightly/job-1/update-data', { jobData: { a: 'x', c: 1 } }]],
    },
    { what: 'a limit of its own', orders: [['PUT', '/nightly/concurrency', { concurrency: 1 }]] },
  ] as const)('$what', async ({ orders }) => {
    for (const [method, path, body] of orders) await order(method, path, body);
    await finish();
  });

  test('a copy of a job', async () => {
    const { data, opts } = await jobOf('job-1');
    await order('POST', '/nightly/add', { name: 'job', data, options: { priority: opts.priority } });
    await order('POST', '/nightly/add', { name: 'job', data: { a: 'made up', c: 1 }, options: { priority: 1 } });
    await finish();
  });

  test('a pause holds all of it, a resume lets it go', async () => {
    await order('PUT', '/nightly/pause');
    process.ledger.setWindows({ nightly: 8 });
    expect(await process.backlog.counts('nightly')).toMatchObject({ isPaused: true, waiting: JOBS });
    expect(await process.ledger.outcomes(ids)).toEqual(ids.map(() => null));
    await order('PUT', '/nightly/resume');
    await finish();
  });

  test('an obliteration while jobs run', async () => {
    process.ledger.setWindows({ nightly: 2 });
    await until(async () => (await process.ledger.outcomes(ids)).some((outcome) => outcome !== null), 'some have run');
    await order('PUT', '/nightly/pause');
    await order('PUT', '/nightly/obliterate', { force: true });
    await process.work.reconcile();
    await finish();
  });

  test('nothing is there to be retried or cleaned as failed: jobs end by their outcome, not by a state of BullMQ', async () => {
    await order('PUT', '/nightly/retry/failed');
    await order('PUT', '/nightly/clean/failed');
    await order('PUT', '/nightly/clean/completed');
    await finish();
  });
});
