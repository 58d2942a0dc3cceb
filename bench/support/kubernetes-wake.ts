import { Redis } from 'ioredis';
import type { KubeObject } from '../../src/core/kubernetes.ts';
import { chatBody } from './chat.ts';
import { HttpConnection, postRequest } from './http-connection.ts';
import { readScalePatches, type ScalePatch } from './audit-log.ts';
import { deployment, poolObjects } from './kubernetes-objects.ts';
import type { ClusterRole, KubernetesRig, Serving } from './kubernetes-rig.ts';
import { foreignRatio, machineCpu } from './quiet.ts';
import { ScaleWatch } from './scale-watch.ts';
import { wallClock } from './wall-clock.ts';

/** What is measured: a gateway and a controller, one process of role `all`, and nothing but the two requests. */
export type WakeTarget = 'split' | 'all' | 'bare';
export const WAKE_TARGETS: readonly WakeTarget[] = ['bare', 'split', 'all'];

/** One wake-up, milliseconds since its request was sent. The API server's stamps, but for `seen`. */
export interface Wake {
  readonly target: WakeTarget;
  /** A watch of the bench heard that the pool has work; NaN of `bare`. */
  readonly hinted: number;
  /** The patch that was stored came in. */
  readonly received: number;
  readonly stored: number;
  /** A watch of the bench showed the new number. */
  readonly seen: number;
  /** Patches before it that met a conflict. */
  readonly conflicts: number;
  /** Share of the machine that was busy just before. */
  readonly busyBefore: number;
}

export interface WakeOptions {
  readonly wakes: number;
  readonly pools: number;
  /** For the process that scales. */
  readonly nodeFlags: readonly string[];
  readonly onProgress: (done: number) => void;
}

const BARE = 'bench-bare';
const ROLES: Readonly<Record<'split' | 'all', readonly ClusterRole[]>> = {
  split: ['controller', 'gateway'],
  all: ['all'],
};
/** A pool rests so long at zero, more than the 2 s between two reads of a workload whose pods come and go. */
const REST_MS = 3_000;
const CALM_LOOK_MS = 100;
const CALM_RATIO = 0.3;
const CALM_WITHIN_MS = 600;
const ASLEEP_WITHIN_MS = 60_000;
const LOOK_MS = 100;

interface Side {
  readonly target: WakeTarget;
  readonly namespace: string;
  readonly servings: readonly Serving[];
  /** What wakes the pool, ready to be sent. */
  prepare(name: string): Trigger;
}

interface Trigger {
  /** `failed` is told what came instead of a wake-up. */
  send(failed: (error: Error) => void): void;
  /** The pool may sleep again. */
  takeBack(): void;
}

interface Sent extends Pick<Wake, 'target' | 'hinted' | 'seen' | 'busyBefore'> {
  readonly namespace: string;
  readonly name: string;
  readonly sentAtEpochMs: number;
}

/** Wakes pools of each target in turn, each pool after a rest at zero. Their pods never get a node. */
export async function measureWakes(rig: KubernetesRig, options: WakeOptions): Promise<readonly Wake[]> {
  const names = Array.from({ length: options.pools }, (_, index) => `pool-${index}`);
  const sides = [await openBare(rig, names), ...(await openPilotlights(rig, names, options))];
  const watch = await ScaleWatch.open(rig.cluster);
  const hints = await HintWatch.open(rig);
  try {
    for (const side of sides) await wakeOnce({ side, name: names[0] ?? '', watch, hints });
    const sent: Sent[] = [];
    for (let index = 0; index < options.wakes; index += 1) {
      const name = names[(index + 1) % names.length] ?? '';
      // In alternating order.
      for (const side of index % 2 === 0 ? sides : sides.toReversed()) {
        sent.push(await wakeOnce({ side, name, watch, hints }));
      }
      options.onProgress(index + 1);
    }
    const patches = await readScalePatches(rig.folder);
    return sent.map((each) => withPatches(each, patches));
  } finally {
    hints.close();
    watch.close();
  }
}

async function openBare({ cluster }: KubernetesRig, names: readonly string[]): Promise<Side> {
  const path = (name: string): string => `/apis/apps/v1/namespaces/${BARE}/deployments/${name}/scale`;
  const patch = (name: string, body: object): Promise<unknown> =>
    cluster.api.request({ method: 'PATCH', path: path(name), patch: 'merge', body });
  const raise = async (name: string): Promise<void> => {
    const { metadata } = (await cluster.api.request({ method: 'GET', path: path(name) })) as KubeObject;
    await patch(name, { metadata: { resourceVersion: metadata.resourceVersion }, spec: { replicas: 1 } });
  };
  await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: BARE } }]);
  await cluster.apply(
    names.map((name) => deployment(name, 0)),
    BARE,
  );
  return {
    target: 'bare',
    namespace: BARE,
    servings: [],
    prepare: (name) => ({
      send: (failed) => void raise(name).catch(failed),
      takeBack: () => void patch(name, { spec: { replicas: 0 } }),
    }),
  };
}

async function openPilotlights(rig: KubernetesRig, names: readonly string[], options: WakeOptions): Promise<Side[]> {
  const sides: Side[] = [];
  for (const target of ['split', 'all'] as const) {
    const namespace = `bench-${target}`;
    await rig.addNamespace(namespace);
    const pools = names.flatMap((name) => poolObjects({ name, minReplicas: 0, maxReplicas: 1, port: 8000 }));
    await rig.cluster.apply(pools, namespace);
    const servings: Serving[] = [];
    for (const role of ROLES[target])
      servings.push(await rig.serve(namespace, role, role === 'gateway' ? [] : options.nodeFlags));
    const gateway = servings.at(-1);
    if (gateway === undefined) throw new Error(`${target} has no gateway`);
    await untilAllAsleep(gateway, names.length);
    const url = new URL(`${gateway.apiUrl}/v1/chat/completions`);
    sides.push({
      target,
      namespace,
      servings,
      prepare(name) {
        const connection = new HttpConnection(url);
        return {
          send(failed) {
            connection
              .exchange(postRequest(url, chatBody(false, name)))
              .then(({ status }) => failed(new Error(`the call was answered with status ${status}`)), failed);
          },
          // The call waits for a pod that never comes, until its caller leaves.
          takeBack: () => connection.close(),
        };
      },
    });
  }
  return sides;
}

async function untilAllAsleep(gateway: Serving, count: number): Promise<void> {
  const deadlineMs = performance.now() + ASLEEP_WITHIN_MS;
  for (;;) {
    const { pools } = await gateway.status();
    const asleep = pools.filter(({ phase, lastDecision }) => phase === 'Asleep' && lastDecision !== null);
    if (asleep.length === count) return;
    if (performance.now() > deadlineMs) throw new Error(`${asleep.length} of ${count} pools sleep`);
    await rest(LOOK_MS);
  }
}

interface WakeOrder {
  readonly side: Side;
  readonly name: string;
  readonly watch: ScaleWatch;
  readonly hints: HintWatch;
}

async function wakeOnce({ side, name, watch, hints }: WakeOrder): Promise<Sent> {
  const { target, namespace } = side;
  const settled = await watch.until(namespace, name, ({ replicas, isSettled }) => replicas === 0 && isSettled);
  const trigger = side.prepare(name);
  await rest(Math.max(0, REST_MS - (performance.now() - settled.atMs)));
  const busyBefore = await whenCalm();
  const now = wallClock();
  const hint = target === 'bare' ? Promise.resolve(Number.NaN) : hints.next(`${namespace}/${name}`);
  const sentAtEpochMs = now();
  const sentAtMs = performance.now();
  const failed = Promise.withResolvers<never>();
  trigger.send(failed.reject);
  const isUp = watch.until(namespace, name, ({ replicas }) => replicas === 1);
  const [seen, hintedAtMs] = await Promise.race([Promise.all([isUp, hint]), failed.promise]);
  trigger.takeBack();
  return {
    ...{ target, namespace, name, sentAtEpochMs, busyBefore },
    hinted: hintedAtMs - sentAtMs,
    seen: seen.atMs - sentAtMs,
  };
}

function withPatches({ namespace, name, sentAtEpochMs, ...wake }: Sent, patches: readonly ScalePatch[]): Wake {
  const own = patches.filter((each) => each.namespace === namespace && each.name === name);
  const since = own.filter(({ storedAtEpochMs }) => storedAtEpochMs >= sentAtEpochMs);
  const index = since.findIndex(({ status }) => status === 200);
  const patch = since[index];
  if (patch === undefined) throw new Error(`the audit log has no patch of ${namespace}/${name}`);
  const received = patch.receivedAtEpochMs - sentAtEpochMs;
  return { ...wake, received, stored: patch.storedAtEpochMs - sentAtEpochMs, conflicts: index };
}

/** Hears what ledgers tell the processes of an installation. */
class HintWatch {
  readonly #redis: Redis;
  readonly #awaited = new Map<string, (atMs: number) => void>();

  private constructor(redis: Redis) {
    this.#redis = redis;
    redis.on('pmessage', (_pattern: string, channel: string, message: string) => {
      const atMs = performance.now();
      if (!message.includes('"wake"')) return;
      for (const [pool, resolve] of this.#awaited) {
        if (!channel.includes(`${pool}}`)) continue;
        this.#awaited.delete(pool);
        resolve(atMs);
      }
    });
  }

  static async open({ redis }: KubernetesRig): Promise<HintWatch> {
    const client = new Redis(redis.url);
    await client.psubscribe('*:all');
    return new HintWatch(client);
  }

  /** performance.now() of the next one about `pool`. */
  next(pool: string): Promise<number> {
    return new Promise((resolve) => this.#awaited.set(pool, resolve));
  }

  close(): void {
    this.#redis.disconnect();
  }
}

/** Waits for a moment in which the machine has little to do, though not for long. Returns the share that is busy. */
async function whenCalm(): Promise<number> {
  const deadlineMs = performance.now() + CALM_WITHIN_MS;
  for (;;) {
    const before = machineCpu();
    await rest(CALM_LOOK_MS);
    const busyRatio = foreignRatio(before, 0);
    if (busyRatio <= CALM_RATIO || performance.now() > deadlineMs) return busyRatio;
  }
}

function rest(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
