import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { takeFolderLock } from '../../../src/platform/local-redis/folder-lock.ts';
import { endProcess, isRunning, processIdentity } from '../../../src/platform/local-redis/process-identity.ts';

const never = new AbortController().signal;
let folder: string;
let lockFile: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
  lockFile = join(folder, 'start.lock');
  return () => rm(folder, { recursive: true, force: true });
});

async function startChild(command: string) {
  const child = spawn('/bin/sh', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  await once(child.stdout, 'data');
  const identity = await processIdentity(child.pid!, never);
  return { pid: child.pid!, identity: identity! };
}

test('a second taker waits until the first lets go', async () => {
  const first = await takeFolderLock(lockFile, 1_000, never);
  let isTaken = false;
  const second = takeFolderLock(lockFile, 10_000, never).then((lock) => {
    isTaken = true;
    return lock;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect(isTaken).toBe(false);
  await first.release();
  await (await second).release();
  expect(await readdir(folder)).toEqual([]);
});

test('of many takers each holds it alone', async () => {
  await writeFile(lockFile, JSON.stringify({ pid: 1, identity: 'a process that has ended' }));
  let holders = 0;
  await Promise.all(
    Array.from({ length: 10 }, async () => {
      const lock = await takeFolderLock(lockFile, 10_000, never);
      holders += 1;
      expect(holders).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      holders -= 1;
      await lock.release();
    }),
  );
});

test('a live holder ends the wait with its process id', async () => {
  await takeFolderLock(lockFile, 1_000, never);
  await expect(takeFolderLock(lockFile, 50, never)).rejects.toThrow(`process ${process.pid}`);
});

test.each([
  { name: 'whose process has ended', content: JSON.stringify({ pid: process.pid, identity: 'an earlier process' }) },
  { name: 'that was damaged', content: '{"pid":' },
])('a lock $name is taken over', async ({ content }) => {
  await writeFile(lockFile, content);
  const lock = await takeFolderLock(lockFile, 1_000, never);
  await lock.release();
});

test('a process that ignores the request to end is killed', async () => {
  const child = await startChild('trap "" TERM; echo ready; while :; do sleep 0.1; done');
  await endProcess(child, 200, never);
  expect(await isRunning(child, never)).toBe(false);
});

test('another process that has got the id is left alone', async () => {
  const child = await startChild('echo ready; exec sleep 60');
  await endProcess({ pid: child.pid, identity: 'an earlier process' }, 200, never);
  expect(await isRunning(child, never)).toBe(true);
});
