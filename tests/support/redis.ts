import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, inject, onTestFinished } from 'vitest';
import { processIdentity, signalAndWait } from '../../src/platform/local-redis/process-identity.ts';
import { type ResolveRedisOptions, resolveRedis } from '../../src/platform/local-redis/resolve.ts';

const SERVER_DEADLINE_MS = 60_000;

export interface FileRedis {
  /** With the number of a logical database that belongs to this test file alone and was empty at its start. */
  url: string;
  /** For key prefixes and channels: channels are not divided by database. */
  prefix: string;
  /** A plain client, closed at the end of the file. */
  client: Redis;
}

/** Call at the top of a test file: `const redis = useRedis();`. Its fields may be read inside hooks and tests. */
export function useRedis(): FileRedis {
  const shared = {} as FileRedis;
  beforeAll(async () => {
    const base = inject('redisUrl');
    const root = new Redis(base);
    const databases = Number((await root.config('GET', 'databases'))[1]);
    const database = 1 + ((await root.incr('test-databases-given-out')) % (databases - 1));
    root.disconnect();
    shared.url = base.replace(/\/0$/, `/${database}`);
    shared.prefix = `test-${randomUUID().slice(0, 8)}`;
    shared.client = new Redis(shared.url);
    await shared.client.flushdb();
  });
  afterAll(() => shared.client.disconnect());
  return shared;
}

export interface DedicatedRedis {
  dataDir: string;
  url: string;
  pid: number;
  /** Ends it with SIGKILL; returns when it is gone. */
  kill(): Promise<void>;
  /** Ends it in order (SIGTERM). */
  stop(): Promise<void>;
  /** Starts it again on the same data, port and password: clients of `url` come back by themselves. */
  restart(): Promise<void>;
  /** Forgets everything, and runs on. */
  flush(): Promise<void>;
  /** Ends it with SIGKILL and starts it again without any data: what a lost disk leaves. */
  lose(): Promise<void>;
}

export interface DedicatedRedisOptions {
  persistence?: ResolveRedisOptions['persistence'];
  /** Registers the clean-up: the end of the test, unless a hook passes `afterAll`. */
  atEnd?: (cleanUp: () => Promise<void>) => void;
}

/** A server of its own for a test that kills or restarts it. Keeps an append-only file unless told otherwise. */
export async function startDedicatedRedis(options: DedicatedRedisOptions = {}): Promise<DedicatedRedis> {
  const { persistence = 'aof', atEnd = onTestFinished } = options;
  const dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-test-'));
  const deadline = () => AbortSignal.timeout(SERVER_DEADLINE_MS);
  const open = () => resolveRedis({ dataDir, persistence, lifetime: 'with-process' }, deadline());
  let running = await open();
  atEnd(async () => {
    await running.stop();
    await rm(dataDir, { recursive: true, force: true });
  });
  return {
    dataDir,
    get url() {
      return running.url;
    },
    get pid() {
      return running.pid!;
    },
    kill: () => killNow(running.pid!),
    stop: () => running.stop(),
    async restart() {
      running = await open();
    },
    async flush() {
      const client = new Redis(running.url);
      await client.flushall();
      client.disconnect();
    },
    async lose() {
      await killNow(running.pid!);
      for (const name of ['appendonlydir', 'dump.rdb']) await rm(join(dataDir, name), { recursive: true, force: true });
      running = await open();
    },
  };
}

/** SIGKILL; returns when the process is gone. */
export async function killNow(pid: number): Promise<void> {
  const deadline = AbortSignal.timeout(SERVER_DEADLINE_MS);
  const identity = await processIdentity(pid, deadline);
  if (identity) await signalAndWait({ pid, identity }, 'SIGKILL', SERVER_DEADLINE_MS, deadline);
}
