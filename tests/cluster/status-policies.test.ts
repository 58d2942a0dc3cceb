import { readFile } from 'node:fs/promises';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { KubernetesPoolOrders } from '../../src/autoscaler/adapters/orders/kubernetes-pool-orders.ts';
import { PolicyStatusWriter } from '../../src/autoscaler/adapters/policy-status/policy-status-writer.ts';
import { scalePolicyKind } from '../../src/autoscaler/adapters/policy-status/status-kinds.ts';
import type { PolicyFacts } from '../../src/autoscaler/policy/policy-facts.ts';
import { policyStatus } from '../../src/autoscaler/policy/policy-status.ts';
import {
  KUBE_MARKS,
  type KubeApi,
  KubeApiError,
  type KubeObject,
  kubePath,
  type KubeResource,
  soleLeadership,
} from '../../src/core/kubernetes.ts';
import type { ScalePolicyStatus } from '../../src/core/policy-status.ts';
import { NO_ORDER } from '../../src/core/pool-orders.ts';
import { BOOT_TROUBLES, WARM_UP_PHASES } from '../../src/core/replicas.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { openKubeApi } from '../../src/platform/kubernetes/api.ts';
import { eventRecorder } from '../../src/platform/kubernetes/events.ts';
import { openFeed } from '../../src/platform/kubernetes/feed.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { silentLogger } from '../support/silent-logger.ts';
import { until } from '../support/until.ts';
import { FakeCatalog, poolSpec } from '../unit/autoscaler/support/builders.ts';
import {
  policyFacts,
  poolFacts,
  poolStatusFacts,
  replica,
  targetFacts,
  troubled,
} from '../unit/autoscaler/status/facts.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

const POLICIES: KubeResource = {
  ...{ group: 'pilotlight.dev', version: 'v1alpha1', plural: 'scalepolicies', kind: 'ScalePolicy' },
};

describeCluster('the status of policies, and orders, on a real API server', () => {
  const namespace = useNamespace({ prefix: 'status' });

  beforeAll(async () => {
    for (const kind of ['scalepolicies', 'objectivepolicies']) {
      const path = new URL(`../../infra/crds/pilotlight.dev_${kind}.yaml`, import.meta.url);
      await namespace().cluster.apply(await readFile(path, 'utf8'));
    }
  });

  async function makePolicy(name: string): Promise<void> {
    const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name };
    const pool = { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] };
    const spec = { pool, models: [{ name }], targets: [{ name: 'gpu', scaleTargetRef }] };
    await namespace().apply([{ apiVersion: 'pilotlight.dev/v1alpha1', kind: 'ScalePolicy', metadata: { name }, spec }]);
  }

  async function open() {
    const { cluster, name } = namespace();
    const kubeconfig = { kubeconfig: cluster.kubeconfig, context: null, env: {}, homeFolder: '/nonexistent' };
    const api = await openKubeApi({ ...kubeconfig, namespace: name, clock: systemClock, log: silentLogger });
    const policies = openFeed({
      ...{ api, resource: POLICIES, namespaces: [name], clock: systemClock, random: systemRandom, log: silentLogger },
    });
    onTestFinished(async () => {
      await policies.close();
      await api.close();
    });
    await policies.whenSynced(AbortSignal.timeout(20_000));
    return { api, policies };
  }

  async function write(facts: Map<string, PolicyFacts>) {
    const { api, policies } = await open();
    let looks = 0;
    const recorder = eventRecorder({
      ...{ api, component: 'pilotlight-controller', identity: 'test' },
      ...{ clock: systemClock, random: systemRandom, log: silentLogger },
    });
    const writer = new PolicyStatusWriter({
      ...{ api, clock: systemClock, log: silentLogger, leadership: soleLeadership },
      events: { emit: ({ object, ...note }) => recorder.record(object, note) },
      kinds: [
        scalePolicyKind(policies, ({ metadata }) => {
          looks += 1;
          return facts.get(metadata.name) ?? null;
        }),
      ],
    });
    writer.start();
    onTestFinished(async () => {
      await writer.stop();
      await recorder.close();
    });
    return { writer, policies, looks: () => looks };
  }

  const read = async (name: string) => (await namespace().get('pilotlight.dev/v1alpha1', 'ScalePolicy', name))!;
  const statusOf = async (name: string) => (await read(name)).status as ScalePolicyStatus | undefined;
  const waking = policyFacts({
    generation: 1,
    pool: poolFacts({
      status: poolStatusFacts({
        ...{ phase: 'Waking', desiredReplicas: 2, nextReadyMs: { p50: 60_000, p90: 90_000 } },
        replicas: [replica('Pending'), replica('ImagePulling')],
      }),
      demand: { queued: 7, running: 0, oldestQueuedAtEpochMs: Date.now() - 30_000 },
    }),
  });

  test('a status is stored whole, replaced whole, and not written again while nothing changes', async () => {
    await makePolicy('whole');
    const facts = new Map([['whole', waking]]);
    const { writer, looks } = await write(facts);
    await until(async () => (await statusOf('whole'))?.phase === 'Waking', 'the first status');
    expect(await statusOf('whole')).toMatchObject({
      ...{ bootingReplicas: 2, queued: 7, replicasByPhase: { Pending: 1, ImagePulling: 1 } },
      oldestQueuedAt: expect.any(String) as string,
      nextReadyAt: expect.any(String) as string,
    });
    facts.set('whole', policyFacts({ generation: 1 }));
    writer.touch();
    await until(async () => (await statusOf('whole'))?.phase === 'Ready', 'the second status');
    const second = await statusOf('whole');
    expect(second).toMatchObject({ queued: 0, replicasByPhase: { Ready: 1 } });
    expect(Object.keys(second!)).not.toContain('oldestQueuedAt');
    expect(Object.keys(second!.replicasByPhase)).toEqual(['Ready']);
    const { resourceVersion } = (await read('whole')).metadata;
    const looksBefore = looks();
    await until(() => {
      writer.touch();
      return looks() >= looksBefore + 10;
    }, 'ten more looks');
    expect((await read('whole')).metadata.resourceVersion).toBe(resourceVersion);
    expect(writer.problems()).toEqual([]);
  });

  test('the CRD takes every status that can be, and loses nothing of it', async () => {
    await makePolicy('every');
    const { api } = await open();
    const path = kubePath(POLICIES, namespace().name, 'every', 'status');
    const full = poolFacts({
      status: poolStatusFacts({ phase: 'Stalled', replicas: WARM_UP_PHASES.map((phase) => replica(phase)) }),
      demand: { queued: 1, running: 2, oldestQueuedAtEpochMs: Date.now() },
      decision: {
        atEpochMs: Date.now(),
        rule: 'latest-safe-start',
        sentence: 'x'.repeat(900),
        wouldChange: Array(9).fill('y'),
      },
      order: { ...NO_ORDER, drainUntilEpochMs: Date.now() + 60_000, paused: true, by: 'ada' },
      targets: [targetFacts({ heldWhy: 'no order (quota)' }), targetFacts({ name: 'spot', state: null })],
    });
    const all: PolicyFacts[] = [
      policyFacts({ pool: null }),
      policyFacts({ pool: null, accepted: { status: false, reason: 'Invalid', message: 'z'.repeat(2_000) } }),
      policyFacts({ pool: full, remarks: ['an annotation is ignored'], missingRights: null, redisWhy: 'away' }),
      ...BOOT_TROUBLES.map((kind) =>
        policyFacts({ pool: poolFacts({ status: poolStatusFacts({ phase: 'Paused', replicas: [troubled(kind)] }) }) }),
      ),
    ];
    for (const facts of all) {
      const status = policyStatus(facts, null, Date.now());
      // As a whole: what the schema does not know would be pruned without a word.
      const body = [{ op: 'add', path: '/status', value: status }];
      const stored = (await api.request({ method: 'PATCH', patch: 'json', path, body })) as KubeObject;
      expect(stored.status).toEqual(JSON.parse(JSON.stringify(status)));
    }
  });

  test('a leader of before, who still sees an old version, cannot overwrite its successor', async () => {
    await makePolicy('fenced');
    const facts = new Map([['fenced', waking]]);
    const { policies } = await write(facts);
    await until(async () => (await statusOf('fenced'))?.phase === 'Waking', 'the first status');
    await until(() => policies.get(namespace().name, 'fenced')?.status !== undefined, 'the feed to follow');
    const { api } = await open();
    const old = policies.get(namespace().name, 'fenced')!;
    const path = kubePath(POLICIES, namespace().name, 'fenced');
    await api.request({ method: 'PATCH', patch: 'merge', path, body: { metadata: { labels: { newer: 'yes' } } } });
    const frozen = { ...policies, resource: POLICIES, list: () => [old], onChange: () => () => undefined };
    let conflicts = 0;
    const watched: KubeApi = {
      request: (request) =>
        api.request(request).catch((thrown: unknown) => {
          if (thrown instanceof KubeApiError && thrown.status === 409) conflicts += 1;
          throw thrown;
        }),
    };
    const late = new PolicyStatusWriter({
      ...{ api: watched, clock: systemClock, log: silentLogger, leadership: soleLeadership },
      events: { emit: () => undefined },
      kinds: [scalePolicyKind(frozen, () => policyFacts({ generation: 1 }))],
    });
    late.start();
    await until(() => conflicts > 0, 'a conflict');
    await late.stop();
    expect(await statusOf('fenced')).toMatchObject({ phase: 'Waking' });
  });

  test('a condition that breaks is an Event of the policy', async () => {
    await makePolicy('told');
    const facts = new Map([['told', policyFacts({ generation: 1 })]]);
    const { writer } = await write(facts);
    await until(async () => (await statusOf('told'))?.phase === 'Ready', 'the first status');
    facts.set('told', policyFacts({ generation: 1, redisWhy: 'connection refused' }));
    writer.touch();
    const told = async () =>
      (await namespace().list('v1', 'Event')) as (KubeObject & {
        readonly reason: string;
        readonly type: string;
        readonly involvedObject: { readonly kind: string; readonly name: string };
      })[];
    await until(async () => (await told()).some(({ reason }) => reason === 'RedisUnreachable'), 'the Event');
    const event = (await told()).find(({ reason }) => reason === 'RedisUnreachable')!;
    expect(event).toMatchObject({ type: 'Warning', involvedObject: { kind: 'ScalePolicy', name: 'told' } });
  });

  test('an order is an annotation that another process sees, and one by kubectl is an order', async () => {
    await makePolicy('ordered');
    const key = `${namespace().name}/ordered`;
    const pool = poolSpec({ key, namespace: namespace().name, name: 'ordered', policyName: 'ordered' });
    const openOrders = async () => {
      const { api, policies } = await open();
      const orders = new KubernetesPoolOrders({
        api,
        policies,
        catalog: new FakeCatalog([pool], []),
        clock: systemClock,
      });
      onTestFinished(() => orders.close());
      return { api, orders };
    };
    const [{ orders: here, api }, { orders: there }] = [await openOrders(), await openOrders()];
    const wakeUntilEpochMs = Date.now() + 3_600_000;
    await here.set(key, { wakeUntilEpochMs, wakeReplicas: 2, by: 'ada' });
    expect(here.of(key)).toMatchObject({ wakeUntilEpochMs, wakeReplicas: 2, by: 'ada' });
    await until(() => there.of(key).wakeUntilEpochMs === wakeUntilEpochMs, 'the other process to see it');
    const annotations = { [KUBE_MARKS.paused]: 'true', [KUBE_MARKS.wakeUntil]: 'tomorrow' };
    const path = kubePath(POLICIES, namespace().name, 'ordered');
    await api.request({ method: 'PATCH', patch: 'merge', path, body: { metadata: { annotations } } });
    await until(() => there.of(key).paused, 'the order by kubectl');
    expect(there.of(key).wakeUntilEpochMs).toBeNull();
    expect(there.problems()).toHaveLength(1);
    await there.set(key, { paused: false, wakeUntilEpochMs: null, by: null });
    const left = Object.keys((await read('ordered')).metadata.annotations ?? {});
    expect(left.filter((mark) => mark.startsWith('pilotlight.dev/'))).toEqual([]);
  });
});
