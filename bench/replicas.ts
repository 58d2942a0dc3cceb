/**
 * One live order for many replicas: 1, 2, 4, 8 and 16 owners on one Redis, all of them waiting for the same slots.
 *
 *   npm run bench -- replicas [--seconds 5] [--rounds 3] [--slots 64] [--callers 256] [--hold 20] [--redis URL] [--save NAME]
 *
 * All owners are in one process, so that their clocks are one: a slot that one gives back is timed until another has it. What
 * is counted is Redis: turns, CPU and offers for each ticket. Beside it, in each round:
 * - hop: a turn that does nothing, and a published message that reaches another client. An assigner of its own would add both
 *   to every ticket that waits: the owner who frees a slot would tell it, and it would give the slot away.
 * - burst: 10,000 calls wait for a pool that sleeps; the time and the CPU of Redis from the first slot to the last answer.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Redis } from 'ioredis';
import type { Lease, TicketSpec } from '../src/core/live-order.ts';
import type { Outcome } from '../src/core/outcome.ts';
import { systemClock } from '../src/platform/clock.ts';
import { resolveRedis } from '../src/platform/local-redis/resolve.ts';
import { createRedis, whenReady } from '../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../src/queue/adapters/ledger/redis-ledger-store.ts';
import { PoolLiveOrder } from '../src/queue/live-order/pool-live-order.ts';
import { CountingStore, newTraffic, type Traffic } from './support/counting-store.ts';
import { circumstances, redisVersion, saveResult } from './support/results.ts';
import { median, quantile, spreadOf } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
    slots: { type: 'string', default: '64' },
    callers: { type: 'string', default: '256' },
    /** Milliseconds that a call keeps its slot. */
    hold: { type: 'string', default: '20' },
    /** Default: a throw-away server of its own. */
    redis: { type: 'string', default: '' },
    save: { type: 'string' },
  },
});
const [seconds, rounds, slots, callers, holdMs] = [
  flags.seconds,
  flags.rounds,
  flags.slots,
  flags.callers,
  flags.hold,
].map(Number) as [number, number, number, number, number];
const OWNERS = [1, 2, 4, 8, 16];
const BURST = 10_000;
const WAVE = 500;
const ENDPOINTS = ['pod-a', 'pod-b', 'pod-c', 'pod-d'];
const DONE: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };
const LIMITS = {
  poolMaxRequests: 1e6,
  poolMaxBytes: 1e12,
  shedAtPercent: 99,
  objectiveMaxRequests: 1e6,
  objectiveMaxBytes: 1e12,
};
const quiet = (): void => undefined;
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error, child: () => log };
const forever = new AbortController().signal;
const rank = (): readonly string[] => ENDPOINTS;

interface Owner {
  readonly order: PoolLiveOrder;
  readonly traffic: Traffic;
  close(): Promise<void>;
}

interface Rig {
  readonly url: string;
  /** For questions about the server. */
  readonly client: Redis;
}

async function openOwner({ url }: Rig, pool: string, name: string): Promise<Owner> {
  const command = createRedis({ url, purpose: 'command', log });
  const subscriber = createRedis({ url, purpose: 'subscriber', log });
  const traffic = newTraffic();
  const store = new RedisLedgerStore({ command, subscriber, keyPrefix: 'bench:', installation: 'bench', pool });
  const order = new PoolLiveOrder({
    ...{ store: new CountingStore(store, traffic), pool, owner: name, clock: systemClock, log },
  });
  await order.snapshot();
  const close = async (): Promise<void> => {
    await order.close();
    command.disconnect();
    subscriber.disconnect();
  };
  return { order, traffic, close };
}

function spec(id: string): TicketSpec {
  return {
    ...{ id, kind: 'held', objective: 'chat', priority: 0, fairnessId: `team-${id.length % 3}`, costTokens: 800 },
    ...{ weight: 1, bytes: 1_200, classKey: '', expiresAtEpochMs: null, arrivedAtEpochMs: null, limits: LIMITS },
  };
}

async function cpuUs(client: Redis): Promise<number> {
  const info = await client.info('cpu');
  const read = (name: string): number => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1] ?? 0);
  return (read('used_cpu_user') + read('used_cpu_sys')) * 1e6;
}

/** Slots that were given back, by endpoint, with who did it: the next lease there has waited for it. */
class HandOvers {
  readonly sameMs: number[] = [];
  readonly otherMs: number[] = [];
  readonly #free = new Map<string, { readonly atMs: number; readonly owner: number }[]>();

  given(endpointId: string, owner: number): void {
    const free = this.#free.get(endpointId) ?? [];
    this.#free.set(endpointId, free);
    free.push({ atMs: performance.now(), owner });
  }

  taken(endpointId: string, owner: number): void {
    const before = this.#free.get(endpointId)?.shift();
    if (before) (before.owner === owner ? this.sameMs : this.otherMs).push(performance.now() - before.atMs);
  }
}

/** Callers in a loop over all owners for the measured time. */
async function saturate(rig: Rig, pool: string, count: number) {
  const owners = await Promise.all(Array.from({ length: count }, (_, index) => openOwner(rig, pool, `gw-${index}`)));
  const [first] = owners;
  await first?.order.setEndpoints(ENDPOINTS.map((id) => ({ id, slots: slots / ENDPOINTS.length, adapters: null })));
  const handOvers = new HandOvers();
  const [cpuBefore, startAt] = [await cpuUs(rig.client), performance.now()];
  let done = 0;
  const loop = async (caller: number): Promise<void> => {
    const index = caller % count;
    const { order } = owners[index]!;
    for (let call = 0; performance.now() - startAt < seconds * 1_000; call += 1) {
      const entry = await order.enter(spec(`${caller}-${call}`), { rank, signal: forever });
      if (entry.kind !== 'run') throw new Error(entry.kind);
      const { lease } = entry;
      handOvers.taken(lease.endpointId, index);
      await systemClock.sleep(holdMs);
      handOvers.given(lease.endpointId, index);
      await lease.settle(DONE);
      done += 1;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => loop(caller)));
  const elapsedMs = performance.now() - startAt;
  const redisUs = (await cpuUs(rig.client)) - cpuBefore;
  const total = (read: (traffic: Traffic) => number): number =>
    owners.reduce((sum, { traffic }) => sum + read(traffic), 0);
  const figures = {
    ticketsPerS: Math.round(done / (elapsedMs / 1_000)),
    redisUsPerTicket: redisUs / done,
    turnsPerTicket: total(({ turns }) => turns) / done,
    opsPerTicket: total(({ ops }) => [...ops.values()].reduce((sum, times) => sum + times, 0)) / done,
    grantsPerTicket: total(({ grants }) => grants) / done,
    offersPerTicket: total(({ offers }) => offers) / done,
    mailedPerTicket: total(({ mailed }) => mailed) / done,
    lapsedPercent:
      (100 * total(({ lapsed }) => lapsed)) /
      Math.max(
        1,
        total(({ offers }) => offers),
      ),
    /** Of the time of a slot, what nobody used. */
    idleMsPerTicket: (slots * elapsedMs - done * holdMs) / done,
    sameOwnerP50Ms: quantile(handOvers.sameMs, 0.5),
    otherOwnerP50Ms: quantile(handOvers.otherMs, 0.5),
    otherOwnerP99Ms: quantile(handOvers.otherMs, 0.99),
  };
  await Promise.all(owners.map((owner) => owner.close()));
  return figures;
}

/** What an assigner of its own would add to each ticket that waits. */
async function hop(rig: Rig, pool: string) {
  const asker = await openOwner(rig, pool, 'asker');
  const subscriber = createRedis({ url: rig.url, purpose: 'subscriber', log });
  await subscriber.subscribe('bench-hop');
  const times = 500;
  const [before, startAt] = [await cpuUs(rig.client), performance.now()];
  for (let time = 0; time < times; time += 1) {
    const heard = new Promise((resolve) => subscriber.once('message', resolve));
    await rig.client.publish('bench-hop', 'x');
    await heard;
    await asker.order.outcomes([]);
    await asker.order.overdue(1);
  }
  const [after, endAt] = [await cpuUs(rig.client), performance.now()];
  subscriber.disconnect();
  await asker.close();
  return { hopRedisUs: (after - before) / times, hopMs: (endAt - startAt) / times };
}

/** Everything waits before the first slot opens. */
async function burst(rig: Rig, pool: string) {
  const owners = await Promise.all([0, 1].map((index) => openOwner(rig, pool, `gw-${index}`)));
  const running = new Map<string, number>();
  let most = 0;
  const run = async (lease: Lease): Promise<void> => {
    const now = (running.get(lease.endpointId) ?? 0) + 1;
    running.set(lease.endpointId, now);
    most = Math.max(most, now);
    await systemClock.sleep(1);
    running.set(lease.endpointId, (running.get(lease.endpointId) ?? 0) - 1);
    await lease.settle(DONE);
  };
  const enter = async (call: number): Promise<void> => {
    const entry = await owners[call % 2]!.order.enter(spec(`burst-${call}`), { rank, signal: forever });
    if (entry.kind !== 'run') throw new Error(entry.kind);
    await run(entry.lease);
  };
  const waiting = async (): Promise<number> => (await owners[0]!.order.snapshot()).objectives[0]?.waitingHeld ?? 0;
  const calls: Promise<void>[] = [];
  // In waves: an admission that Redis does not answer within two seconds is refused.
  while (calls.length < BURST) {
    calls.push(...Array.from({ length: WAVE }, (_, index) => enter(calls.length + index)));
    while ((await waiting()) < calls.length) await systemClock.sleep(10);
  }
  const [before, startAt] = [await cpuUs(rig.client), performance.now()];
  const perEndpoint = slots / ENDPOINTS.length;
  await owners[0]!.order.setEndpoints(ENDPOINTS.map((id) => ({ id, slots: perEndpoint, adapters: null })));
  await Promise.all(calls);
  const elapsedMs = performance.now() - startAt;
  const redisUs = (await cpuUs(rig.client)) - before;
  await Promise.all(owners.map((owner) => owner.close()));
  if (most > perEndpoint) throw new Error(`${most} ran at once on an endpoint with ${perEndpoint} slots`);
  return { burstMs: elapsedMs, burstRedisUsPerTicket: redisUs / BURST, mostAtOnce: most };
}

type Figures = Record<string, number>;

/** Medians of the rounds. */
function middle(all: readonly Figures[]): Figures {
  const names = Object.keys(all[0] ?? {});
  return Object.fromEntries(
    names.map((name) => [name, Number(median(all.map((one) => one[name] ?? Number.NaN)).toFixed(2))]),
  );
}

async function main(rig: Rig): Promise<void> {
  const about = circumstances(await redisVersion(rig.client));
  const byOwners = new Map<number, Figures[]>();
  const hops: Figures[] = [];
  const bursts: Figures[] = [];
  const run = `${Date.now()}`;
  for (let round = 0; round < rounds; round += 1) {
    for (const count of OWNERS) {
      const figures = await saturate(rig, `${run}/${round}-${count}`, count);
      byOwners.set(count, [...(byOwners.get(count) ?? []), figures]);
    }
    hops.push(await hop(rig, `${run}/${round}-hop`));
    bursts.push(await burst(rig, `${run}/${round}-burst`));
  }
  const one = byOwners.get(1) ?? [];
  const owners = Object.fromEntries([...byOwners].map(([count, all]) => [count, middle(all)]));
  const ratios = [...byOwners].map(([count, all]) => [
    count,
    spreadOf(
      all.map((figures, round) => (figures['redisUsPerTicket'] ?? 0) / (one[round]?.['redisUsPerTicket'] ?? 1)),
      2,
    ),
  ]);
  const result = {
    bench: 'replicas',
    ...about,
    ...{ seconds, rounds, slots, callers, holdMs },
    owners,
    /** Redis CPU of a ticket with so many owners against one owner. */
    redisRatio: Object.fromEntries(ratios) as unknown,
    hop: middle(hops),
    burst: middle(bursts),
  };
  console.table(owners);
  console.log(JSON.stringify({ redisRatio: result.redisRatio, hop: result.hop, burst: result.burst }));
  if (flags.save !== undefined) console.log(saveResult(flags.save, result));
}

const dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
const server =
  flags.redis === ''
    ? await resolveRedis({ dataDir, persistence: 'none', lifetime: 'with-process' }, AbortSignal.timeout(60_000))
    : null;
const url = server?.url ?? flags.redis;
const client = createRedis({ url, purpose: 'command', log });
try {
  await whenReady(client, 10_000);
  await main({ url, client });
} finally {
  client.disconnect();
  await server?.stop();
  await rm(dataDir, { recursive: true, force: true });
}
