import { Registry } from 'prom-client';
import { beforeEach, expect, test } from 'vitest';
import { KubeApiError, type KubeRequest } from '../../../../src/core/kubernetes.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { type EventRecorder, eventRecorder, subjectOf } from '../../../../src/platform/kubernetes/events.ts';
import { kubernetesMetrics } from '../../../../src/platform/kubernetes/metrics.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';

const POLICY = {
  ...{ apiVersion: 'pilotlight.dev/v1alpha1', kind: 'ScalePolicy' },
  metadata: { name: 'llama', namespace: 'chat', uid: 'u-1' },
};
const WOKEN = { type: 'Normal', reason: 'Woken', message: 'first request' } as const;

let clock: FakeClock;
let registry: Registry;
let sent: KubeRequest[];
let failures: KubeApiError[];
let recorder: EventRecorder;

beforeEach(() => {
  clock = new FakeClock();
  registry = new Registry();
  sent = [];
  failures = [];
  recorder = eventRecorder({
    ...{ component: 'pilotlight-controller', identity: 'pod-1', clock, random: seededRandom(1), log: silentLogger },
    metrics: kubernetesMetrics(registry),
    api: {
      async request(request) {
        await Promise.resolve();
        sent.push(request);
        const failure = failures.shift();
        if (failure) throw failure;
        return {};
      },
    },
  });
});

async function outcomes(): Promise<Record<string, number>> {
  const { values } = await registry.getSingleMetric('pilotlight_kubernetes_events_total')!.get();
  return Object.fromEntries(values.map(({ labels, value }) => [String(labels['outcome']), value]));
}

test('an Event names object, reason, message and who says so', async () => {
  recorder.record(subjectOf(POLICY), WOKEN);
  await settleMicrotasks();
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({
    method: 'POST',
    path: '/api/v1/namespaces/chat/events',
    body: {
      metadata: { namespace: 'chat', name: expect.stringMatching(/^llama\.[0-9a-f]+$/) as string },
      involvedObject: { ...{ kind: 'ScalePolicy', apiVersion: 'pilotlight.dev/v1alpha1' }, name: 'llama', uid: 'u-1' },
      ...WOKEN,
      count: 1,
      firstTimestamp: '2023-11-14T22:13:20Z',
      source: { component: 'pilotlight-controller', host: 'pod-1' },
    },
  });
});

test('the same again raises the count, in one write for many', async () => {
  for (let time = 0; time < 5; time += 1) recorder.record(subjectOf(POLICY), WOKEN);
  await settleMicrotasks();
  for (let time = 0; time < 3; time += 1) {
    await clock.advance(1_000);
    recorder.record(subjectOf(POLICY), WOKEN);
  }
  await clock.advance(30_000);
  const bodies = sent.map(({ method, body }) => [method, (body as { count: number }).count]);
  expect(bodies[0]).toEqual(['POST', 1]);
  expect(bodies.at(-1)).toEqual(['PATCH', 8]);
  expect(bodies.length).toBeLessThanOrEqual(3);
  expect(sent[1]!.path).toBe(`/api/v1/namespaces/chat/events/${(sent[0]!.body as typeof POLICY).metadata.name}`);
});

test('an Event that has expired meanwhile is written anew', async () => {
  recorder.record(subjectOf(POLICY), WOKEN);
  await clock.advance(60_000);
  failures.push(new KubeApiError('not found', { status: 404 }));
  recorder.record(subjectOf(POLICY), WOKEN);
  await settleMicrotasks();
  expect(sent.map(({ method }) => method)).toEqual(['POST', 'PATCH', 'POST']);
});

test('a flood about one object is cut, others still speak', async () => {
  for (let index = 0; index < 100; index += 1) {
    recorder.record(subjectOf(POLICY), { ...WOKEN, message: `request ${index}` });
  }
  recorder.record({ ...subjectOf(POLICY), name: 'other' }, WOKEN);
  await settleMicrotasks();
  await clock.advance(1_000);
  expect(sent).toHaveLength(26);
  expect(await outcomes()).toEqual({ limited: 75, written: 26 });
  await clock.advance(300_000);
  recorder.record(subjectOf(POLICY), { ...WOKEN, message: 'later' });
  await settleMicrotasks();
  expect(sent).toHaveLength(27);
});

test('what the API server does not take is tried three times, a refusal once, and nothing is thrown', async () => {
  failures = Array.from({ length: 3 }, () => new KubeApiError('not reached', { status: 0 }));
  recorder.record(subjectOf(POLICY), WOKEN);
  await clock.advance(60_000);
  expect(sent).toHaveLength(3);
  failures = [new KubeApiError('forbidden', { status: 403 })];
  recorder.record(subjectOf(POLICY), { ...WOKEN, message: 'other' });
  await clock.advance(60_000);
  expect(sent).toHaveLength(4);
  expect(await outcomes()).toEqual({ failed: 2 });
});

test('a queue that does not move is bounded', async () => {
  for (let index = 0; index < 700; index += 1) recorder.record({ ...subjectOf(POLICY), name: `pool-${index}` }, WOKEN);
  expect((await outcomes())['dropped']).toBe(200);
});

test('close does not wait for the time of a retry', async () => {
  failures = [new KubeApiError('not reached', { status: 0 })];
  recorder.record(subjectOf(POLICY), WOKEN);
  await settleMicrotasks();
  expect(clock.sleeping).toBe(1);
  await recorder.close();
  expect(sent).toHaveLength(2);
  expect(clock.sleeping).toBe(0);
});

test('close writes what waits', async () => {
  recorder.record(subjectOf(POLICY), WOKEN);
  recorder.record(subjectOf(POLICY), { ...WOKEN, message: 'second' });
  await recorder.close();
  expect(sent).toHaveLength(2);
  recorder.record(subjectOf(POLICY), { ...WOKEN, message: 'too late' });
  await settleMicrotasks();
  expect(sent).toHaveLength(2);
  expect(clock.sleeping).toBe(0);
});
