import { expect, test } from 'vitest';
import { PodEndpoints } from '../../../../src/autoscaler/adapters/kubernetes-target/pod-endpoints.ts';
import { PoolPods } from '../../../../src/autoscaler/adapters/kubernetes-target/pool-pods.ts';
import { targetNameOf, targetOf } from '../../../../src/autoscaler/policy/kube/assign.ts';
import { podEndpoints } from '../../../../src/autoscaler/policy/kube/endpoints.ts';
import { matchesLabels, matchesSelector } from '../../../../src/autoscaler/policy/kube/labels.ts';
import type { Pod } from '../../../../src/autoscaler/policy/kube/pod.ts';
import { KUBE_MARKS } from '../../../../src/core/kubernetes.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { deploymentTarget, FakeCatalog, NOW_MS, type PodChange, pod, poolSpec } from './support/builders.ts';
import { FakeFeed, PODS } from './support/fake-kube.ts';

const ended = { terminated: { exitCode: 0 } };

test.each<{ name: string; pod: PodChange; wasReady?: boolean; want: readonly ['serving' | 'draining', string][] }>([
  { name: 'a ready pod serves', pod: {}, want: [['serving', 'http://10.0.0.7:8000']] },
  { name: 'an IPv6 address stands in brackets', pod: { ip: 'fd00::7' }, want: [['serving', 'http://[fd00::7]:8000']] },
  { name: 'a pod that never was ready has none', pod: { stage: 'loading' }, want: [] },
  {
    name: 'a pod that lost its readiness keeps what runs there',
    pod: { stage: 'loading' },
    wasReady: true,
    want: [['draining', 'http://10.0.0.7:8000']],
  },
  {
    name: 'a pod that terminates takes nothing new',
    pod: { deleted: true },
    want: [['draining', 'http://10.0.0.7:8000']],
  },
  {
    name: 'a pod with our drain mark takes nothing new',
    pod: { annotations: { [KUBE_MARKS.drain]: '3' } },
    want: [['draining', 'http://10.0.0.7:8000']],
  },
  {
    name: 'a pod that is being evicted takes nothing new',
    pod: { conditions: [{ type: 'DisruptionTarget', status: 'True' }] },
    want: [['draining', 'http://10.0.0.7:8000']],
  },
  { name: 'a pod whose container has ended is gone', pod: { deleted: true, state: ended }, wasReady: true, want: [] },
  { name: 'a pod that failed is gone', pod: { phase: 'Failed' }, wasReady: true, want: [] },
  {
    name: 'active ports restrict the ports of the pool',
    pod: { annotations: { 'llm-d.ai/active-ports': '8001' } },
    want: [['serving', 'http://10.0.0.7:8001']],
  },
  {
    name: 'the older annotation counts too',
    pod: { annotations: { 'inference.networking.k8s.io/active-ports': ' 8000 , 9 ' } },
    want: [['serving', 'http://10.0.0.7:8000']],
  },
  { name: 'active ports that name none leave none', pod: { annotations: { 'llm-d.ai/active-ports': '' } }, want: [] },
])('endpoints: $name', ({ pod: change, wasReady = false, want }) => {
  const ports = Object.keys(change.annotations ?? {}).some((name) => name.endsWith('active-ports'))
    ? [8000, 8001]
    : [8000];
  const pool = poolSpec({ pods: { matchLabels: { app: 'llama' }, ports } });
  const endpoints = podEndpoints(pod(change), pool, 'gpu', wasReady ? NOW_MS - 5_000 : null);
  expect(endpoints.map(({ draining, url }) => [draining ? 'draining' : 'serving', url])).toEqual(want);
});

test('an endpoint is known by its pod and address, and carries the slots of its target', () => {
  const [endpoint] = podEndpoints(pod(), poolSpec(), 'gpu', null);
  expect(endpoint).toMatchObject({
    id: 'uid-llama-5d4f8c7b9-a@10.0.0.7:8000',
    slotsPerEndpoint: 8,
    readyAtEpochMs: NOW_MS - 1_000,
  });
});

test.each([
  { selector: 'app=llama', want: true },
  { selector: 'app=llama,tier==gpu', want: true },
  { selector: 'app=llama,tier!=cpu', want: true },
  { selector: 'tier in (cpu, gpu),app', want: true },
  { selector: '!spot', want: true },
  { selector: 'app notin (llama)', want: false },
  { selector: 'app=other', want: false },
  { selector: 'spot', want: false },
  { selector: '', want: false },
  { selector: '((', want: false },
])('selector "$selector" matches: $want', ({ selector, want }) => {
  expect(matchesSelector({ app: 'llama', tier: 'gpu' }, selector)).toBe(want);
});

test('a selection without labels selects nothing', () => {
  expect(matchesLabels({ app: 'llama' }, {})).toBe(false);
});

const other = deploymentTarget({
  name: 'spot',
  scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'llama-spot' },
});
const set = deploymentTarget({
  name: 'set',
  scaleTargetRef: { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'llama' },
});
const lws = deploymentTarget({
  name: 'lws',
  scaleTargetRef: { apiVersion: 'leaderworkerset.x-k8s.io/v1', kind: 'LeaderWorkerSet', name: 'big' },
});
const rollout = deploymentTarget({
  name: 'rollout',
  scaleTargetRef: { apiVersion: 'argoproj.io/v1alpha1', kind: 'Rollout', name: 'roll' },
});
const targets = [other, deploymentTarget(), set, lws, rollout];

test.each<{ name: string; pod: PodChange; want: string | null }>([
  { name: "a ReplicaSet's pod is its Deployment's", pod: {}, want: 'gpu' },
  {
    name: 'a name that only begins alike is another one',
    pod: { owner: { kind: 'ReplicaSet', name: 'llama-spot-5d4f8c7b9' } },
    want: 'spot',
  },
  { name: "a StatefulSet's pod", pod: { owner: { kind: 'StatefulSet', name: 'llama' } }, want: 'set' },
  {
    name: 'a pod of a LeaderWorkerSet',
    pod: { owner: { kind: 'StatefulSet', name: 'big' }, labels: { 'leaderworkerset.sigs.k8s.io/name': 'big' } },
    want: 'lws',
  },
  {
    name: 'a pod of another kind that owns ReplicaSets',
    pod: { owner: { kind: 'ReplicaSet', name: 'roll-77' }, labels: { 'rollouts-pod-template-hash': '77' } },
    want: 'rollout',
  },
  { name: 'a pod that nothing of the pool owns', pod: { owner: { kind: 'Job', name: 'warm-up' } }, want: null },
  {
    name: 'a pod without an owner is found by the selector of a /scale',
    pod: { owner: null, labels: { app: 'llama', x: '1' } },
    want: 'rollout',
  },
])('target of $name', ({ pod: change, want }) => {
  const selectorOf = (target: { name: string }): string | null => (target.name === 'rollout' ? 'x=1' : null);
  expect(targetOf(pod(change), targets, selectorOf)?.name ?? null).toBe(want);
});

test('for endpoints the only target of a pool stands in for an owner that is not known', () => {
  const stray = pod({ owner: null });
  expect(targetNameOf(stray, poolSpec())).toBe('gpu');
  expect(targetNameOf(stray, poolSpec({ targets }))).toBe('');
});

function directory(...pools: ReturnType<typeof poolSpec>[]) {
  const feed = new FakeFeed<Pod>(PODS);
  const catalog = new FakeCatalog(...pools);
  const pods = new PoolPods({ pods: feed, catalog, log: silentLogger });
  const endpoints = new PodEndpoints(pods, catalog);
  const told: string[] = [];
  endpoints.onChange((pool) => told.push(pool));
  return { feed, catalog, pods, endpoints, told };
}

test('the directory follows pods and tells only of changes of endpoints', () => {
  const { feed, endpoints, told } = directory(poolSpec());
  feed.put(pod({ stage: 'loading' }));
  expect(told).toEqual([]);
  feed.put(pod());
  feed.put(pod({ annotations: { note: 'nothing of ours' } }));
  expect(told).toEqual(['ml/llama']);
  expect(endpoints.list('ml/llama')).toHaveLength(1);
  feed.put(pod({ stage: 'loading' }));
  expect(endpoints.list('ml/llama').map(({ draining }) => draining)).toEqual([true]);
  feed.remove(pod());
  expect(endpoints.list('ml/llama')).toEqual([]);
  expect(told).toHaveLength(3);
});

test('what a write returned counts until the feed has caught up', () => {
  const { feed, pods, endpoints } = directory(poolSpec());
  const version = (one: Pod, resourceVersion: string): Pod => ({
    ...one,
    metadata: { ...one.metadata, resourceVersion },
  });
  feed.put(version(pod(), '9'));
  pods.wrote(version(pod({ annotations: { [KUBE_MARKS.drain]: '1' } }), '12'));
  expect(endpoints.list('ml/llama').map(({ draining }) => draining)).toEqual([true]);
  feed.put(version(pod({ agoMs: 2_000 }), '10'));
  expect(endpoints.list('ml/llama').map(({ draining }) => draining)).toEqual([true]);
  feed.put(version(pod(), '13'));
  expect(endpoints.list('ml/llama').map(({ draining }) => draining)).toEqual([false]);
});

test('a pod of the same name but another uid is another pod', () => {
  const { feed, endpoints } = directory(poolSpec());
  feed.put(pod({ uid: 'one' }));
  feed.remove(pod({ uid: 'one' }));
  feed.put(pod({ uid: 'two' }));
  expect(endpoints.list('ml/llama').map(({ id }) => id)).toEqual(['two@10.0.0.7:8000']);
});

test('a pod that two pools select is in both, and a pool that goes takes its endpoints along', () => {
  const second = poolSpec({ key: 'ml/second', name: 'second' });
  const { feed, catalog, pods, endpoints, told } = directory(poolSpec(), second);
  feed.put(pod());
  expect(pods.get('uid-llama-5d4f8c7b9-a')?.pools).toEqual(['ml/llama', 'ml/second']);
  catalog.replace(poolSpec());
  expect(endpoints.list('ml/second')).toEqual([]);
  expect(told.filter((pool) => pool === 'ml/second')).toHaveLength(2);
  expect(endpoints.list('ml/llama')).toHaveLength(1);
});
