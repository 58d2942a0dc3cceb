import { afterEach, expect, test } from 'vitest';
import type { EventObject } from '../../../../src/autoscaler/adapters/policy-status/events.ts';
import { PolicyStatusWriter } from '../../../../src/autoscaler/adapters/policy-status/policy-status-writer.ts';
import {
  objectivePolicyKind,
  scalePolicyKind,
} from '../../../../src/autoscaler/adapters/policy-status/status-kinds.ts';
import type { PolicyFacts } from '../../../../src/autoscaler/policy/policy-facts.ts';
import { KubeApiError, type Leadership } from '../../../../src/core/kubernetes.ts';
import type { ScalePolicyStatus } from '../../../../src/core/policy-status.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeKube } from '../../../support/fake-kube.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { policyFacts, poolFacts, poolStatusFacts, replica } from './facts.ts';

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

function rig(policies: Record<string, PolicyFacts | null>) {
  const clock = new FakeClock();
  const kube = new FakeKube({
    group: 'pilotlight.dev',
    version: 'v1alpha1',
    plural: 'scalepolicies',
    kind: 'ScalePolicy',
  });
  const facts = new Map(Object.entries(policies));
  const put = (name: string) => kube.put({ metadata: { namespace: 'default', name, uid: name, generation: 3 } });
  for (const name of facts.keys()) put(name);
  const lead = { leads: true };
  const leadership: Leadership = {
    isLeader: () => lead.leads,
    term: () => (lead.leads ? 1 : null),
    onChange: () => () => undefined,
  };
  const told: { object: EventObject; reason: string }[] = [];
  const asked: string[] = [];
  const writer = new PolicyStatusWriter({
    ...{ api: kube, leadership, clock, log: silentLogger, events: { emit: (event) => told.push(event) } },
    kinds: [
      scalePolicyKind(kube, ({ metadata }) => {
        asked.push(metadata.name);
        return facts.get(metadata.name) ?? null;
      }),
    ],
  });
  const start = async () => {
    writer.start();
    await clock.advance(0);
  };
  const stop = async () => {
    const stopping = writer.stop();
    await clock.advance(20_000);
    await stopping;
  };
  stops.push(stop);
  const statusOf = (name: string) => kube.stored('default', name)?.status as ScalePolicyStatus | undefined;
  return { clock, kube, facts, lead, told, writer, start, put, statusOf, asked };
}

const queued = (count: number): PolicyFacts =>
  policyFacts({ pool: poolFacts({ demand: { queued: count, running: 0, oldestQueuedAtEpochMs: null } }) });
const saying = (sentence: string): PolicyFacts =>
  policyFacts({ pool: poolFacts({ decision: { atEpochMs: 0, rule: 'steady', sentence, wouldChange: [] } }) });
const waking = policyFacts({
  pool: poolFacts({ status: poolStatusFacts({ phase: 'Waking', replicas: [replica('Pending')] }) }),
});

test('a policy gets its status at once, through the status subresource, and naming the version it changes', async () => {
  const { kube, start, statusOf } = rig({ llama: policyFacts() });
  await start();
  expect(statusOf('llama')).toMatchObject({ phase: 'Ready', readyReplicas: 1, observedGeneration: 3 });
  expect(kube.requests[0]).toMatchObject({
    method: 'PATCH',
    path: '/apis/pilotlight.dev/v1alpha1/namespaces/default/scalepolicies/llama/status',
    body: { metadata: { resourceVersion: '1' } },
  });
});

test('while nothing changes nothing is written', async () => {
  const { clock, kube, start } = rig({ llama: policyFacts() });
  await start();
  await clock.advance(3_600_000);
  expect(kube.requests).toHaveLength(1);
});

test('counters are written every ten seconds, another phase at once', async () => {
  const { clock, kube, facts, writer, start, statusOf } = rig({ llama: policyFacts() });
  await start();
  for (let second = 1; second <= 60; second += 1) {
    facts.set('llama', queued(second));
    writer.touch();
    await clock.advance(1_000);
  }
  expect(kube.requests.length).toBeGreaterThanOrEqual(6);
  expect(kube.requests.length).toBeLessThanOrEqual(8);
  const before = kube.requests.length;
  facts.set('llama', waking);
  writer.touch();
  await clock.advance(300);
  expect(kube.requests).toHaveLength(before + 1);
  expect(statusOf('llama')).toMatchObject({ phase: 'Waking', bootingReplicas: 1 });
});

test('other words for the same are written once a minute, and with whatever else is written', async () => {
  const { clock, kube, facts, writer, start, statusOf } = rig({ llama: saying('idle for 1 s') });
  await start();
  for (let second = 2; second <= 180; second += 1) {
    facts.set('llama', saying(`idle for ${second} s`));
    writer.touch();
    await clock.advance(1_000);
  }
  expect(kube.requests).toHaveLength(3);
  facts.set('llama', queued(1));
  writer.touch();
  await clock.advance(10_000);
  expect(statusOf('llama')).toMatchObject({ queued: 1 });
  expect(kube.requests).toHaveLength(4);
});

test('news of one policy is no reason to look at the others', async () => {
  const { clock, facts, writer, start, statusOf, asked } = rig({ llama: policyFacts(), qwen: policyFacts() });
  await start();
  await clock.advance(300);
  asked.splice(0);
  facts.set('llama', waking);
  writer.touch({ namespace: 'default', name: 'llama' });
  await clock.advance(400);
  expect(statusOf('llama')).toMatchObject({ phase: 'Waking' });
  expect(asked).not.toContain('qwen');
  await clock.advance(3_000);
  expect(asked).toContain('qwen');
});

test('a phase that flaps is not written more than four times a second', async () => {
  const { clock, kube, facts, writer, start } = rig({ llama: policyFacts() });
  await start();
  for (let turn = 0; turn < 100; turn += 1) {
    facts.set('llama', turn % 2 === 0 ? waking : policyFacts());
    writer.touch();
    await clock.advance(10);
  }
  expect(kube.requests.length).toBeLessThanOrEqual(6);
});

test('a policy that is refused gets its conditions, too, and one of another installation is left alone', async () => {
  const refused = policyFacts({ pool: null, accepted: { status: false, reason: 'Invalid', message: 'mend it' } });
  const { clock, kube, start, statusOf } = rig({ broken: refused, foreign: null });
  await start();
  await clock.advance(60_000);
  expect(statusOf('broken')!.conditions[0]).toMatchObject({ type: 'Accepted', status: 'False', message: 'mend it' });
  expect(statusOf('foreign')).toBeUndefined();
  expect(kube.requests).toHaveLength(1);
});

test('who does not lead writes nothing; who begins to lead takes over what is there', async () => {
  const { clock, kube, lead, told, start } = rig({ llama: policyFacts() });
  await start();
  lead.leads = false;
  kube.put({ ...kube.stored('default', 'llama')!, status: { phase: 'Asleep' } });
  await clock.advance(60_000);
  expect(kube.requests).toHaveLength(1);
  lead.leads = true;
  await clock.advance(2_000);
  expect(kube.requests).toHaveLength(2);
  expect(told).toEqual([]);
});

test('a feed that lags does not make it write again, and does not hide what was written', async () => {
  const { clock, kube, facts, start, statusOf } = rig({ llama: policyFacts() });
  kube.delivers = false;
  await start();
  await clock.advance(60_000);
  expect(kube.requests).toHaveLength(1);
  facts.set('llama', waking);
  await clock.advance(3_100);
  expect(kube.requests[1]).toMatchObject({ body: { metadata: { resourceVersion: '2' } } });
  expect(statusOf('llama')).toMatchObject({ phase: 'Waking' });
});

test('a status that somebody else overwrote is put right', async () => {
  const { clock, kube, start, statusOf } = rig({ llama: policyFacts() });
  await start();
  kube.put({ ...kube.stored('default', 'llama')!, status: { phase: 'Nonsense' } });
  await clock.advance(1_100);
  expect(statusOf('llama')).toMatchObject({ phase: 'Ready', observedGeneration: 3 });
});

test.each([
  { name: 'a conflict', error: { status: 409 }, withinMs: 1_500, problem: null },
  { name: 'an API server that does not answer', error: { status: 0 }, withinMs: 3_000, problem: 'tried again' },
  { name: 'a busy one', error: { status: 429, retryAfterMs: 7_000 }, withinMs: 9_000, problem: 'tried again' },
  { name: 'a missing right', error: { status: 403 }, withinMs: 3_000, problem: 'may not patch scalepolicies/status' },
  { name: 'an older CRD', error: { status: 422 }, withinMs: 3_000, problem: 'bring the CRDs to the version' },
])('after $name it is tried again', async ({ error, withinMs, problem }) => {
  const { clock, kube, writer, start, statusOf } = rig({ llama: policyFacts() });
  kube.failures.push(new KubeApiError('no', error));
  await start();
  expect(statusOf('llama')).toBeUndefined();
  if (problem === null) expect(writer.problems()).toEqual([]);
  else expect(writer.problems()).toEqual([expect.stringContaining(problem)]);
  await clock.advance(withinMs);
  expect(statusOf('llama')).toMatchObject({ phase: 'Ready' });
  expect(writer.problems()).toEqual([]);
  expect(kube.requests).toHaveLength(2);
});

test('an API server that refuses for an hour is asked once a minute, not more', async () => {
  const { clock, kube, start } = rig({ llama: policyFacts() });
  kube.failures.push(...Array.from({ length: 1_000 }, () => new KubeApiError('no', { status: 403 })));
  await start();
  await clock.advance(3_600_000);
  expect(kube.requests.length).toBeLessThan(75);
  expect(kube.requests.length).toBeGreaterThan(50);
}, 60_000);

test('a policy that is deleted is forgotten, with its problems', async () => {
  const { clock, kube, writer, start } = rig({ llama: policyFacts() });
  kube.failures.push(new KubeApiError('no', { status: 403 }));
  await start();
  kube.delete('default', 'llama');
  await clock.advance(120_000);
  expect(kube.requests).toHaveLength(1);
  expect(writer.problems()).toEqual([]);
});

test('three hundred policies that change at once are written in bounds, what matters first', async () => {
  const names = Array.from({ length: 300 }, (_, index) => `p${index}`);
  const { clock, kube, facts, writer, start, statusOf } = rig(
    Object.fromEntries(names.map((name) => [name, policyFacts()])),
  );
  await start();
  expect(kube.requests.length).toBeLessThanOrEqual(50);
  await clock.advance(30_000);
  expect(kube.requests).toHaveLength(300);
  for (const name of names) facts.set(name, queued(1));
  facts.set('p299', waking);
  writer.touch({ namespace: 'default', name: 'p299' });
  await clock.advance(1_000);
  expect(statusOf('p299')).toMatchObject({ phase: 'Waking' });
});

test('Events are told of the object, once', async () => {
  const { clock, facts, told, start } = rig({ llama: policyFacts() });
  await start();
  facts.set('llama', policyFacts({ redisWhy: 'connection refused' }));
  await clock.advance(60_000);
  expect(told).toMatchObject([
    {
      reason: 'RedisUnreachable',
      object: { kind: 'ScalePolicy', apiVersion: 'pilotlight.dev/v1alpha1', name: 'llama' },
    },
  ]);
});

test('an ObjectivePolicy has the conditions of what reading it came to', async () => {
  const clock = new FakeClock();
  const kube = new FakeKube({
    ...{ group: 'pilotlight.dev', version: 'v1alpha1', plural: 'objectivepolicies', kind: 'ObjectivePolicy' },
  });
  kube.put({ metadata: { namespace: 'default', name: 'nightly', uid: 'n', generation: 2 } });
  const verdicts = {
    generation: 2,
    accepted: { status: true, reason: 'Accepted', message: 'The spec holds.' },
    resolvedRefs: { status: false, reason: 'ObjectiveNotFound', message: 'no objective night; create it' },
  };
  const leadership: Leadership = { isLeader: () => true, term: () => 1, onChange: () => () => undefined };
  const writer = new PolicyStatusWriter({
    ...{ api: kube, leadership, clock, log: silentLogger, events: { emit: () => undefined } },
    kinds: [objectivePolicyKind(kube, () => verdicts)],
  });
  writer.start();
  stops.push(async () => {
    const stopping = writer.stop();
    await clock.advance(1_000);
    await stopping;
  });
  await clock.advance(60_000);
  expect(kube.requests).toHaveLength(1);
  expect(kube.stored('default', 'nightly')!.status).toMatchObject({
    observedGeneration: 2,
    conditions: [
      { type: 'Accepted' },
      { type: 'ResolvedRefs', status: 'False', message: 'no objective night; create it' },
    ],
  });
});
