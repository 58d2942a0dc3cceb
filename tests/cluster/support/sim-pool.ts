import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { MODEL } from '../../../src/simulate/demo/names.ts';
import type { ClusterAccess } from './cluster-access.ts';
import { behaviourAnnotations } from './workloads.ts';

export interface SimPool {
  readonly name?: string;
  /** Arguments of the simulator, on top of a fast boot. */
  readonly sim?: readonly string[];
  /** Of the pods, as in README.md: names without their prefix. */
  readonly behaviour?: Readonly<Record<string, string>>;
  readonly image?: string;
  readonly replicas?: number;
  readonly gpusPerPod?: number;
  readonly minReplicas?: number;
  readonly maxReplicas?: number;
  readonly slots?: number;
  readonly keepWarm?: string;
  readonly graceSeconds?: number;
  /** More fields of the ScalePolicy's spec. */
  readonly policy?: Readonly<Record<string, unknown>>;
  /** LeaderSet: see leader-sets.ts. */
  readonly kind?: 'Deployment' | 'StatefulSet' | 'LeaderSet';
  /** Of the workload, where a pool has several; default: the pool's name. */
  readonly workloadName?: string;
}

const API_VERSIONS = { Deployment: 'apps/v1', StatefulSet: 'apps/v1', LeaderSet: 'test.pilotlight.dev/v1' } as const;
const FAST_BOOT = ['--boot-start=100ms', '--boot-load=200ms', '--shutdown-timeout=60s'];

/** The objects of a pool of simulators at zero: workload, InferencePool, two objectives, ScalePolicy. */
export function simPool(options: SimPool = {}): object[] {
  const { name = 'chat' } = options;
  const poolRef = { name };
  const pool = { selector: { matchLabels: { app: name } }, targetPorts: [{ number: 8000 }] };
  const objective = (objectiveName: string, priority: number) => ({
    apiVersion: 'llm-d.ai/v1alpha2',
    kind: 'InferenceObjective',
    metadata: { name: objectiveName },
    spec: { priority, poolRef },
  });
  return [
    workload(options),
    { apiVersion: 'inference.networking.k8s.io/v1', kind: 'InferencePool', metadata: { name }, spec: pool },
    objective(name === 'chat' ? 'interactive' : `${name}-interactive`, 100),
    objective(name === 'chat' ? 'nightly' : `${name}-nightly`, -10),
    scalePolicy(options),
  ];
}

export function scalePolicy(options: SimPool = {}): object {
  const { name = 'chat', kind = 'Deployment', minReplicas = 0, maxReplicas = 3, slots = 8, keepWarm = '2s' } = options;
  return {
    apiVersion: 'pilotlight.dev/v1alpha1',
    kind: 'ScalePolicy',
    metadata: { name },
    spec: {
      poolRef: { name },
      models: [{ name: name === 'chat' ? MODEL : name, ...(name === 'chat' ? { aliases: ['sim'] } : {}) }],
      targets: [
        {
          name: 'gpu',
          scaleTargetRef: { apiVersion: API_VERSIONS[kind], kind, name: options.workloadName ?? name },
          minReplicas,
          maxReplicas,
          slotsPerEndpoint: slots,
        },
      ],
      activation: { expectedRequestDuration: '1s' },
      keepWarm: { duration: keepWarm },
      drain: { after: '1s', timeout: '60s' },
      boot: { expectedDuration: '2s', timeout: '60s' },
      ...options.policy,
    },
  };
}

/** A workload whose pods run the simulator. */
export function workload(options: SimPool = {}): object {
  const { name = 'chat', kind = 'Deployment', replicas = 0, behaviour = {}, sim = [] } = options;
  const { gpusPerPod = 1, graceSeconds = 60, image = 'pilotlight-model-sim:test' } = options;
  const { workloadName = name } = options;
  const labels = { app: name, ...(workloadName === name ? {} : { workload: workloadName }) };
  const model = name === 'chat' ? MODEL : name;
  const probe = { httpGet: { path: '/health', port: 8000 }, periodSeconds: 1 };
  const container = {
    name: 'engine',
    image,
    args: ['--host=$(POD_IP)', '--port=8000', `--model=${model}`, ...FAST_BOOT, ...sim],
    env: [{ name: 'POD_IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
    ports: [{ containerPort: 8000 }],
    resources: { limits: { 'nvidia.com/gpu': gpusPerPod } },
    startupProbe: { ...probe, failureThreshold: 120 },
    readinessProbe: probe,
  };
  return {
    apiVersion: API_VERSIONS[kind],
    kind,
    metadata: { name: workloadName },
    spec: {
      replicas,
      ...(kind === 'LeaderSet' ? {} : { selector: { matchLabels: labels } }),
      ...(kind === 'StatefulSet' ? { serviceName: name, podManagementPolicy: 'Parallel' } : {}),
      template: {
        metadata: { labels, annotations: behaviourAnnotations({ 'probe-ms': '50', ...behaviour }) },
        spec: {
          automountServiceAccountToken: false,
          terminationGracePeriodSeconds: graceSeconds,
          containers: [container],
        },
      },
    },
  };
}

const CRD_FOLDERS = ['../../../infra/crds/', '../fixtures/'].map((path) =>
  fileURLToPath(new URL(path, import.meta.url)),
);

/** Our CRDs, and those of others that Pilotlight reads. */
export async function applyCrds(cluster: ClusterAccess): Promise<void> {
  for (const folder of CRD_FOLDERS) {
    for (const file of (await readdir(folder)).filter((name) => name.endsWith('.yaml'))) {
      await cluster.apply(await readFile(`${folder}${file}`, 'utf8'));
    }
  }
}
