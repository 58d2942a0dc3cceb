import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { KUBE_MARKS, type KubeObject } from '../../src/core/kubernetes.ts';
import { startDedicatedRedis, useRedis } from '../support/redis.ts';
import { burst, streamChat, wrongCalls } from './support/calls.ts';
import { eventually } from './support/eventually.ts';
import { applyRights, useHelm } from './support/helm.ts';
import type { Pod } from './support/kubelet/objects.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';
import { type Pilotlight, startPilotlight } from './support/pilotlight.ts';
import { specReplicas, untilCondition } from './support/policy.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';
import { watchPods } from './support/watch-pods.ts';
import { behave } from './support/workload-edits.ts';
import { isReady } from './support/workloads.ts';

const redis = useRedis();
/** A loopback address that nothing listens on. */
const NOWHERE = '127.9.9.9';

describeCluster('pods that misbehave', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 4 }] });
  let pilotlight: Pilotlight;

  beforeAll(async () => {
    await applyCrds(namespace().cluster);
    pilotlight = await startPilotlight({ namespace: namespace(), redisUrl: redis.url, atEnd: afterAll });
  });
  const call = (model: string, count: number, label: string) =>
    burst(count, { apiUrl: pilotlight.apiUrl, model, tokens: 20 }, label);

  test('a pod that becomes unready again and again is named, and what it is asked between is answered', async () => {
    await namespace().apply(simPool({ name: 'flapper', minReplicas: 1, maxReplicas: 1 }));
    const ready = (count: number) =>
      pilotlight.untilPool(
        'flapper',
        `${count} serve`,
        ({ replicas }) => replicas.filter(({ phase }) => phase === 'Ready').length === count,
      );
    await ready(1);
    const [pod] = (await namespace().pods('app=flapper')) as [Pod];
    for (let round = 0; round < 3; round += 1) {
      await behave(namespace(), pod, { readiness: 'failing' });
      await ready(0);
      const calls = call('flapper', 2, `unready-${round}`);
      await behave(namespace(), pod, { readiness: null });
      await ready(1);
      expect(await wrongCalls(calls)).toEqual([]);
    }
    const { message } = await untilCondition(
      namespace(),
      'flapper',
      'CapacityAvailable',
      ({ reason }) => reason === 'Flapping',
    );
    expect(message).toMatch(/lost its readiness 3 times within 10m; give its readiness probe more time/);
    expect((await namespace().pods('app=flapper')).map(({ metadata }) => metadata.uid)).toEqual([pod.metadata.uid]);
  });

  test('a pod whose address does not answer us is named with the remedy, is no capacity, and is joined by no other', async () => {
    await namespace().apply(simPool({ name: 'meshed', behaviour: { 'pod-ip': NOWHERE }, slots: 2 }));
    const watched = watchPods(namespace(), 'app=meshed');
    const calls = call('meshed', 8, 'hidden');
    const { message } = await untilCondition(
      namespace(),
      'meshed',
      'CapacityAvailable',
      ({ reason }) => reason === 'Unreachable',
    );
    expect(message).toMatch(/its address does not answer Pilotlight.*exempt the port from the mesh/);
    const most = watched.mostAtOnce();
    for (const pod of await namespace().pods('app=meshed')) await behave(namespace(), pod, { 'pod-ip': null });
    await eventually(async () => (await wrongCalls(call('meshed', 1, 'seen'))).length === 0, 'it answers', 60_000);
    const early = await wrongCalls(calls);
    expect(early.filter(({ status }) => status !== 503)).toEqual([]);
    await untilCondition(namespace(), 'meshed', 'CapacityAvailable', ({ status }) => status === 'True');
    watched.stop();
    expect(most).toBeLessThanOrEqual(3);
  });
});

describeCluster('a controller that lacks a right', () => {
  const helm = useHelm();
  const namespace = useNamespace({ nodes: [{ gpus: 1 }] });

  test('without "patch deployments/scale" it says so and goes on telling; with the right the work is done', async () => {
    const { cluster, name } = namespace();
    await applyCrds(cluster);
    const workloads = [{ apiGroup: 'apps', resource: 'deployments', name: 'chat' }];
    const rights = await applyRights(helm(), namespace(), { installation: name, workloads });
    onTestFinished(() => rights.remove());
    const role = (await namespace().list('rbac.authorization.k8s.io/v1', 'Role')).find(mayScale) as Role;
    const path = `/apis/rbac.authorization.k8s.io/v1/namespaces/${name}/roles/${role.metadata.name}`;
    const setRules = (rules: readonly Rule[]) =>
      cluster.api.request({ method: 'PATCH', path, patch: 'merge', body: { rules } });
    const without = role.rules.map((rule) =>
      rule.resources.includes('deployments/scale')
        ? { ...rule, verbs: rule.verbs.filter((verb) => verb !== 'patch') }
        : rule,
    );
    await setRules(without);
    await namespace().apply(simPool());
    const settings = { jobs: { enabled: false } };
    const common = { namespace: namespace(), redisUrl: redis.url, settings };
    const [gateway] = await Promise.all([
      startPilotlight({ ...common, role: 'gateway', kubeconfig: rights.gateway }),
      startPilotlight({ ...common, role: 'controller', kubeconfig: rights.controller }),
    ]);
    const { message } = await untilCondition(namespace(), 'chat', 'Permitted', ({ status }) => status === 'False');
    expect(message).toMatch(
      /cannot patch deployments\.apps\/scale "chat" .*: add it to the Role of its ServiceAccount/,
    );
    const held = burst(1, { apiUrl: gateway.apiUrl }, 'held');
    await gateway.untilPool(
      'chat',
      'it says why',
      ({ blockedWhy }) => blockedWhy?.includes('deployments/scale') ?? false,
    );
    const [refused] = await burst(1, { apiUrl: gateway.apiUrl }, 'refused');
    expect(refused?.problem).toContain('add the verbs to the Role of the controller');
    expect(await specReplicas(namespace(), 'chat')).toBe(0);
    await setRules(role.rules);
    await untilCondition(namespace(), 'chat', 'Permitted', ({ status }) => status === 'True', 90_000);
    await gateway.untilPool('chat', 'it may be woken', ({ blockedWhy }) => blockedWhy === null, 90_000);
    expect(await wrongCalls(burst(3, { apiUrl: gateway.apiUrl }, 'granted'))).toEqual([]);
    expect(await wrongCalls(held)).toEqual([]);
  });
});

interface Rule {
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}
type Role = KubeObject & { readonly rules: readonly Rule[] };

function mayScale(role: KubeObject): boolean {
  return (role as Role).rules.some(({ resources }) => resources.includes('deployments/scale'));
}

describeCluster('clocks that disagree', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 3 }] });
  beforeAll(() => applyCrds(namespace().cluster));

  test.each([
    { what: 'an hour ahead', model: 'ahead', clockAheadMs: 3_600_000 },
    { what: 'an hour behind', model: 'behind', clockAheadMs: -3_600_000 },
  ])('a controller whose clock is $what scales from zero and back like any other', async ({ model, clockAheadMs }) => {
    await namespace().apply(simPool({ name: model, maxReplicas: 2, slots: 4, sim: ['--speed=2'] }));
    const settings = { jobs: { enabled: false } };
    const common = { namespace: namespace(), redisUrl: redis.url, settings };
    const [gateway, controller] = await Promise.all([
      startPilotlight({ ...common, role: 'gateway' }),
      startPilotlight({ ...common, role: 'controller', clockAheadMs }),
    ]);
    const watched = watchPods(namespace(), `app=${model}`);
    expect(await wrongCalls(burst(12, { apiUrl: gateway.apiUrl, model, tokens: 60 }))).toEqual([]);
    const pool = await gateway.pool(model);
    expect(pool?.replicas.filter(({ phase, trouble }) => phase === 'Stuck' || trouble !== null)).toEqual([]);
    await controller.untilPool(model, 'back at zero', ({ replicas }) => replicas.length === 0);
    await eventually(async () => (await namespace().pods(`app=${model}`)).length === 0, 'no pod is left');
    watched.stop();
    expect(watched.names().size).toBeLessThanOrEqual(2);
  });
});

describeCluster('a Redis that is away', () => {
  const namespace = useNamespace({ nodes: [{ gpus: 2 }] });
  beforeAll(() => applyCrds(namespace().cluster));

  test('at start: the process ends with a sentence that says so', async () => {
    const redisUrl = 'redis://127.0.0.1:1/0';
    const start = startPilotlight({ namespace: namespace(), redisUrl, role: 'gateway', startWithinMs: 20_000 });
    await expect(start).rejects.toThrow(/Redis.*127\.0\.0\.1:1/s);
  });

  test('in mid-run: replicas stay, calls are told when to come again, the status says so, and it goes on afterwards', async () => {
    const own = await startDedicatedRedis();
    await namespace().apply(simPool({ keepWarm: '3s' }));
    const pilotlight = await startPilotlight({ namespace: namespace(), redisUrl: own.url });
    let tokens = 0;
    const stream = streamChat({
      ...{ apiUrl: pilotlight.apiUrl, label: 'through it', tokens: 400 },
      onToken: () => {
        tokens += 1;
      },
    });
    await eventually(() => Promise.resolve(tokens > 0), 'the stream has begun');
    await own.kill();
    const { message } = await untilCondition(namespace(), 'chat', 'InSync', ({ status }) => status === 'False');
    expect(message).toMatch(/Redis does not answer.*check Redis.*Replicas stay as they are/);
    const status = await pilotlight.status();
    expect(status.redis.reachable).toBe(false);
    expect(status.problems.join(' ')).toMatch(/Redis does not answer/);
    const answer = await fetch(`${pilotlight.apiUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'sim', messages: [{ role: 'user', content: 'now?' }] }),
    });
    expect(answer.status).toBe(503);
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0);
    await answer.text();
    // Longer than keep-warm: an idle pool would be gone by then.
    const since = performance.now();
    await eventually(() => Promise.resolve(performance.now() - since > 6_000), 'keep-warm is over');
    expect(await specReplicas(namespace(), 'chat')).toBe(1);
    const [pod] = (await namespace().pods('app=chat')) as [Pod];
    expect(isReady(pod)).toBe(true);
    expect(pod.metadata.annotations?.[KUBE_MARKS.drain]).toBeUndefined();
    expect(await wrongCalls(Promise.all([stream]))).toEqual([]);
    await own.restart();
    await untilCondition(namespace(), 'chat', 'InSync', ({ status: inSync }) => inSync === 'True');
    await eventually(
      async () => (await wrongCalls(burst(1, { apiUrl: pilotlight.apiUrl }, 'again'))).length === 0,
      'calls are answered',
    );
    expect(await wrongCalls(burst(5, { apiUrl: pilotlight.apiUrl }, 'after'))).toEqual([]);
    await pilotlight.untilPool('chat', 'back at zero', ({ replicas }) => replicas.length === 0);
  });
});
