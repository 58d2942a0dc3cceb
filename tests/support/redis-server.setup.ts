import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type ResolvedRedis, resolveRedis } from '../../src/platform/local-redis/resolve.ts';
import { lastLogLines } from '../../src/platform/local-redis/spawn-server.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the run's throw-away Redis, database 0. Tests use tests/support/redis.ts instead. */
    redisUrl: string;
  }
}

/** One for each test file that asks, handed out by tests/support/redis.ts; more files than this share. */
const DATABASES = 1_024;
const FETCHED_WITHIN_MS = 5 * 60_000;
const LOOK_EVERY_MS = 500;

let folder: string;
let redis: ResolvedRedis;
let watch: NodeJS.Timeout;

export async function setup(project: TestProject): Promise<void> {
  folder = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
  redis = await resolveRedis(
    {
      dataDir: folder,
      persistence: 'none',
      lifetime: 'with-process',
      databases: DATABASES,
      onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
    },
    AbortSignal.timeout(FETCHED_WITHIN_MS),
  );
  project.provide('redisUrl', redis.url);
  watch = setInterval(() => void endWithRedis(), LOOK_EVERY_MS).unref();
}

/** Each test would sit out the deadlines of its hooks, one after the other: the run would seem to hang. */
async function endWithRedis(): Promise<void> {
  if (isAlive(redis.pid!)) return;
  clearInterval(watch);
  process.stderr.write(`\nThe Redis of the tests ended under them; its last words: ${await lastLogLines(folder)}\n`);
  await rm(folder, { recursive: true, force: true });
  process.exit(1);
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

export async function teardown(): Promise<void> {
  clearInterval(watch);
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
}
