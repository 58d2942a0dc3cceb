import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { KUBE_MARKS } from '../../src/core/kubernetes.ts';
import { useRedis } from '../support/redis.ts';
import { burst, streamChat, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, openNamespace, ownCluster, useNamespace } from './support/namespace.ts';
import { type Pilotlight, startPilotlight } from './support/pilotlight.ts';
import { specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, simPool, workload } from './support/sim-pool.ts';
import { watchPods } from './support/watch-pods.ts';

const redis = useRedis();
const NO_JOBS = { jobs: { enabled: false } };

describeCluster('several gateways and controllers', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 6 }] });
  beforeAll(() => applyCrds(namespace().cluster));
  const start = (role: 'gateway' | 'controller', identity: string) =>
    startPilotlight({ namespace: namespace(), redisUrl: redis.url, role, identity, settings: NO_JOBS });

  /** Two controllers: the one that leads and the one that waits. */
  async function controllers(): Promise<{ leader: Pilotlight; other: Pilotlight }> {
    const [a, b] = await Promise.all([start('controller', 'controller-a'), start('controller', 'controller-b')]);
    let holder = '';
    await eventually(async () => {
      const lease = await namespace().get('coordination.k8s.io/v1', 'Lease', `pilotlight-${namespace().name}`);
      holder = (lease?.spec as { holderIdentity?: string } | undefined)?.holderIdentity ?? '';
      return holder !== '';
    }, 'somebody leads');
    return holder.startsWith('controller-a') ? { leader: a, other: b } : { leader: b, other: a };
  }

  test('a leader killed in mid-boot: its successor orders no second pod, and the work is done', async () => {
    await namespace().apply(simPool({ name: 'boot', slots: 8, sim: ['--boot-load=4s'], policy: BOOT }));
    const gateway = await start('gateway', 'gateway-boot');
    const { leader, other } = await controllers();
    const watched = watchPods(namespace(), 'app=boot');
    const calls = burst(8, { apiUrl: gateway.apiUrl, model: 'boot' });
    await eventually(async () => (await namespace().pods('app=boot')).length > 0, 'a pod is there');
    await leader.kill();
    expect(await wrongCalls(calls)).toEqual([]);
    await other.untilPool(
      'boot',
      'the successor takes it to zero',
      ({ replicas, phase }) => replicas.length === 0 && phase === 'Asleep',
      120_000,
    );
    await eventually(async () => (await namespace().pods('app=boot')).length === 0, 'no pod is left');
    watched.stop();
    expect(watched.mostAtOnce()).toBe(1);
    expect(watched.names().size).toBe(1);
  });

  test('a leader killed in mid-drain: the mark stays, the stream ends, and its successor finishes the drain', async () => {
    await namespace().apply(simPool({ name: 'drained', slots: 8, keepWarm: '10m' }));
    const gateway = await start('gateway', 'gateway-drain');
    const { leader } = await controllers();
    let tokens = 0;
    const stream = streamChat({
      ...{ apiUrl: gateway.apiUrl, model: 'drained', label: 'long', tokens: 2_500 },
      onToken: () => {
        tokens += 1;
      },
    });
    await eventually(() => Promise.resolve(tokens > 0), 'the stream has begun', 60_000);
    expect((await leader.order('drained', 'drain', { for: '1h' })).status).toBe(200);
    await eventually(async () => {
      const [pod] = await namespace().pods('app=drained');
      return pod?.metadata.annotations?.[KUBE_MARKS.drain] !== undefined;
    }, 'the pod is marked');
    await leader.kill();
    expect(await wrongCalls(Promise.all([stream]))).toEqual([]);
    await eventually(async () => (await specReplicas(namespace(), 'drained')) === 0, 'the drain is finished', 90_000);
    await eventually(async () => (await namespace().pods('app=drained')).length === 0, 'no pod is left');
  });

  test('a leader that is told to stop hands over at once', async () => {
    await namespace().apply(simPool({ name: 'handed' }));
    const gateway = await start('gateway', 'gateway-handed');
    const { leader, other } = await controllers();
    expect(await leader.stop()).toBe(0);
    expect(await wrongCalls(burst(3, { apiUrl: gateway.apiUrl, model: 'handed' }))).toEqual([]);
    await other.untilPool('handed', 'back at zero', ({ replicas }) => replicas.length === 0);
  });

  test('a gateway is replaced by a new one under load: every call on either ends as it must', async () => {
    await namespace().apply(simPool({ name: 'replaced', minReplicas: 1 }));
    await start('controller', 'controller-replaced');
    const old = await start('gateway', 'gateway-old');
    expect(await wrongCalls(burst(2, { apiUrl: old.apiUrl, model: 'replaced' }, 'first'))).toEqual([]);
    const fresh = await start('gateway', 'gateway-new');
    const onOld = burst(10, { apiUrl: old.apiUrl, model: 'replaced', tokens: 150 }, 'old');
    const onNew = burst(10, { apiUrl: fresh.apiUrl, model: 'replaced', tokens: 150 }, 'new');
    await old.untilPool('replaced', 'work is going on', ({ objectives }) =>
      objectives.some(({ running }) => running > 0),
    );
    const ended = old.stop();
    expect(await wrongCalls(onOld)).toEqual([]);
    expect(await wrongCalls(onNew)).toEqual([]);
    expect(await ended).toBe(0);
    expect(await wrongCalls(burst(5, { apiUrl: fresh.apiUrl, model: 'replaced' }, 'later'))).toEqual([]);
  });

  test('a rolling update of the Deployment loses nothing', async () => {
    await namespace().apply(simPool({ name: 'rolled', minReplicas: 2, slots: 8 }));
    await start('controller', 'controller-rolled');
    const gateway = await start('gateway', 'gateway-rolled');
    await gateway.untilPool(
      'rolled',
      'two serve',
      ({ replicas }) => replicas.filter(({ phase }) => phase === 'Ready').length === 2,
    );
    const before = new Set((await namespace().pods('app=rolled')).map(({ metadata }) => metadata.uid));
    const rolled = new AbortController();
    const load = (async () => {
      const wrong = [];
      for (let round = 0; !rolled.signal.aborted; round += 1) {
        wrong.push(
          ...(await wrongCalls(burst(6, { apiUrl: gateway.apiUrl, model: 'rolled', tokens: 60 }, `round-${round}`))),
        );
      }
      return wrong;
    })();
    await namespace().apply([workload({ name: 'rolled', replicas: 2, sim: ['--speed=1.5'] })]);
    await eventually(
      async () => {
        const pods = await namespace().pods('app=rolled');
        return pods.length === 2 && pods.every(({ metadata }) => !before.has(metadata.uid));
      },
      'both pods are new',
      90_000,
    );
    rolled.abort();
    expect(await load).toEqual([]);
  });
});

const BOOT = { boot: { expectedDuration: '5s', timeout: '60s' } };

describeCluster('an API server that goes away', () => {
  test('restarted in mid-burst nothing is lost; while it is down calls are served, replicas stay, and the status says so', async () => {
    const cluster = await ownCluster();
    const mine = await openNamespace(cluster, { nodes: [{ gpus: 3 }] });
    onTestFinished(() => cluster.disconnect());
    await applyCrds(cluster);
    await mine.apply(simPool({ slots: 8, maxReplicas: 3, sim: ['--speed=2'], keepWarm: '5s' }));
    const pilotlight = await startPilotlight({ namespace: mine, redisUrl: redis.url });
    const calls = burst(40, { apiUrl: pilotlight.apiUrl, tokens: 100 });
    await eventually(async () => (await mine.pods('app=chat')).length > 0, 'a pod is there');
    await cluster.restartApiServer();
    expect(await wrongCalls(calls)).toEqual([]);
    await pilotlight.untilPool('chat', 'it serves', ({ phase }) => phase === 'Ready');

    await cluster.stopApiServer('at once');
    expect(await wrongCalls(burst(10, { apiUrl: pilotlight.apiUrl }, 'meanwhile'))).toEqual([]);
    await eventually(
      async () => (await pilotlight.status()).problems.some((problem) => problem.startsWith('pods: ')),
      'the status says that pods are not heard of',
    );
    expect((await pilotlight.pool('chat'))?.replicas.filter(({ phase }) => phase === 'Ready').length).toBeGreaterThan(
      0,
    );
    await cluster.startApiServer();
    await untilCondition(mine, 'chat', 'InSync', ({ status }) => status === 'True', 90_000);
    await eventually(async () => (await specReplicas(mine, 'chat')) === 0, 'back at zero', 90_000);
  });
});
