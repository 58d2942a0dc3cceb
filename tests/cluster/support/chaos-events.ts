import { setTimeout as sleep } from 'node:timers/promises';
import { KubeApiError, type KubeObject } from '../../../src/core/kubernetes.ts';
import type { Random } from '../../../src/core/random.ts';
import type { DedicatedRedis } from '../../support/redis.ts';
import type { Cluster } from './cluster.ts';
import { eventually } from './eventually.ts';
import type { TestNamespace } from './namespace.ts';
import type { Pilotlight } from './pilotlight.ts';

/** What happens to the installation while it works. */
export const CHAOS = [
  'kill the leader',
  'stop the leader',
  'replace a gateway',
  'kill a gateway',
  'kill the gateway with jobs',
  'crash an engine',
  'crash all engines',
  'delete a pod',
  'restart the API server',
  'restart Redis',
  'roll out a template',
  'scale by hand',
] as const;
export type ChaosKind = (typeof CHAOS)[number];

export interface Planned {
  readonly atMs: number;
  readonly kind: ChaosKind;
}

/** Something that happened, by the clock of `performance.now()`. */
export interface Happened {
  readonly kind: ChaosKind;
  readonly fromMs: number;
  readonly toMs: number;
  /** Process ids of gateways that were killed. */
  readonly killed: readonly number[];
}

const FIRST_MS = 3_000;
const GAP_MS = { least: 1_500, spread: 4_500 };
/** A scale by hand is respected for 10 minutes, so it comes last. */
const LAST: ChaosKind = 'scale by hand';

/** Each kind in turn in a random order, again and again, at random times. */
export function planChaos(random: Random, forMs: number): readonly Planned[] {
  const planned: Planned[] = [];
  let round: ChaosKind[] = [];
  for (let atMs = FIRST_MS; atMs < forMs; atMs += GAP_MS.least + random.next() * GAP_MS.spread) {
    if (round.length === 0) round = shuffled(CHAOS, random).filter((kind) => kind !== LAST);
    planned.push({ atMs, kind: round.pop() ?? LAST });
  }
  if (random.next() < 0.5) planned.push({ atMs: forMs, kind: LAST });
  return planned;
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  return items
    .map((item) => ({ item, order: random.next() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

export interface ChaosWorld {
  readonly cluster: Cluster;
  readonly namespace: TestNamespace;
  readonly redis: DedicatedRedis;
  readonly random: Random;
  readonly maxReplicas: number;
  /** Replicas that a person has asked for. */
  byHand: number | null;
  /** The gateway without jobs; replaced and killed. */
  spare: Pilotlight;
  readonly startSpare: () => Promise<Pilotlight>;
  /** The gateway with jobs. */
  keeper: Pilotlight;
  /** On the jobs of the one before. */
  readonly startKeeper: () => Promise<Pilotlight>;
  readonly controllers: Pilotlight[];
  readonly startController: () => Promise<Pilotlight>;
}

/** Lets one thing happen; returns when it is over. */
export async function happen(world: ChaosWorld, kind: ChaosKind): Promise<Happened> {
  const fromMs = performance.now();
  const killed = (await HOW[kind](world)) ?? [];
  return { kind, fromMs, toMs: performance.now(), killed };
}

const HOW: Readonly<Record<ChaosKind, (world: ChaosWorld) => Promise<readonly number[] | undefined>>> = {
  async 'kill the leader'(world) {
    const leader = await leaderOf(world);
    await leader.kill();
    world.controllers.splice(world.controllers.indexOf(leader), 1, await world.startController());
    return undefined;
  },
  async 'stop the leader'(world) {
    const leader = await leaderOf(world);
    await endedWell(leader);
    world.controllers.splice(world.controllers.indexOf(leader), 1, await world.startController());
    return undefined;
  },
  async 'replace a gateway'(world) {
    const old = world.spare;
    world.spare = await world.startSpare();
    await endedWell(old);
    return undefined;
  },
  async 'kill a gateway'(world) {
    const old = world.spare;
    world.spare = await world.startSpare();
    await old.kill();
    return [old.pid];
  },
  async 'kill the gateway with jobs'(world) {
    const { keeper } = world;
    await keeper.kill();
    world.keeper = await world.startKeeper();
    return [keeper.pid];
  },
  async 'crash an engine'({ namespace, random }) {
    const pods = await namespace.pods('app=chat').catch(() => []);
    const pod = pods[Math.floor(random.next() * pods.length)];
    if (pod) namespace.kubelet.crash(pod);
    return undefined;
  },
  async 'crash all engines'({ namespace }) {
    for (const pod of await namespace.pods('app=chat')) namespace.kubelet.crash(pod);
    return undefined;
  },
  async 'delete a pod'({ namespace, random }) {
    const pods = await namespace.pods('app=chat');
    const pod = pods[Math.floor(random.next() * pods.length)];
    if (pod) await namespace.cluster.remove([{ ...pod, apiVersion: 'v1', kind: 'Pod' }]);
    return undefined;
  },
  async 'restart the API server'({ cluster, random }) {
    await cluster.stopApiServer('at once');
    await sleep(random.next() * 5_000);
    await cluster.startApiServer();
    return undefined;
  },
  async 'restart Redis'({ redis, random }) {
    await redis.kill();
    await sleep(random.next() * 3_000);
    await redis.restart();
    return undefined;
  },
  async 'roll out a template'({ namespace, random }) {
    const path = `/apis/apps/v1/namespaces/${namespace.name}/deployments/chat`;
    const annotations = { 'kubectl.kubernetes.io/restartedAt': `${random.next()}` };
    const body = { spec: { template: { metadata: { annotations } } } };
    await namespace.cluster.api.request({ method: 'PATCH', path, patch: 'merge', body });
    return undefined;
  },
  async 'scale by hand'(world) {
    world.byHand = await scaleByHand(world);
    return undefined;
  },
};

/** To another number than it is: one that changes nothing leaves no trace for anybody. */
async function scaleByHand({ namespace, maxReplicas }: ChaosWorld): Promise<number> {
  const path = `/apis/apps/v1/namespaces/${namespace.name}/deployments/chat/scale`;
  const { api } = namespace.cluster;
  let wanted = 0;
  const isDone = async () => {
    const scale = (await api.request({ method: 'GET', path })) as KubeObject & { spec: { replicas?: number } };
    wanted = scale.spec.replicas === maxReplicas ? maxReplicas - 1 : maxReplicas;
    const body = { metadata: { resourceVersion: scale.metadata.resourceVersion }, spec: { replicas: wanted } };
    const query = { fieldManager: 'kubectl' };
    return (await orConflict(api.request({ method: 'PATCH', path, patch: 'merge', query, body }))) !== null;
  };
  await eventually(isDone, 'it was scaled by hand');
  return wanted;
}

/** Null when somebody else was faster. */
async function orConflict(request: Promise<unknown>): Promise<unknown> {
  return request.catch((error: unknown) => {
    if (error instanceof KubeApiError && error.status === 409) return null;
    throw error;
  });
}

async function endedWell(one: Pilotlight): Promise<void> {
  const code = await one.stop();
  if (code !== 0) throw new Error(`${one.identity} was told to stop and ended with ${code}\n${await one.log()}`);
}

/** The controller that holds the Lease. */
async function leaderOf({ namespace, controllers }: ChaosWorld): Promise<Pilotlight> {
  let leader: Pilotlight | undefined;
  await eventually(async () => {
    const lease = await namespace.get('coordination.k8s.io/v1', 'Lease', `pilotlight-${namespace.name}`);
    const holder = (lease?.spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? '';
    leader = controllers.find(({ identity }) => holder.startsWith(identity));
    return leader !== undefined;
  }, 'a living controller leads');
  if (!leader) throw new Error('unreachable');
  return leader;
}
