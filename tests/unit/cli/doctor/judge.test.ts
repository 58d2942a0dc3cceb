import { describe, expect, test } from 'vitest';
import type { ClusterFacts, PolicyFacts, TargetFacts } from '../../../../src/cli/doctor/facts.ts';
import { judge } from '../../../../src/cli/doctor/judge.ts';
import { renderFindings } from '../../../../src/cli/render/doctor-report.ts';
import { facts, policy, target, type WorkloadChange, workload } from './builders.ts';

/** Findings that are not well, as "level check: found → change". */
function problems(seen: ClusterFacts): readonly string[] {
  return judge(seen, null)
    .flatMap(({ findings }) => findings)
    .filter(({ level }) => level !== 'ok')
    .map(({ level, check, found, change }) => `${level} ${check}: ${found}${change === null ? '' : ` → ${change}`}`);
}

const withWorkload = (change: WorkloadChange, policyChange: Partial<PolicyFacts> = {}): ClusterFacts =>
  facts({ policies: [policy({ targets: [target({ workload: workload(change) })], ...policyChange })] });
const withTarget = (change: Partial<TargetFacts>): ClusterFacts =>
  facts({ policies: [policy({ targets: [target(change)] })] });
const scaler = (name: string, kind = 'Deployment') => ({
  metadata: { name: 'rival' },
  spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind, name } },
});
const budget = (spec: object) => ({
  metadata: { name: 'keep' },
  spec: { selector: { matchLabels: { app: 'llama' } }, ...spec },
});
const owner = (manager: string, field = 'f:replicas') => [
  { manager, operation: 'Apply', fieldsV1: { 'f:spec': { [field]: {} } } },
];
const ingress = (annotations: Readonly<Record<string, string>>, service = 'pilotlight') => ({
  metadata: { name: 'front', annotations },
  spec: { rules: [{ http: { paths: [{ backend: { service: { name: service } } }] } }] },
});
const route = (timeouts: object, name = 'pilotlight') => ({
  metadata: { name: 'front' },
  spec: { rules: [{ timeouts, backendRefs: [{ name }] }] },
});
const gateway = (change: Partial<NonNullable<ClusterFacts['gateway']>>): ClusterFacts => {
  const base = facts().gateway;
  return facts({ gateway: base && { ...base, ...change } });
};

test('with everything as it should be, nothing is found', () => {
  expect(problems(facts())).toEqual([]);
});

describe('each check finds its trouble, and says what to change', () => {
  test.each<{ name: string; seen: ClusterFacts; want: readonly string[] }>([
    {
      name: 'a CRD that is required is not installed',
      seen: facts({
        resources: [
          { name: 'scalepolicies.pilotlight.dev/v1alpha1', kind: 'ScalePolicy', need: 'required', served: false },
        ],
      }),
      want: ['fail CRDs: ', 'kubectl apply -f infra/crds'],
    },
    {
      name: 'a CRD that is optional is not installed',
      seen: facts({ resources: [{ name: 'inferencepools', kind: 'InferencePool', need: 'optional', served: false }] }),
      want: ['skip CRDs: ', 'only needed to use InferencePool'],
    },
    {
      name: 'a ServiceAccount lacks a verb',
      seen: facts({
        rights: [{ who: 'ServiceAccount a/b', missing: ['cannot patch pods in namespace models'], problem: null }],
      }),
      want: ['fail rights: ServiceAccount a/b cannot patch pods in namespace models', 'Role'],
    },
    {
      name: 'a ServiceAccount lacks everything',
      seen: facts({
        rights: [{ who: 'ServiceAccount a/b', missing: Array.from({ length: 9 }, () => 'cannot'), problem: null }],
      }),
      want: ['cannot; cannot; cannot; cannot; cannot; and 4 more'],
    },
    {
      name: 'you lack a verb',
      seen: facts({ rights: [{ who: 'you', missing: ['cannot patch scalepolicies'], problem: null }] }),
      want: ['warn rights: you cannot patch'],
    },
    {
      name: 'rights cannot be asked',
      seen: facts({ rights: [{ who: 'ServiceAccount a/b', missing: [], problem: 'it cannot be asked: no' }] }),
      want: ['skip rights: ServiceAccount a/b: it cannot be asked'],
    },
    {
      name: 'a target is missing',
      seen: withTarget({ workload: null }),
      want: ['fail target: Deployment models/llama does not exist'],
    },
    {
      name: 'a target has no /scale',
      seen: withTarget({ hasScale: false }),
      want: ['fail target: ', 'no /scale subresource'],
    },
    {
      name: 'a target may not be read',
      seen: withTarget({ workload: null, problem: 'forbidden' }),
      want: ['skip target: ', 'could not be read: forbidden'],
    },
    {
      name: 'a policy has no target',
      seen: facts({ policies: [policy({ targets: [] })] }),
      want: ['skip target: it names no target'],
    },
    {
      name: 'its InferencePool is missing',
      seen: facts({ policies: [policy({ pool: null })] }),
      want: ['fail pool: ScalePolicy models/llama wants InferencePool llama, which does not exist'],
    },
    {
      name: 'the selector finds other pods',
      seen: facts({ policies: [policy({ pool: { matchLabels: { app: 'other' }, ports: [8000] } })] }),
      want: ['fail pool: ', 'app=other', 'never serve'],
    },
    {
      name: 'the selector is empty',
      seen: facts({ policies: [policy({ pool: { matchLabels: {}, ports: [8000] } })] }),
      want: ['fail pool: ', 'anything at all'],
    },
    {
      name: 'the port is another one',
      seen: facts({ policies: [policy({ pool: { matchLabels: { app: 'llama' }, ports: [9000] } })] }),
      want: ['warn pool: ', '9000', 'targetPorts: {number: 8000}'],
    },
    {
      name: 'an HPA scales the same Deployment',
      seen: facts({ autoscalers: [scaler('llama')] }),
      want: [
        'fail writers: HorizontalPodAutoscaler rival scales Deployment llama',
        'delete HorizontalPodAutoscaler rival',
      ],
    },
    {
      name: 'a ScaledObject does, and the policy only observes',
      seen: facts({
        scaledObjects: [{ metadata: { name: 'keda' }, spec: { scaleTargetRef: { name: 'llama' } } }],
        policies: [policy({ mode: 'Observe' })],
      }),
      want: ['warn writers: ScaledObject keda', 'before you set mode: Native'],
    },
    {
      name: 'two policies have one workload',
      seen: facts({ policies: [policy(), policy({ policy: 'models/other' })] }),
      want: [
        'fail writers: Deployment llama is a target of models/other',
        'fail writers: Deployment llama is a target of models/llama',
      ],
    },
    {
      name: 'Argo CD sets the replicas',
      seen: withTarget({ managedFields: owner('argocd-controller') }),
      want: ['warn writers: argocd-controller sets spec.replicas', 'ignoreDifferences'],
    },
    {
      name: 'there is no startup probe',
      seen: facts({
        policies: [
          policy({
            targets: [target({ workload: { ...workload(), startupProbe: null, startupBudgetSeconds: null } })],
          }),
        ],
      }),
      want: ['warn probes: llama has no startup probe', 'failureThreshold: 360'],
    },
    {
      name: 'the startup probe gives up before boot.timeout',
      seen: withWorkload({ container: { startupProbe: { periodSeconds: 10, failureThreshold: 30 } } }),
      want: [
        'fail probes: the startup probe of llama gives up after 5m, before boot.timeout (30m)',
        'boot.timeout: 300s',
      ],
    },
    {
      name: 'there is no readiness probe',
      seen: facts({ policies: [policy({ targets: [target({ workload: { ...workload(), readinessProbe: null } })] })] }),
      want: ['fail probes: llama has no readiness probe'],
    },
    {
      name: 'the readiness probe asks rarely',
      seen: withWorkload({ container: { readinessProbe: {} } }),
      want: ['warn probes: the readiness probe of llama asks every 10 s'],
    },
    {
      name: 'vLLM has no --shutdown-timeout',
      seen: withWorkload({ container: { args: ['--model=llama'] } }),
      want: ['fail shutdown: llama runs vLLM without --shutdown-timeout', '--shutdown-timeout=600'],
    },
    {
      name: '--shutdown-timeout is shorter than drain.timeout',
      seen: withWorkload({ container: { args: ['--shutdown-timeout', '60'] } }),
      want: ['warn shutdown: --shutdown-timeout of llama is 60 s, shorter than drain.timeout (10m)'],
    },
    {
      name: 'the grace is shorter than what ends it',
      seen: withWorkload({ pod: { terminationGracePeriodSeconds: 30 } }),
      want: ['fail shutdown: llama is killed 30 s after', 'terminationGracePeriodSeconds: 630'],
    },
    {
      name: 'the preStop hook cannot be read',
      seen: withWorkload({ container: { lifecycle: { preStop: { exec: { command: ['/bin/drain'] } } } } }),
      want: ['warn shutdown: the preStop hook of llama takes a time that cannot be read'],
    },
    {
      name: 'a rollout wants a GPU more',
      seen: withWorkload({ spec: { strategy: {} } }),
      want: ['warn rollout: maxSurge of llama is 25%: a rollout needs 1 more GPU', 'maxSurge: 0'],
    },
    {
      name: 'a rollout ends all at once',
      seen: withWorkload({ spec: { strategy: { type: 'Recreate' } } }),
      want: ['warn rollout: llama is rolled out by Recreate'],
    },
    {
      name: 'the progress deadline is shorter than a boot',
      seen: withWorkload({ spec: { progressDeadlineSeconds: 600 } }),
      want: ['warn rollout: llama calls a rollout failed after 600 s', 'progressDeadlineSeconds: 2520'],
    },
    {
      name: 'node autoscalers may move its pods',
      seen: withWorkload({ annotations: { 'karpenter.sh/do-not-disrupt': 'true' } }),
      want: ['warn disruption: a node autoscaler may move pods of llama', 'safe-to-evict: "false"'],
    },
    {
      name: 'a budget keeps the last pod',
      seen: facts({ disruptionBudgets: [budget({ minAvailable: 1 })] }),
      want: ['warn disruption: PodDisruptionBudget keep (minAvailable 1)', 'maxUnavailable: 1'],
    },
    { name: 'budgets may not be listed', seen: facts({ disruptionBudgets: null }), want: ['skip disruption: '] },
    { name: 'autoscalers may not be listed', seen: facts({ autoscalers: null }), want: ['skip writers: '] },
    {
      name: 'no gateway is found',
      seen: facts({ gateway: null }),
      want: ['skip waits: no gateway', '--install-namespace'],
    },
    {
      name: 'the gateway is killed before it has drained',
      seen: gateway({ graceSeconds: 60 }),
      want: ['fail waits: pilotlight/gateway is killed after 60 s', 'terminationGracePeriodSeconds: 635'],
    },
    {
      name: 'the gateway drains shorter than it holds calls',
      seen: gateway({ graceSeconds: 100, drainMs: 30_000 }),
      want: ['warn waits: pilotlight/gateway ends within 100 s, but holds calls for up to 10m'],
    },
    { name: 'its configuration cannot be read', seen: gateway({ maxHoldMs: null }), want: ['skip waits: '] },
    {
      name: 'an Ingress has the default time-out of nginx',
      seen: facts({ ingresses: [ingress({})] }),
      want: ['warn proxies: Ingress front ends a call that is silent for 60 s', 'proxy-read-timeout: "630"'],
    },
    {
      name: 'an HTTPRoute ends requests early',
      seen: facts({ routes: [route({ request: '30s' })] }),
      want: ['warn proxies: HTTPRoute front ends requests after 30s'],
    },
    { name: 'Ingresses may not be listed', seen: facts({ ingresses: null }), want: ['skip proxies: '] },
  ])('$name', ({ seen, want }) => {
    const found = problems(seen).join('\n');
    for (const part of want) expect(found).toContain(part);
  });
});

describe('what is well stays unsaid', () => {
  test.each<{ name: string; seen: ClusterFacts }>([
    {
      name: 'an HPA of another workload',
      seen: facts({ autoscalers: [scaler('other'), scaler('llama', 'StatefulSet')] }),
    },
    { name: 'kubectl scaled it', seen: withTarget({ managedFields: owner('kubectl') }) },
    {
      name: 'Argo CD owns other fields',
      seen: withTarget({ managedFields: owner('argocd-controller', 'f:template') }),
    },
    { name: 'a budget that lets one go', seen: facts({ disruptionBudgets: [budget({ maxUnavailable: 1 })] }) },
    {
      name: 'a budget of other pods',
      seen: facts({ disruptionBudgets: [budget({ minAvailable: 1, selector: { matchLabels: { app: 'x' } } })] }),
    },
    {
      name: 'an Ingress that waits',
      seen: facts({ ingresses: [ingress({ 'nginx.ingress.kubernetes.io/proxy-read-timeout': '3600' })] }),
    },
    { name: 'an Ingress of something else', seen: facts({ ingresses: [ingress({}, 'shop')] }) },
    {
      name: 'an HTTPRoute without a limit',
      seen: facts({ routes: [route({ request: '0s' }), route({ request: '5s' }, 'shop')] }),
    },
    {
      name: 'a workload without GPU that surges',
      seen: withWorkload({ spec: { strategy: {} }, container: { resources: {} } }),
    },
    {
      name: 'another engine without the flag of vLLM',
      seen: withWorkload({ container: { image: 'sglang', args: [] } }),
    },
  ])('$name', ({ seen }) => {
    expect(problems(seen)).toEqual([]);
  });
});

test('only the policies that are asked for are judged, and the workloads of all are known', () => {
  const seen = facts({ policies: [policy(), policy({ policy: 'models/other' })] });
  const sections = judge(seen, ['models/other']);
  expect(sections.map(({ about }) => about)).toEqual(['cluster', 'models/other']);
  expect(JSON.stringify(sections[1])).toContain('a target of models/llama');
});

test('the report names what to change, counts the rest, and shows all on demand', () => {
  const sections = judge(facts({ autoscalers: [scaler('llama')] }), null);
  const short = renderFindings(sections, { useColors: false, all: false });
  expect(short).toContain('models/llama: 13 of 14 checks are well');
  expect(short).toContain('  fail  writers: HorizontalPodAutoscaler rival');
  expect(short).toContain('        → delete HorizontalPodAutoscaler rival, or set mode: Observe');
  expect(short).toContain('1 failed, 0 to look at,');
  expect(short).not.toContain('  ok  ');
  expect(renderFindings(sections, { useColors: false, all: true })).toContain('  ok    probes: the startup probe');
});
