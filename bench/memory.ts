/**
 * What one waiting request takes in Redis: a held call in the live order, an accepted job in the backlog.
 *
 *   npm run bench -- memory [--tickets 20000] [--jobs 10000] [--tenants 1000] [--redis URL] [--save NAME]
 *
 * live: one process enters held tickets with a TTL, of so many tenants in 50 objectives, into a pool without an endpoint.
 * backlog: `pilotlight serve` accepts jobs of 1 KB over HTTP for a pool whose replicas are paused at zero.
 *
 * Figures are growths of `used_memory` over the count, so that what a server keeps anyway is left out. Both kinds carry ids as
 * the API makes them. Besides: round trips, bytes and CPU of Redis for each.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import type { TicketSpec } from '../src/core/live-order.ts';
import { uniqueIds } from '../src/ingress/adapters/unique-ids.ts';
import { systemClock } from '../src/platform/clock.ts';
import { resolveRedis } from '../src/platform/local-redis/resolve.ts';
import { createRedis, whenReady } from '../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../src/queue/live-order/pool-live-order.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';
import { MAIN, Stage } from './support/stage.ts';

const { values: flags } = parseArgs({
  options: {
    tickets: { type: 'string', default: '20000' },
    jobs: { type: 'string', default: '10000' },
    tenants: { type: 'string', default: '1000' },
    redis: { type: 'string' },
    save: { type: 'string' },
  },
});
const OBJECTIVES = 50;
const CALLERS = 64;
/** Entered at once. */
const WAVE = 500;
const TTL_MS = 3_600_000;
const REDIS_WITHIN_MS = 5 * 60_000;
const LIMITS = {
  poolMaxRequests: 1e7,
  poolMaxBytes: 1e12,
  shedAtPercent: 99,
  objectiveMaxRequests: 1e7,
  objectiveMaxBytes: 1e12,
};
const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error, child: () => log };

/** What Redis has used so far. */
interface Use {
  readonly memoryBytes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly commands: number;
  readonly cpuUs: number;
}

async function useOf(redis: Redis): Promise<Use> {
  const info = await redis.info('memory', 'stats', 'cpu');
  const number = (name: string): number => Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1]);
  return {
    memoryBytes: number('used_memory'),
    bytesIn: number('total_net_input_bytes'),
    bytesOut: number('total_net_output_bytes'),
    commands: number('total_commands_processed'),
    cpuUs: 1e6 * (number('used_cpu_user') + number('used_cpu_sys')),
  };
}

/** Each growth over the count. */
function perItem(before: Use, after: Use, count: number): Record<keyof Use, number> {
  const each = (field: keyof Use): number => Number(((after[field] - before[field]) / count).toFixed(1));
  return {
    memoryBytes: Math.round(each('memoryBytes')),
    bytesIn: Math.round(each('bytesIn')),
    bytesOut: Math.round(each('bytesOut')),
    commands: each('commands'),
    cpuUs: each('cpuUs'),
  };
}

function ticketSpec(id: string, index: number): TicketSpec {
  return {
    id,
    kind: 'held',
    objective: `objective-${index % OBJECTIVES}`,
    priority: 0,
    fairnessId: `tenant-${index % Number(flags.tenants)}`,
    weight: 1,
    costTokens: 800,
    bytes: 1_200,
    classKey: '',
    expiresAtEpochMs: systemClock.epochMs() + TTL_MS,
    arrivedAtEpochMs: null,
    limits: LIMITS,
  };
}

async function measureLive(url: string): Promise<Record<keyof Use, number>> {
  const count = Number(flags.tickets);
  const command = createRedis({ url, purpose: 'command', log });
  const subscriber = createRedis({ url, purpose: 'subscriber', log });
  await whenReady(command, REDIS_WITHIN_MS);
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'bench:', installation: 'bench', pool: 'a/b' });
  const order = new PoolLiveOrder({ store, pool: 'a/b', owner: 'bench', clock: systemClock, log });
  await order.snapshot();
  const leaving = new AbortController();
  const ids = uniqueIds(systemClock);
  const before = await useOf(command);
  const entries: Promise<unknown>[] = [];
  const enter = (index: number): Promise<void> =>
    new Promise((resolve, reject) => {
      const options = { rank: () => [], signal: leaving.signal, onWaiting: () => resolve() };
      entries.push(order.enter(ticketSpec(ids.requestId(), index), options).catch(reject));
    });
  for (let first = 0; first < count; first += WAVE) {
    await Promise.all(Array.from({ length: Math.min(WAVE, count - first) }, (_, index) => enter(first + index)));
  }
  const after = await useOf(command);
  leaving.abort();
  await Promise.all(entries);
  await order.close();
  command.disconnect();
  subscriber.disconnect();
  return perItem(before, after, count);
}

async function measureBacklog(): Promise<Record<keyof Use, number>> {
  const count = Number(flags.jobs);
  const pools = [{ name: 'night', slots: 8, minReplicas: 0 }] as const;
  const stage = await Stage.open({ main: MAIN, pools, redisUrl: undefined, nodeFlags: [] });
  const redis = new Redis(stage.redis.url);
  try {
    const paused = await fetch(`${stage.adminUrl}/pools/default/night/pause`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    });
    if (!paused.ok) throw new Error(`the pool was not paused: ${paused.status} ${await paused.text()}`);
    await submit(stage.apiUrl, 'warm-up', 200);
    const before = await useOf(redis);
    await submit(stage.apiUrl, 'job', count);
    return perItem(before, await useOf(redis), count);
  } finally {
    redis.disconnect();
    await stage.close();
  }
}

async function submit(apiUrl: string, what: string, count: number): Promise<void> {
  let next = 0;
  const caller = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      const content = `${what} ${next} `.padEnd(1_000, 'x');
      const body = { model: 'night', max_tokens: 200, messages: [{ role: 'user', content }] };
      const answer = await fetch(`${apiUrl}/v1/jobs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ body }),
      });
      if (answer.status !== 202) throw new Error(`a job was answered with ${answer.status}: ${await answer.text()}`);
      await answer.arrayBuffer();
    }
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
  const redis = await resolveRedis(
    { url: flags.redis, dataDir: join(folder, 'redis'), persistence: 'aof', lifetime: 'with-process' },
    AbortSignal.timeout(REDIS_WITHIN_MS),
  );
  const client = new Redis(redis.url);
  try {
    const about = circumstances(await redisVersion(client));
    const rows = { 'held call, waiting': await measureLive(redis.url), 'job, in the backlog': await measureBacklog() };
    console.table(rows);
    const result = { bench: 'memory', flags, ...about, rows };
    if (flags.save !== undefined) process.stdout.write(`Saved ${saveResult(flags.save, result)}\n`);
  } finally {
    client.disconnect();
    await redis.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main();
