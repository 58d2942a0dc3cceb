/**
 * The live order without HTTP: two processes on one Redis, every ticket has to queue (more callers than slots).
 *
 * Measures, in one run so that the ratios hold on any machine:
 * 1. floor: the same Redis and client with a script that does nothing, one call a ticket, as many outstanding;
 * 2. admit → assign → take → settle, tickets per second over both processes;
 * 3. a lone admit on a free slot at 200/s (open loop), and the same for PING.
 *
 * The 200/s are apart enough for caches to cool down, which is what a quiet gateway sees.
 *
 * Usage: node bench/live-order.ts [--seconds 8] [--callers 256] [--slots 64] [--stored] [--redis URL] [--json]
 */
import { fork } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as hdr from 'hdr-histogram-js';
import type { Redis } from 'ioredis';
import { asError } from '../src/core/errors.ts';
import type { TicketSpec } from '../src/core/live-order.ts';
import type { Outcome } from '../src/core/outcome.ts';
import { systemClock } from '../src/platform/clock.ts';
import { resolveRedis } from '../src/platform/local-redis/resolve.ts';
import { createRedis } from '../src/platform/redis/connection.ts';
import { loadLua, runLua } from '../src/platform/redis/script.ts';
import { RedisLedgerStore } from '../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../src/queue/live-order/pool-live-order.ts';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    callers: { type: 'string', default: '256' },
    slots: { type: 'string', default: '64' },
    /** Default: a throw-away server of its own. */
    redis: { type: 'string', default: process.env.PILOTLIGHT_REDIS_URL ?? '' },
    stored: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    worker: { type: 'string' },
    pool: { type: 'string', default: '' },
  },
});
const seconds = Number(flags.seconds);
const callers = Number(flags.callers);
const slots = Number(flags.slots);
const ENDPOINTS = ['pod-a', 'pod-b', 'pod-c', 'pod-d'];
const DONE: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };
const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error, child: () => log };
const LIMITS = {
  poolMaxRequests: 1e6,
  poolMaxBytes: 1e12,
  shedAtPercent: 99,
  objectiveMaxRequests: 1e6,
  objectiveMaxBytes: 1e12,
};

function openOrder(owner: string, pool: string): { order: PoolLiveOrder; command: Redis; subscriber: Redis } {
  const command = createRedis({ url: flags.redis, purpose: 'command', log });
  const subscriber = createRedis({ url: flags.redis, purpose: 'subscriber', log });
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'bench:', installation: 'bench', pool });
  return { order: new PoolLiveOrder({ store, pool, owner, clock: systemClock, log }), command, subscriber };
}

function spec(id: string): TicketSpec {
  return {
    id,
    kind: flags.stored ? 'stored' : 'held',
    objective: 'interactive',
    priority: 100,
    fairnessId: 'bench',
    weight: 1,
    costTokens: 800,
    bytes: 1_200,
    classKey: '',
    expiresAtEpochMs: null,
    arrivedAtEpochMs: null,
    limits: LIMITS,
  };
}

const forever = new AbortController().signal;
const rank = () => ENDPOINTS;

/** Callers in a loop for the measured time; reports the tickets that were done. */
async function worker(name: string): Promise<void> {
  const { order, command, subscriber } = openOrder(name, flags.pool);
  await order.snapshot();
  process.send?.('ready');
  await new Promise((resolve) => process.once('message', resolve));
  let done = 0;
  let serial = 0;
  const endAt = performance.now() + seconds * 1_000;
  const loop = async () => {
    while (performance.now() < endAt) {
      const entry = await order.enter(spec(`req_${name}_${(serial += 1)}`), { rank, signal: forever });
      if (entry.kind !== 'run') throw new Error(entry.kind);
      if (flags.stored) entry.lease.release();
      await entry.lease.settle(DONE);
      done += 1;
    }
  };
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: callers / 2 }, loop));
  const used = process.cpuUsage(cpu);
  process.send?.({ done, cpuUs: used.user + used.system });
  await order.close();
  command.disconnect();
  subscriber.disconnect();
}

interface Report {
  done: number;
  cpuUs: number;
}

async function queueRate(pool: string) {
  const { order, command, subscriber } = openOrder('setter', pool);
  await order.setEndpoints(ENDPOINTS.map((id) => ({ id, slots: slots / ENDPOINTS.length, adapters: null })));
  const children = ['gw-a', 'gw-b'].map((name) => {
    const child = fork(import.meta.filename, [...process.argv.slice(2), '--worker', name, '--pool', pool]);
    const ready = new Promise((resolve) => child.once('message', resolve));
    return { child, ready };
  });
  await Promise.all(children.map(({ ready }) => ready));
  const redisBefore = await redisCpuUs(command);
  const reports = await Promise.all(
    children.map(({ child }) => {
      child.send('go');
      return new Promise<Report>((resolve) => child.once('message', (report) => resolve(report as Report)));
    }),
  );
  const redisUs = (await redisCpuUs(command)) - redisBefore;
  const done = reports.reduce((sum, report) => sum + report.done, 0);
  const nodeUs = reports.reduce((sum, report) => sum + report.cpuUs, 0);
  const leaked = await slotsLeftInUse(order);
  await order.close();
  command.disconnect();
  subscriber.disconnect();
  return { perSecond: done / seconds, redisUsPerTicket: redisUs / done, nodeUsPerTicket: nodeUs / done, leaked };
}

/** After a moment for the last operations to arrive. */
async function slotsLeftInUse(order: PoolLiveOrder): Promise<number> {
  const deadlineMs = performance.now() + 2_000;
  for (;;) {
    const { endpoints } = await order.snapshot();
    const used = endpoints.reduce((sum, endpoint) => sum + endpoint.used, 0);
    if (used === 0 || performance.now() > deadlineMs) return used;
    await systemClock.sleep(20);
  }
}

/** What Redis and the client can do at most: a script that does nothing, in the same loop. */
async function floorRate(): Promise<number> {
  const script = loadLua(new URL('./noop.lua', import.meta.url));
  const client = createRedis({ url: flags.redis, purpose: 'command', log });
  await new Promise((resolve) => client.once('ready', resolve));
  let done = 0;
  const endAt = performance.now() + (seconds * 1_000) / 2;
  const loop = async () => {
    while (performance.now() < endAt) {
      await runLua(client, script, ['bench:{floor}'], ['x']);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, loop));
  client.disconnect();
  return done / (seconds / 2);
}

async function redisCpuUs(client: Redis): Promise<number> {
  const info = await client.info('cpu');
  const read = (name: string) => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1] ?? 0);
  return (read('used_cpu_user') + read('used_cpu_sys')) * 1e6;
}

/** Open loop: one call each 5 ms whatever the last one takes. */
async function atTwoHundredPerSecond(
  call: (index: number) => Promise<void>,
): Promise<{ p50Us: number; p99Us: number }> {
  const histogram = hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 10_000_000 });
  const calls: Promise<void>[] = [];
  const startAt = performance.now();
  for (let index = 0; index < seconds * 200; index += 1) {
    const dueAt = startAt + index * 5;
    await systemClock.sleep(Math.max(0, dueAt - performance.now()));
    const sentAt = performance.now();
    calls.push(call(index).then(() => histogram.recordValue(Math.round((performance.now() - sentAt) * 1_000))));
  }
  await Promise.all(calls);
  return { p50Us: histogram.getValueAtPercentile(50), p99Us: histogram.getValueAtPercentile(99) };
}

async function latencies(pool: string) {
  const { order, command, subscriber } = openOrder('lone', pool);
  await order.setEndpoints(ENDPOINTS.map((id) => ({ id, slots: 64, adapters: null })));
  const leases: (() => void)[] = [];
  const admit = await atTwoHundredPerSecond(async (index) => {
    const entry = await order.enter(spec(`lone_${index}`), { rank, signal: forever });
    if (entry.kind === 'run') leases.push(() => void entry.lease.settle(DONE));
    setTimeout(() => leases.shift()?.(), 20);
  });
  const ping = await atTwoHundredPerSecond(async () => {
    await command.ping();
  });
  await order.close();
  command.disconnect();
  subscriber.disconnect();
  return { admit, ping };
}

async function main(): Promise<void> {
  const run = `run-${Date.now()}`;
  const floor = await floorRate();
  const rate = await queueRate(`${run}/queue`);
  const latency = await latencies(`${run}/lone`);
  const result = {
    bench: 'live-order',
    node: process.version,
    ...{ seconds, callers, slots, stored: flags.stored },
    ticketsPerSecond: Math.round(rate.perSecond),
    noopScriptsPerSecond: Math.round(floor),
    ratioToNoop: Number((rate.perSecond / floor).toFixed(2)),
    redisUsPerTicket: Number(rate.redisUsPerTicket.toFixed(1)),
    nodeUsPerTicket: Number(rate.nodeUsPerTicket.toFixed(1)),
    leakedSlots: rate.leaked,
    loneAdmitUs: latency.admit,
    pingUs: latency.ping,
    addedP50Us: latency.admit.p50Us - latency.ping.p50Us,
  };
  if (!flags.json) {
    console.table({
      'admit → assign → take → settle': { value: `${result.ticketsPerSecond}/s` },
      'a script that does nothing': { value: `${result.noopScriptsPerSecond}/s` },
      ratio: { value: result.ratioToNoop },
      'Redis per ticket': { value: `${result.redisUsPerTicket} µs` },
      'Node per ticket (both processes)': { value: `${result.nodeUsPerTicket} µs` },
      'lone admit p50 / p99': { value: `${latency.admit.p50Us} / ${latency.admit.p99Us} µs` },
      'PING p50 / p99': { value: `${latency.ping.p50Us} / ${latency.ping.p99Us} µs` },
      'slots leaked': { value: result.leakedSlots },
    });
  }
  console.log(JSON.stringify(result));
  if (result.leakedSlots !== 0) process.exitCode = 1;
}

/** Runs the bench on the given Redis, or on one of its own that ends with it. */
async function mainWithRedis(): Promise<void> {
  if (flags.redis !== '') return main();
  const dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
  const server = await resolveRedis(
    { dataDir, persistence: 'none', lifetime: 'with-process' },
    AbortSignal.timeout(60_000),
  );
  // The forked owners read it from their environment.
  process.env.PILOTLIGHT_REDIS_URL = server.url;
  flags.redis = server.url;
  try {
    await main();
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await (flags.worker === undefined ? mainWithRedis() : worker(flags.worker)).catch((thrown: unknown) => {
  console.error(asError(thrown));
  process.exit(1);
});
