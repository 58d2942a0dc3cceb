import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { type StoredProcess, type StoredProcessOptions, startStoredProcess } from '../support/stored-process.ts';
import { jobSpec, TENANT } from '../support/stored-world.ts';
import { until } from '../support/until.ts';

const redis = useRedis();
const CHILD = fileURLToPath(new URL('../support/stored-process-child.ts', import.meta.url));
const BODY = Buffer.alloc(1_000, 'x');

let dataDir: string;
let round = 0;
let processes: StoredProcess[];
let children: ChildProcess[];

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-jobs-'));
  round += 1;
  processes = [];
  children = [];
});

afterEach(async () => {
  for (const child of children) await end(child, 'SIGKILL');
  for (const one of processes) await one.stop();
  await rm(dataDir, { recursive: true, force: true });
});

async function open(options: Partial<StoredProcessOptions> = {}): Promise<StoredProcess> {
  const one = await startStoredProcess({
    redisUrl: redis.url,
    prefix: `${redis.prefix}-${round}`,
    dataDir,
    executionMs: 5,
    ...options,
  });
  processes.push(one);
  return one;
}

async function openChild(executionMs: number): Promise<ChildProcess> {
  const options = { redisUrl: redis.url, prefix: `${redis.prefix}-${round}`, dataDir, executionMs, window: 16 };
  const child = spawn(process.execPath, [CHILD, JSON.stringify(options)], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout, 'data');
  return child;
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

async function submit(to: StoredProcess, count: number, name = 'job'): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => `${name}-${index}`);
  const answers = await Promise.all(ids.map((id) => to.work.jobs.submit(jobSpec(id), BODY)));
  expect(answers.filter(({ kind }) => kind !== 'accepted')).toEqual([]);
  return ids;
}

async function finished(by: StoredProcess, ids: readonly string[]): Promise<number> {
  return (await by.ledger.outcomes(ids)).filter((outcome) => outcome !== null).length;
}

async function expectEachOnce(by: StoredProcess, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    expect(await by.work.jobs.get(id, TENANT)).toMatchObject({ spec: { id }, status: 'completed' });
    const result = await by.work.jobs.result(id, TENANT);
    expect(Buffer.from(result?.body ?? '').toString()).toBe(`answer to ${id}`);
  }
}

async function resultRecords(by: StoredProcess): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  for await (const { header } of by.store.scan()) {
    if (header.kind === 'result') counts.set(header.jobId, (counts.get(header.jobId) ?? 0) + 1);
  }
  return counts;
}

describe('stored jobs over a real Redis and a real folder', () => {
  test('a process killed in mid-run loses nothing: the next one finishes every job exactly once', async () => {
    const observer = await open();
    const ids = await submit(observer, 300);
    const killed = await openChild(40);
    await until(async () => (await finished(observer, ids)) >= 80, 'some finished');
    await end(killed, 'SIGKILL');
    const doneBefore = await finished(observer, ids);
    expect(doneBefore).toBeLessThan(ids.length);

    await openChild(5);
    await until(async () => (await finished(observer, ids)) === ids.length, 'all finished', 60_000);
    await expectEachOnce(observer, ids);
    const records = await resultRecords(observer);
    expect(records.size).toBe(ids.length);
    // Only what was in the hands of the dead process may have been worked for twice.
    const twice = [...records.values()].filter((count) => count > 1).length;
    expect(twice).toBeLessThanOrEqual(16);
    await until(async () => (await observer.client.keys('*:backlog:nightly:job-*')).length === 0, 'backlog empty');
  });

  test('a process that is told to stop hands back what it has not finished', async () => {
    const observer = await open();
    const ids = await submit(observer, 100);
    const first = await openChild(50);
    await until(async () => (await finished(observer, ids)) >= 20, 'some finished');
    await end(first, 'SIGTERM');
    expect(first.exitCode).toBe(0);
    observer.ledger.setWindows({ nightly: 16 });
    await until(async () => (await finished(observer, ids)) === ids.length, 'all finished');
    expect(Math.max(...(await resultRecords(observer)).values())).toBe(1);
  });

  test('a flushed Redis is rebuilt from the folder: finished jobs keep their results, the others run', async () => {
    const one = await open({ executionMs: 20 });
    const done = await submit(one, 40, 'done');
    one.ledger.setWindows({ nightly: 8 });
    await until(async () => (await finished(one, done)) === done.length, 'first ones finished');
    one.ledger.setWindows({});
    const waiting = await submit(one, 60, 'waiting');
    const cancelled = await submit(one, 3, 'cancelled');
    for (const id of cancelled) expect(await one.work.jobs.cancel(id, TENANT)).toMatchObject({ kind: 'cancelled' });

    await one.client.flushdb();
    await one.work.reconcile();
    await expectEachOnce(one, done);
    for (const id of waiting) expect(await one.work.jobs.get(id, TENANT)).toMatchObject({ status: 'queued' });
    for (const id of cancelled) expect(await one.work.jobs.get(id, TENANT)).toMatchObject({ status: 'cancelled' });
    one.ledger.setWindows({ nightly: 8 });
    await until(async () => (await finished(one, waiting)) === waiting.length, 'the rest finished');
    await expectEachOnce(one, [...done, ...waiting]);
    expect(Math.max(...(await resultRecords(one)).values())).toBe(1);
  });

  test('a Redis killed and restarted from its append-only file: all jobs finish, accepted ones included', async () => {
    const server = await startDedicatedRedis();
    const one = await open({ redisUrl: server.url, executionMs: 20 });
    one.ledger.setWindows({ nightly: 8 });
    const ids = await submit(one, 200);
    await until(async () => (await finished(one, ids)) >= 30, 'some finished');
    await server.kill();
    const rejected = await one.work.jobs.submit(jobSpec('job-while-away'), BODY);
    expect(rejected).toMatchObject({ kind: 'rejected', error: { httpStatus: 503 } });
    await server.restart();
    await until(async () => (await finished(one, ids).catch(() => 0)) === ids.length, 'all finished', 60_000);
    await expectEachOnce(one, ids);
    const late = await submit(one, 5, 'late');
    await until(async () => (await finished(one, late)) === late.length, 'new ones too');
  });

  test('two processes share the work and tell each other of outcomes', async () => {
    const [one, two] = [await open(), await open()];
    const ids = await submit(one, 100);
    const waiting = one.work.jobs.wait('job-99', TENANT, 20_000, AbortSignal.timeout(20_000));
    one.ledger.setWindows({ nightly: 4 });
    two.ledger.setWindows({ nightly: 4 });
    await until(async () => (await finished(one, ids)) === ids.length, 'all finished');
    expect(await waiting).toMatchObject({ status: 'completed' });
    expect(Math.max(...(await resultRecords(one)).values())).toBe(1);
    await expectEachOnce(two, ids.slice(0, 5));
  });
});
