import { Agent, request } from 'undici';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { crdFiles } from '../../src/config/crds/crds.ts';
import { KubeApiError, type KubeObject } from '../../src/core/kubernetes.ts';
import type { ScalePolicyStatus } from '../../src/core/policy-status.ts';
import type { ApiAccess } from './support/api.ts';
import { describeCluster, useNamespace } from './support/namespace.ts';

const files = Object.values(crdFiles());
const GROUP_PATH = '/apis/pilotlight.dev/v1alpha1';

const TARGET = { name: 'a100', scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' } };
const policySpec = (spec: object) => ({ poolRef: { name: 'p' }, targets: [TARGET], ...spec });
const POOL = { selector: { matchLabels: { app: 'llama' } }, targetPorts: [{ number: 8000 }] };

/** Specs of ScalePolicies that must be refused, and what the answer must contain. */
const BAD_POLICIES: readonly { name: string; spec: object; says: RegExp }[] = [
  { name: 'no pool', spec: { targets: [TARGET] }, says: /spec: Invalid value.*exactly one of poolRef/ },
  { name: 'two pools', spec: policySpec({ pool: POOL }), says: /spec: Invalid value.*exactly one of poolRef/ },
  {
    name: 'a process',
    spec: policySpec({ targets: [{ ...TARGET, process: { command: ['sh'] } }] }),
    says: /spec\.targets\[0\]\.process/,
  },
  {
    name: 'a target without a workload',
    spec: policySpec({ targets: [{ name: 't' }] }),
    says: /spec\.targets\[0\]\.scaleTargetRef: Required/,
  },
  {
    name: 'bounds the wrong way round',
    spec: policySpec({ targets: [{ ...TARGET, minReplicas: 3, maxReplicas: 2 }] }),
    says: /spec\.targets\[0\]\.minReplicas: .*more than maxReplicas/,
  },
  {
    name: 'minReplicas above the default of maxReplicas',
    spec: policySpec({ targets: [{ ...TARGET, minReplicas: 2 }] }),
    says: /spec\.targets\[0\]\.minReplicas/,
  },
  {
    name: 'a target name twice',
    spec: policySpec({ targets: [TARGET, TARGET] }),
    says: /spec\.targets\[1\]: Duplicate value/,
  },
  {
    name: 'a workload twice',
    spec: policySpec({ targets: [TARGET, { ...TARGET, name: 'b' }] }),
    says: /spec\.targets: .*same scaleTargetRef/,
  },
  {
    name: 'a model twice',
    spec: policySpec({ models: [{ name: 'm' }, { name: 'm' }] }),
    says: /spec\.models\[1\]: Duplicate value/,
  },
  {
    name: 'an alias twice',
    spec: policySpec({ models: [{ name: 'm', aliases: ['x', 'x'] }] }),
    says: /spec\.models\[0\]\.aliases\[1\]: Duplicate value/,
  },
  {
    name: 'no slots',
    spec: policySpec({ targets: [{ ...TARGET, slotsPerEndpoint: 0 }] }),
    says: /spec\.targets\[0\]\.slotsPerEndpoint: .*greater than or equal to 1/,
  },
  {
    name: 'slots in words',
    spec: policySpec({ targets: [{ ...TARGET, slotsPerEndpoint: 'many' }] }),
    says: /spec\.targets\[0\]\.slotsPerEndpoint/,
  },
  {
    name: 'a price as a number',
    spec: policySpec({ targets: [{ ...TARGET, pricePerGpuHour: 2.5 }] }),
    says: /spec\.targets\[0\]\.pricePerGpuHour/,
  },
  {
    name: 'a workload without a version',
    spec: policySpec({
      targets: [{ ...TARGET, scaleTargetRef: { apiVersion: 'apps', kind: 'Deployment', name: 'x' } }],
    }),
    says: /spec\.targets\[0\]\.scaleTargetRef\.apiVersion/,
  },
  {
    name: 'a duration without a unit',
    spec: policySpec({ keepWarm: { duration: '300' } }),
    says: /spec\.keepWarm\.duration/,
  },
  {
    name: 'a duration of nothing',
    spec: policySpec({ drain: { timeout: '0s' } }),
    says: /spec\.drain\.timeout: .*more than 0/,
  },
  {
    name: 'a boot that is stuck at once',
    spec: policySpec({ boot: { expectedDuration: '10m', timeout: '300s' } }),
    says: /spec\.boot\.timeout: .*not longer than expectedDuration/,
  },
  {
    name: 'a boot longer than the default allows',
    spec: policySpec({ boot: { expectedDuration: '1h' } }),
    says: /spec\.boot\.timeout/,
  },
  {
    name: 'an unknown mode',
    spec: policySpec({ mode: 'KEDA' }),
    says: /spec\.mode: Unsupported value.*"Observe", "Native"/,
  },
  { name: 'an unknown onDelete', spec: policySpec({ onDelete: 'Drain' }), says: /spec\.onDelete: Unsupported value/ },
  {
    name: 'no labels',
    spec: { targets: [TARGET], pool: { ...POOL, selector: { matchLabels: {} } } },
    says: /spec\.pool\.selector\.matchLabels/,
  },
  {
    name: 'a port twice',
    spec: { targets: [TARGET], pool: { ...POOL, targetPorts: [{ number: 1 }, { number: 1 }] } },
    says: /spec\.pool\.targetPorts\[1\]: Duplicate value/,
  },
  {
    name: 'a pool of another group',
    spec: policySpec({ poolRef: { group: 'x.io', name: 'p' } }),
    says: /spec\.poolRef\.group: Unsupported value/,
  },
  {
    name: 'a pool in another namespace',
    spec: policySpec({ poolRef: { namespace: 'x', name: 'p' } }),
    says: /unknown field "spec\.poolRef\.namespace"/,
  },
  { name: 'a budget of nothing', spec: policySpec({ limits: { bytes: '0Mi' } }), says: /spec\.limits\.bytes/ },
];

const BAD_OBJECTIVES: typeof BAD_POLICIES = [
  { name: 'about nothing', spec: {}, says: /spec: Invalid value.*targetRefs or className/ },
  {
    name: 'an objective twice',
    spec: { targetRefs: [{ name: 'o' }, { name: 'o' }] },
    says: /spec\.targetRefs\[1\]: Duplicate value/,
  },
  {
    name: 'evicted before it wakes',
    spec: { className: 'n', activation: 'Batched', queueTtl: '30m' },
    says: /spec\.queueTtl: .*not longer than maxWait/,
  },
  {
    name: 'evicted before it wakes, with no deadline to wake for',
    spec: { className: 'n', activation: 'Scheduled', queueTtl: '30m' },
    says: /spec\.queueTtl: .*not longer than maxWait/,
  },
  {
    name: 'an activation of the future',
    spec: { className: 'n', activation: 'Windowed' },
    says: /spec\.activation: Unsupported value/,
  },
  { name: 'more than all of a budget', spec: { className: 'n', shedAtPercent: 101 }, says: /spec\.shedAtPercent/ },
];

interface Table {
  readonly columnDefinitions: readonly { readonly name: string }[];
  readonly rows: readonly { readonly cells: readonly unknown[] }[];
}

/** What `kubectl get` asks for. */
async function table({ url, ca, token }: ApiAccess, path: string): Promise<Table> {
  const agent = new Agent({ connect: { ca } });
  try {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const answer = await request(`${url}${path}`, {
      dispatcher: agent,
      headers: { accept, authorization: `Bearer ${token}` },
    });
    return (await answer.body.json()) as Table;
  } finally {
    await agent.close();
  }
}

describeCluster('the CustomResourceDefinitions', () => {
  const namespace = useNamespace();
  beforeAll(async () => {
    for (const file of files) await namespace().cluster.apply(file);
  });

  const create = (plural: string, kind: string, name: string, spec: object): Promise<unknown> => {
    const { cluster, name: here } = namespace();
    const body = { apiVersion: 'pilotlight.dev/v1alpha1', kind, metadata: { name }, spec };
    const path = `${GROUP_PATH}/namespaces/${here}/${plural}`;
    return cluster.api.request({ method: 'POST', path, body, query: { fieldValidation: 'Strict' } });
  };
  const refusal = (created: Promise<unknown>) =>
    created.then(
      () => 'accepted',
      (error: unknown) => (error instanceof KubeApiError ? error.message : String(error)),
    );

  test('a policy that says little is stored with every default', async () => {
    const stored = (await create('scalepolicies', 'ScalePolicy', 'little', policySpec({}))) as KubeObject;
    expect(stored.spec).toEqual({
      poolRef: { group: 'inference.networking.k8s.io', kind: 'InferencePool', name: 'p' },
      models: [],
      targets: [
        {
          ...TARGET,
          minReplicas: 0,
          maxReplicas: 1,
          slotsPerEndpoint: 'Auto',
          gpusPerReplica: 1,
          pricePerGpuHour: '0',
          preference: 0,
        },
      ],
      mode: 'Native',
      paused: false,
      onDelete: 'Keep',
      activation: { minEfficiencyPercent: 50, expectedRequestDuration: '10s', drainTarget: 'Auto' },
      keepWarm: { duration: 'Auto', maxDuration: '15m' },
      drain: { after: 'Auto', timeout: '15m' },
      boot: { expectedDuration: '5m', timeout: '30m', maxInFlight: 8 },
      limits: {},
    });
  });

  test('a policy that says everything is stored as it is', async () => {
    const spec = {
      pool: {
        selector: { matchLabels: { app: 'x', 'example.com/tier': '1' } },
        targetPorts: [{ number: 8000 }, { number: 8001 }],
      },
      models: [{ name: 'meta/llama', aliases: ['gpt-4o'], adapter: 'fr' }],
      targets: [
        {
          ...TARGET,
          minReplicas: 1,
          maxReplicas: 10_000,
          slotsPerEndpoint: 64,
          gpusPerReplica: 8,
          pricePerGpuHour: '2.5',
          preference: -1,
        },
        {
          ...TARGET,
          name: 'spot',
          scaleTargetRef: { apiVersion: 'v1', kind: 'ReplicationController', name: 'x' },
          minReplicas: 0,
          maxReplicas: 1,
          slotsPerEndpoint: 'Auto',
          gpusPerReplica: 0,
          pricePerGpuHour: '0',
          preference: 1,
        },
      ],
      mode: 'Observe',
      paused: true,
      className: 'berlin',
      onDelete: 'ScaleToMin',
      activation: { minEfficiencyPercent: 1, expectedRequestDuration: '1m30s', drainTarget: '250ms' },
      keepWarm: { duration: '1d', maxDuration: '2h' },
      drain: { after: '5m', timeout: '1h' },
      boot: { expectedDuration: '1h', timeout: '1d', maxInFlight: 1 },
      limits: { requests: 10, bytes: '1Gi' },
    };
    const stored = (await create('scalepolicies', 'ScalePolicy', 'everything', spec)) as KubeObject;
    expect(stored.spec).toEqual(spec);
  });

  test.each(BAD_POLICIES)(
    'a ScalePolicy with $name is refused, and the answer names the field',
    async ({ spec, says }) => {
      expect(await refusal(create('scalepolicies', 'ScalePolicy', 'bad', spec))).toMatch(says);
    },
  );

  test.each(BAD_OBJECTIVES)('an ObjectivePolicy with $name is refused', async ({ spec, says }) => {
    expect(await refusal(create('objectivepolicies', 'ObjectivePolicy', 'bad', spec))).toMatch(says);
  });

  test('an ObjectivePolicy gets its defaults', async () => {
    const stored = (await create('objectivepolicies', 'ObjectivePolicy', 'good', {
      targetRefs: [{ name: 'o' }],
    })) as KubeObject;
    expect(stored.spec).toEqual({
      targetRefs: [{ group: 'llm-d.ai', kind: 'InferenceObjective', name: 'o' }],
      activation: 'Immediate',
      maxWait: '1h',
      queueTtlClock: 'Always',
      paused: false,
      limits: {},
    });
  });

  test('a status is kept apart from the spec, and its columns are what kubectl shows', async () => {
    const { cluster, name: here } = namespace();
    const path = `${GROUP_PATH}/namespaces/${here}/scalepolicies`;
    const status: ScalePolicyStatus = {
      observedGeneration: 1,
      phase: 'Waking',
      readyReplicas: 1,
      bootingReplicas: 2,
      desiredReplicas: 3,
      replicasByPhase: { Ready: 1, ModelLoading: 2 },
      queued: 17,
      running: 4,
      oldestQueuedAt: new Date(Date.now() - 3_600_000).toISOString(),
      lastDecision: {
        at: new Date().toISOString(),
        rule: 'backlog',
        message: 'three',
        wouldChange: ['an empty queue'],
      },
      targets: [{ name: 'a100', specReplicas: 3, readyReplicas: 1, bootingReplicas: 2, templateHash: 'abc' }],
      orders: [],
      conditions: [
        {
          type: 'Accepted',
          status: 'True',
          reason: 'Accepted',
          message: 'It is in force.',
          observedGeneration: 1,
          lastTransitionTime: new Date().toISOString(),
        },
      ],
    };
    await create('scalepolicies', 'ScalePolicy', 'shown', policySpec({}));
    const patched = (await cluster.api.request({
      method: 'PATCH',
      path: `${path}/shown/status`,
      patch: 'merge',
      body: { status },
    })) as KubeObject;
    expect(patched.status).toEqual(status);
    expect(patched.metadata.generation).toBe(1);

    const response = await table(cluster.api.access, `${path}/shown`);
    expect(response.columnDefinitions.map(({ name }) => name.toUpperCase())).toEqual([
      'NAME',
      'READY',
      'BOOTING',
      'DESIRED',
      'QUEUED',
      'OLDEST',
      'PHASE',
      'AGE',
    ]);
    expect(response.rows[0]?.cells.slice(0, 7)).toEqual(['shown', 1, 2, 3, 17, '60m', 'Waking']);
  });

  test('kubectl finds the kinds by their short names and by the category', async () => {
    const { resources } = (await namespace().cluster.api.request({ method: 'GET', path: GROUP_PATH })) as {
      resources: { name: string; shortNames?: string[]; categories?: string[] }[];
    };
    const found = resources.filter(({ name }) => !name.includes('/'));
    expect(found.map(({ name, shortNames, categories }) => [name, shortNames, categories]).sort()).toEqual([
      ['objectivepolicies', ['objpol'], ['pilotlight']],
      ['scalepolicies', ['scalepol'], ['pilotlight']],
    ]);
  });

  test('a newer definition, applied over this one, keeps every object as it was', async () => {
    const { cluster, name: here } = namespace();
    const group = `${here}.pilotlight.test`;
    const text = (crdFiles()['pilotlight.dev_scalepolicies.yaml'] ?? '').replaceAll('pilotlight.dev', group);
    const crd = parse(text) as {
      spec: {
        versions: { schema: { openAPIV3Schema: { properties: { spec: { properties: Record<string, object> } } } } }[];
      };
    };
    await cluster.apply([crd]);
    const path = `/apis/${group}/v1alpha1/namespaces/${here}/scalepolicies`;
    const body = {
      apiVersion: `${group}/v1alpha1`,
      kind: 'ScalePolicy',
      metadata: { name: 'old' },
      spec: policySpec({ onDelete: 'ScaleToZero' }),
    };
    const before = (await cluster.api.request({ method: 'POST', path, body })) as KubeObject;
    const [version] = crd.spec.versions;
    Object.assign(version!.schema.openAPIV3Schema.properties.spec.properties, {
      windows: { type: 'array', maxItems: 8, items: { type: 'string', maxLength: 64 }, default: [] },
    });
    await cluster.apply([crd]);
    let after = before;
    for (let look = 0; look < 100 && (after.spec as { windows?: unknown }).windows === undefined; look += 1) {
      after = (await cluster.api.request({ method: 'GET', path: `${path}/old` })) as KubeObject;
    }
    expect(after.metadata.uid).toBe(before.metadata.uid);
    expect(after.spec).toEqual({ ...(before.spec as object), windows: [] });
    await cluster.remove([crd]);
  });
});
