import type { ClusterFacts, PolicyFacts, TargetFacts } from '../../../../src/cli/doctor/facts.ts';
import { readWorkload, type WorkloadObject, type WorkloadView } from '../../../../src/cli/workload/read-workload.ts';

type PodSpec = NonNullable<NonNullable<NonNullable<WorkloadObject['spec']>['template']>['spec']>;
type Container = NonNullable<PodSpec['containers']>[number];

export interface WorkloadChange {
  readonly spec?: Partial<NonNullable<WorkloadObject['spec']>>;
  readonly pod?: Partial<PodSpec>;
  readonly container?: Partial<Container>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A vLLM Deployment with which every check is content. */
export function workloadObject({
  spec = {},
  pod = {},
  container = {},
  annotations,
}: WorkloadChange = {}): WorkloadObject {
  const engine: Container = {
    name: 'vllm',
    image: 'vllm/vllm-openai:v0.18.0',
    args: ['--model=/models/llama', '--served-model-name=llama', '--port=8000', '--shutdown-timeout=600'],
    ports: [{ name: 'http', containerPort: 8000 }],
    resources: { limits: { 'nvidia.com/gpu': '1' } },
    startupProbe: { periodSeconds: 5, failureThreshold: 360 },
    readinessProbe: { periodSeconds: 2 },
    lifecycle: { preStop: { sleep: { seconds: 15 } } },
    ...container,
  };
  const safe = { 'cluster-autoscaler.kubernetes.io/safe-to-evict': 'false', 'karpenter.sh/do-not-disrupt': 'true' };
  return {
    metadata: { name: 'llama', namespace: 'models' },
    spec: {
      selector: { matchLabels: { app: 'llama' } },
      strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 1 } },
      progressDeadlineSeconds: 3_000,
      template: {
        metadata: { labels: { app: 'llama' }, annotations: annotations ?? safe },
        spec: { terminationGracePeriodSeconds: 645, containers: [engine], ...pod },
      },
      ...spec,
    },
  };
}

export function workload(change: WorkloadChange = {}): WorkloadView {
  return readWorkload('Deployment', workloadObject(change));
}

export function target(change: Partial<TargetFacts> = {}): TargetFacts {
  const ref = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama' };
  return { name: 'gpu', ref, workload: workload(), managedFields: [], hasScale: true, problem: null, ...change };
}

export function policy(change: Partial<PolicyFacts> = {}): PolicyFacts {
  return {
    policy: 'models/llama',
    namespace: 'models',
    mode: 'Native',
    bootTimeoutMs: 1_800_000,
    drainTimeoutMs: 600_000,
    pool: { matchLabels: { app: 'llama' }, ports: [8000] },
    poolRef: 'llama',
    targets: [target()],
    ...change,
  };
}

export function facts(change: Partial<ClusterFacts> = {}): ClusterFacts {
  return {
    resources: [{ name: 'scalepolicies.pilotlight.dev/v1alpha1', kind: 'ScalePolicy', need: 'required', served: true }],
    policies: [policy()],
    autoscalers: [],
    scaledObjects: null,
    disruptionBudgets: [],
    ingresses: [],
    routes: null,
    rights: [{ who: 'ServiceAccount pilotlight/controller', missing: [], problem: null }],
    gateway: {
      workload: 'pilotlight/gateway',
      graceSeconds: 1_300,
      preStopSeconds: 5,
      maxHoldMs: 600_000,
      drainMs: 600_000,
      services: ['pilotlight'],
    },
    ...change,
  };
}
