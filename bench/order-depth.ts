/**
 * The depth of the live order: what a turn costs when 100,000 tickets wait, beside the same turn when a few do.
 *
 * Two pools on one Redis, one owner, one endpoint with all its slots taken: the full order has `--tickets` waiting
 * tickets in `--objectives` objectives of `--bands` priorities and `--tenants` tenants, the other as many as it takes to never run
 * dry. Rounds alternate between them. In each, again and again, a call ends (its slot goes to the ticket that it is owed to: an
 * assign) and another is let in behind all that wait (an admission), one turn each. Redis' own CPU time for the two says
 * what the order costs; latency is told of each beside a PING. Commands and bytes are those of Redis' own counters.
 *
 * Usage: node bench/order-depth.ts [--tickets 100000] [--turns 2000] [--rounds 5] [--redis URL] [--json]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as hdr from 'hdr-histogram-js';
import type { Redis } from 'ioredis';
import { asError } from '../src/core/errors.ts';
import { resolveRedis } from '../src/platform/local-redis/resolve.ts';
import { createRedis } from '../src/platform/redis/connection.ts';
import { RedisLedgerStore } from '../src/queue/adapters/ledger/redis-ledger-store.ts';
import { DEFAULT_TIMING } from '../src/queue/live-order/pool-live-order.ts';
import type { AdmitOp, LedgerOp, TurnResult } from '../src/queue/policy/ledger/ops.ts';
import { median, showSpread, spreadOf } from './support/statistics.ts';

const { values: flags } = parseArgs({
  options: {
    tickets: { type: 'string', default: '100000' },
    objectives: { type: 'string', default: '50' },
    bands: { type: 'string', default: '5' },
    tenants: { type: 'string', default: '1000' },
    slots: { type: 'string', default: '64' },
    turns: { type: 'string', default: '2000' },
    rounds: { type: 'string', default: '5' },
    /** Default: a throw-away server of its own. */
    redis: { type: 'string', default: process.env.PILOTLIGHT_REDIS_URL ?? '' },
    json: { type: 'boolean', default: false },
  },
});
const [tickets, objectives, bands, tenants, slots, turns, rounds] = [
  ...[flags.tickets, flags.objectives, flags.bands, flags.tenants, flags.slots, flags.turns, flags.rounds].map(Number),
] as [number, number, number, number, number, number, number];
const quiet = () => undefined;
const log = { debug: quiet, info: quiet, warn: console.error, error: console.error, child: () => log };
const OWNER = 'gw-bench-0123456789ab';
const ENDPOINT = 'pod-a';
const FILL_PER_TURN = 250;
/** Waiting tickets of the order that counts as empty. */
const FEW = 8;
const LIMITS = {
  poolMaxRequests: 1e7,
  poolMaxBytes: 1e13,
  shedAtPercent: 100,
  objectiveMaxRequests: 1e7,
  objectiveMaxBytes: 1e13,
};

/** Ids of the length that requests have. */
function admission(serial: number): AdmitOp {
  const objective = serial % objectives;
  return {
    op: 'admit',
    id: `req_${String(serial).padStart(26, '0')}`,
    kind: 'held',
    objective: `objective-${objective}`,
    priority: 10 * (objective % bands),
    fairnessId: `tenant-${Math.floor(serial / objectives) % tenants}`,
    weight: 1 + (serial % 3),
    classKey: '',
    bytes: 1_200,
    costTokens: 400 + (serial % 800),
    expiresAtMs: Date.now() + 3_600_000,
    arrivedAtMs: 0,
    limits: LIMITS,
    ranking: [ENDPOINT],
  };
}

/** One pool: every slot is taken, and so many tickets wait. */
class Order {
  readonly #store: RedisLedgerStore;
  readonly #running: { id: string; token: string }[] = [];
  #incarnation = '';
  #serial = 0;

  constructor(store: RedisLedgerStore) {
    this.#store = store;
  }

  async open(waiting: number): Promise<void> {
    const runId = await this.#store.runId();
    const open: LedgerOp = {
      op: 'open',
      runId,
      previous: '',
      executes: true,
      timing: { ...DEFAULT_TIMING, deadOwnerMs: 3_600_000 },
    };
    const opened = await this.#exec([open]);
    const [reply] = opened.replies;
    if (reply?.kind !== 'opened') throw new Error('the ledger did not open');
    this.#incarnation = reply.incarnation;
    await this.#exec([{ op: 'setEndpoints', endpoints: [{ id: ENDPOINT, slots }] }]);
    for (let left = slots + waiting; left > 0; left -= FILL_PER_TURN) {
      await this.#exec(Array.from({ length: Math.min(left, FILL_PER_TURN) }, () => admission((this.#serial += 1))));
    }
  }

  /** A call ends; whose turn it is runs. */
  async end(): Promise<void> {
    const [ended] = this.#running.splice(0, 1);
    if (ended === undefined) throw new Error('nothing runs');
    const { grants } = await this.#exec([{ op: 'finish', ...ended }]);
    if (grants.length !== 1) throw new Error('the free slot went to nobody');
  }

  async admit(): Promise<void> {
    const { replies } = await this.#exec([admission((this.#serial += 1))]);
    if (replies[0]?.kind !== 'queued') throw new Error(`expected to wait, got ${JSON.stringify(replies[0])}`);
  }

  async #exec(ops: LedgerOp[]): Promise<Extract<TurnResult, { kind: 'turned' }>> {
    const result = await this.#store.exec({ owner: OWNER, incarnation: this.#incarnation, reach: [ENDPOINT], ops });
    if (result.kind === 'stale') throw new Error('stale');
    result.replies.forEach((reply, index) => {
      const op = ops[index];
      if (reply.kind === 'error') throw new Error(reply.message);
      if (reply.kind === 'run' && op?.op === 'admit' && 'tag' in reply) {
        this.#running.push({ id: op.id, token: reply.token });
      }
    });
    for (const { id, token } of result.grants) this.#running.push({ id, token });
    return result;
  }
}

interface Measured {
  readonly redisUs: number;
  readonly commands: number;
  readonly bytes: number;
  readonly assignP50Us: number;
  readonly assignP99Us: number;
  readonly admitP50Us: number;
  readonly admitP99Us: number;
}

/** What both turns cost Redis, and the latency of each. */
async function measure(client: Redis, assign: () => Promise<void>, admit: () => Promise<void>): Promise<Measured> {
  const assigns = histogram();
  const admits = histogram();
  const before = await counters(client);
  for (let turn = 0; turn < turns; turn += 1) {
    await timed(assigns, assign);
    await timed(admits, admit);
  }
  const after = await counters(client);
  return {
    redisUs: (after.cpuUs - before.cpuUs) / turns,
    commands: (after.commands - before.commands) / turns,
    bytes: (after.bytes - before.bytes) / turns,
    assignP50Us: assigns.getValueAtPercentile(50),
    assignP99Us: assigns.getValueAtPercentile(99),
    admitP50Us: admits.getValueAtPercentile(50),
    admitP99Us: admits.getValueAtPercentile(99),
  };
}

const histogram = () => hdr.build({ lowestDiscernibleValue: 1, highestTrackableValue: 10_000_000 });

async function timed(into: hdr.Histogram, call: () => Promise<void>): Promise<void> {
  const sentAt = performance.now();
  await call();
  into.recordValue(Math.round((performance.now() - sentAt) * 1_000));
}

async function counters(client: Redis): Promise<{ cpuUs: number; commands: number; bytes: number }> {
  const [info, calls] = await Promise.all([client.info(), client.info('commandstats')]);
  const read = (name: string) => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1] ?? 0);
  const commands = [...calls.matchAll(/calls=(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  return {
    cpuUs: (read('used_cpu_user') + read('used_cpu_sys')) * 1e6,
    commands,
    bytes: read('total_net_input_bytes') + read('total_net_output_bytes'),
  };
}

async function usedMemory(client: Redis): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1] ?? 0);
}

function summary(measured: readonly Measured[]): Record<keyof Measured, number> {
  const of = (field: keyof Measured) => Number(median(measured.map((each) => each[field])).toFixed(1));
  return {
    ...{ redisUs: of('redisUs'), commands: of('commands'), bytes: of('bytes') },
    ...{ assignP50Us: of('assignP50Us'), assignP99Us: of('assignP99Us') },
    ...{ admitP50Us: of('admitP50Us'), admitP99Us: of('admitP99Us') },
  };
}

async function connect(purpose: 'command' | 'subscriber'): Promise<Redis> {
  const client = createRedis({ url: flags.redis, purpose, log });
  await new Promise((resolve) => client.once('ready', resolve));
  return client;
}

async function main(): Promise<void> {
  const command = await connect('command');
  const subscriber = await connect('subscriber');
  const orderOf = (pool: string) =>
    new Order(new RedisLedgerStore({ command, subscriber, keyPrefix: 'bench:', installation: 'bench', pool }));
  const run = `run-${Date.now()}`;
  const [shallow, deep] = [orderOf(`${run}/shallow`), orderOf(`${run}/deep`)];
  await shallow.open(FEW);
  const memoryBefore = await usedMemory(command);
  await deep.open(tickets);
  const bytesPerTicket = ((await usedMemory(command)) - memoryBefore) / tickets;
  const kept = { shallow: [] as Measured[], deep: [] as Measured[], ping: [] as Measured[] };
  const ping = async () => {
    await command.ping();
  };
  const pair = (order: Order) =>
    measure(
      command,
      () => order.end(),
      () => order.admit(),
    );
  await pair(shallow);
  for (let round = 0; round < rounds; round += 1) {
    for (const which of round % 2 === 0 ? (['shallow', 'deep'] as const) : (['deep', 'shallow'] as const)) {
      kept[which].push(await pair(which === 'deep' ? deep : shallow));
    }
    kept.ping.push(await measure(command, ping, ping));
  }
  const ratio = (field: keyof Measured) =>
    spreadOf(
      kept.deep.map((each, index) => each[field] / (kept.shallow[index]?.[field] ?? Number.NaN)),
      2,
    );
  const result = {
    bench: 'order-depth',
    node: process.version,
    ...{ tickets, objectives, bands, tenants, slots, turns, rounds },
    ...{ shallow: summary(kept.shallow), deep: summary(kept.deep), ping: summary(kept.ping) },
    redisRatio: ratio('redisUs'),
    assignP50Ratio: ratio('assignP50Us'),
    assignP99Ratio: ratio('assignP99Us'),
    bytesPerTicket: Math.round(bytesPerTicket),
  };
  if (!flags.json) {
    console.table({ [`${FEW} wait`]: result.shallow, [`${tickets} wait`]: result.deep, PING: result.ping });
    console.log(`Redis CPU time, full order over empty: ${showSpread(result.redisRatio)}`);
    console.log(`assign p99, full order over empty: ${showSpread(result.assignP99Ratio)}`);
    console.log(`Redis memory: ${result.bytesPerTicket} bytes a waiting ticket`);
  }
  console.log(JSON.stringify(result));
  command.disconnect();
  subscriber.disconnect();
}

/** Runs the bench on the given Redis, or on one of its own that ends with it. */
async function mainWithRedis(): Promise<void> {
  if (flags.redis !== '') return main();
  const dataDir = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
  const server = await resolveRedis(
    { dataDir, persistence: 'none', lifetime: 'with-process' },
    AbortSignal.timeout(60_000),
  );
  flags.redis = server.url;
  try {
    await main();
  } finally {
    await server.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

await mainWithRedis().catch((thrown: unknown) => {
  console.error(asError(thrown));
  process.exit(1);
});
