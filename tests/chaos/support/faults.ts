import { setTimeout as sleep } from 'node:timers/promises';
import { seededRandom } from '../../../src/core/random.ts';
import type { Pod } from '../../cluster/support/kubelet/objects.ts';
import { brownOut, type Mishap } from '../../support/flaky-proxy.ts';
import { commandLine, descendants } from '../../support/processes.ts';
import { ENGINE_PORT } from './engine-fronts.ts';
import type { Member } from './member.ts';
import { type FaultKind, type Lane, type PlannedFault, pick } from './schedule.ts';
import type { Hole } from './tcp-proxy.ts';
import type { World } from './world.ts';

/** Something that happened, by this machine's clock, its recovery included. */
export interface Happened {
  readonly lane: Lane;
  readonly kind: FaultKind;
  /** Whom it befell. */
  readonly whom: string;
  readonly fromEpochMs: number;
  readonly toEpochMs: number;
}

/** Says whom it befell. */
type Fault = (world: World, planned: PlannedFault) => Promise<string>;

const LINK_DELAY_MS = 120;
const CLOCK_STEPS_MS = [-3_600_000, -30_000, 30_000, 3_600_000];

export async function happen(world: World, planned: PlannedFault): Promise<Happened> {
  const fromEpochMs = Date.now();
  const whom = await HOW[planned.kind](world, planned);
  return { lane: planned.lane, kind: planned.kind, whom, fromEpochMs, toEpochMs: Date.now() };
}

const HOW: Readonly<Record<FaultKind, Fault>> = {
  'kill gateway': (world, planned) => killed(pick(world.gateways, planned.target), planned),
  'freeze gateway': (world, planned) => frozen(pick(world.gateways, planned.target), planned),
  'freeze gateway long': (world, planned) => frozen(pick(world.gateways, planned.target), planned),
  'step clock of gateway': (world, planned) => stepped(pick(world.gateways, planned.target), planned),
  async 'stop gateway'(world, { target }) {
    const member = pick(world.gateways, target);
    await member.stop();
    await member.start();
    return member.name;
  },

  'kill controller': (world, planned) => killed(pick(world.controllers, planned.target), planned),
  'freeze controller': (world, planned) => frozen(pick(world.controllers, planned.target), planned),
  'step clock of controller': (world, planned) => stepped(pick(world.controllers, planned.target), planned),

  'kill engine': (world, planned) =>
    ofAnEngine(world, planned, (pod) => {
      world.namespace.kubelet.crash(pod);
      return Promise.resolve();
    }),
  'freeze engine': (world, planned) =>
    ofAnEngine(world, planned, async (pod) => {
      const pids = await processesOf(pod);
      for (const pid of pids) signal(pid, 'SIGSTOP');
      await sleep(planned.forMs).finally(() => pids.forEach((pid) => signal(pid, 'SIGCONT')));
    }),
  'engines die in mid-stream': (world, planned) => told(world, planned, { kind: 'disconnect' }),
  'engine fails in mid-stream': (world, planned) => told(world, planned, { kind: 'error' }),
  'cut engines'({ engines }) {
    engines.cut();
    return Promise.resolve('all');
  },
  'black hole to engines': (world, planned) => holed(world.engines, 'to_server', planned),
  'black hole from engines': (world, planned) => holed(world.engines, 'to_client', planned),
  'slow engines': (world, planned) =>
    ofAnEngine(world, planned, async (pod) => {
      await faultsOf(pod, 'POST', { slowFactor: 8 });
      await sleep(planned.forMs);
      await faultsOf(pod, 'POST', { slowFactor: 1 });
    }),

  async 'restart Redis'({ redis }) {
    const { process, port } = redis.primary;
    await process.kill();
    process.start();
    await redis.untilWhole();
    return `primary ${port}`;
  },
  async 'fail over'({ redis }) {
    const { process, port } = redis.primary;
    await process.kill();
    await redis.untilOther(port);
    await redis.untilWhole();
    return `primary ${port}`;
  },
  async 'fail over behind'({ redis }, { forMs }) {
    const { process, port } = redis.primary;
    await redis.holdReplication();
    await sleep(forMs);
    await process.kill();
    await redis.untilOther(port);
    await redis.untilWhole();
    return `primary ${port}`;
  },
  async 'freeze Redis'({ redis }, { forMs }) {
    const { process, port } = redis.primary;
    process.freeze();
    await sleep(forMs).finally(() => process.resume());
    await redis.untilWhole('of sentinels');
    return `primary ${port}`;
  },
  'cut Redis'({ redis }) {
    redis.cut();
    return Promise.resolve('all connections');
  },
  async 'black hole to Redis'(world, planned) {
    const whom = await holed(world.redis, 'to_server', planned);
    await world.redis.untilWhole('of sentinels');
    return whom;
  },
  async 'black hole from Redis'(world, planned) {
    const whom = await holed(world.redis, 'to_client', planned);
    await world.redis.untilWhole('of sentinels');
    return whom;
  },
  async 'slow Redis'({ redis }, { forMs }) {
    redis.delay(LINK_DELAY_MS);
    await sleep(forMs);
    await redis.untilWhole();
    return 'all connections';
  },
  async 'kill replica'({ redis }, { forMs }) {
    const { process, port } = redis.replica;
    await process.kill();
    await sleep(forMs);
    await redis.untilWhole();
    return `replica ${port}`;
  },
  async 'kill sentinel'({ redis }, { forMs, target }) {
    const index = Math.floor(target * redis.sentinels);
    await redis.sentinel(index).kill();
    await sleep(forMs);
    await redis.untilWhole();
    return `sentinel ${index}`;
  },

  'store fails': ({ s3 }, { forMs, seed }) => whileStoreIs(s3, forMs, brownOut(0.5, seed)),
  'store is silent': ({ s3 }, { forMs, seed }) => whileStoreIs(s3, forMs, brownOut(0.3, seed, ['silent', 'stall'])),
  'store is full': ({ s3 }, { forMs }) => whileStoreIs(s3, forMs, ({ method }) => refusedWrite(method)),
  async 'store is slow'({ storeLink }, { forMs }) {
    storeLink.delayMs = LINK_DELAY_MS * 4;
    await sleep(forMs);
    storeLink.delayMs = 0;
    return 'all connections';
  },
};

async function killed(member: Member, { forMs }: PlannedFault): Promise<string> {
  await member.kill();
  await sleep(forMs);
  await member.start();
  return member.name;
}

async function frozen(member: Member, { forMs }: PlannedFault): Promise<string> {
  member.freeze();
  await sleep(forMs).finally(() => member.resume());
  return member.name;
}

/** And back, which is a step as well. */
async function stepped(member: Member, { forMs, seed }: PlannedFault): Promise<string> {
  const aheadMs = CLOCK_STEPS_MS[seed % CLOCK_STEPS_MS.length] ?? 0;
  await member.stepClock(aheadMs);
  await sleep(forMs);
  await member.stepClock(0);
  return `${member.name} by ${aheadMs / 1_000} s`;
}

async function holed(link: { hole(hole: Hole): void }, hole: Hole, { forMs }: PlannedFault): Promise<string> {
  link.hole(hole);
  await sleep(forMs).finally(() => link.hole('none'));
  return 'all connections';
}

async function whileStoreIs(
  s3: World['s3'],
  forMs: number,
  decide: (request: { readonly method: string }) => Mishap,
): Promise<string> {
  s3.misbehave(decide);
  await sleep(forMs).finally(() => s3.misbehave(() => 'pass'));
  return 'all requests';
}

/** What a full bucket or disk does: reads go on. */
function refusedWrite(method: string): Mishap {
  return method === 'PUT' || method === 'POST' ? 'over_quota' : 'pass';
}

/** One of those that listen; nothing happens when the pool is at zero. */
async function ofAnEngine(world: World, { target }: PlannedFault, act: (pod: Pod) => Promise<void>): Promise<string> {
  const pods = (await world.namespace.pods('app=chat').catch(() => [])) as unknown as readonly Pod[];
  const listening = pods.filter(({ status }) => status?.podIP !== undefined);
  if (listening.length === 0) return 'nobody: the pool is at zero';
  const pod = pick(listening, target);
  await act(pod);
  return pod.metadata.name;
}

/** A few of its next calls break after some tokens. */
function told(world: World, planned: PlannedFault, { kind }: { readonly kind: string }): Promise<string> {
  const random = seededRandom(planned.seed);
  const calls = Array.from({ length: 3 }, () => ({ kind, afterTokens: Math.floor(random.next() * 8) }));
  return ofAnEngine(world, planned, (pod) => faultsOf(pod, 'POST', { calls }));
}

/** One that has just died cannot be told anything. */
async function faultsOf(pod: Pod, method: string, faults: unknown): Promise<void> {
  const host = pod.status?.podIP ?? '';
  const url = `http://${host}:${ENGINE_PORT}/sim/faults`;
  await fetch(url, { method, body: JSON.stringify(faults), signal: AbortSignal.timeout(2_000) }).catch(() => undefined);
}

/** Processes that serve the pod: those that have its address among their arguments. */
async function processesOf(pod: Pod): Promise<readonly number[]> {
  const host = `--host=${pod.status?.podIP ?? 'none'}`;
  const pids = await descendants(process.pid);
  const found = await Promise.all(pids.map(async (pid) => ((await commandLine(pid)).includes(host) ? [pid] : [])));
  return found.flat();
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended meanwhile.
  }
}
