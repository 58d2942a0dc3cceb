import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { type ResolvedRedis, resolveRedis } from '../../src/platform/local-redis/resolve.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Of the run's throw-away Redis, database 0. Tests use tests/support/redis.ts instead. */
    redisUrl: string;
  }
}

/** One for each test file that asks, handed out by tests/support/redis.ts; more files than this share. */
const DATABASES = 1_024;
const FETCHED_WITHIN_MS = 5 * 60_000;

let folder: string;
let redis: ResolvedRedis;

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
}

export async function teardown(): Promise<void> {
  await redis.stop();
  await rm(folder, { recursive: true, force: true });
}
