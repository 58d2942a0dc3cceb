import { afterEach, expect, test } from 'vitest';
import { targetState } from '../../../../src/autoscaler/adapters/kubernetes-target/target-state.ts';
import { PolicyStatusWriter } from '../../../../src/autoscaler/adapters/policy-status/policy-status-writer.ts';
import { scalePolicyKind } from '../../../../src/autoscaler/adapters/policy-status/status-kinds.ts';
import { differInDurationsOnly, lastingWords } from '../../../../src/autoscaler/policy/lasting-words.ts';
import { soleLeadership } from '../../../../src/core/kubernetes.ts';
import type { ScalePolicyStatus } from '../../../../src/core/policy-status.ts';
import type { BootTrouble } from '../../../../src/core/replicas.ts';
import { FakeKube } from '../../../support/fake-kube.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { KEY, MINUTE_MS, start, stopAll } from '../support/running.ts';
import { policyFacts } from './facts.ts';

afterEach(stopAll);

const RESOURCE = { group: 'pilotlight.dev', version: 'v1alpha1', plural: 'scalepolicies', kind: 'ScalePolicy' };
const HOUR_MS = 60 * MINUTE_MS;

/** A pool with its real autoscaler, and the writer of its status. */
async function quietPool() {
  const { world, autoscaler, orders } = await start();
  const kube = new FakeKube(RESOURCE);
  kube.put({ metadata: { namespace: 'default', name: 'llama', uid: 'llama', generation: 3 } });
  const facts = () => policyFacts({ pool: autoscaler.view(KEY) ?? null });
  const writer = new PolicyStatusWriter({
    ...{ api: kube, leadership: soleLeadership, clock: world.clock, log: silentLogger },
    events: { emit: () => undefined },
    kinds: [scalePolicyKind(kube, facts)],
  });
  writer.start();
  const stop = async () => {
    const stopping = writer.stop();
    await world.clock.advance(20_000);
    await stopping;
  };
  const status = () => kube.stored('default', 'llama')?.status as ScalePolicyStatus;
  const writesIn = async (ms: number): Promise<number> => {
    const before = kube.requests.length;
    await world.pass(ms);
    return kube.requests.length - before;
  };
  return { world, orders, kube, status, writesIn, stop };
}

test('an hour of a pool at zero writes nothing', async () => {
  const { world, status, writesIn, stop } = await quietPool();
  await world.pass(MINUTE_MS);
  expect(status()).toMatchObject({ phase: 'Asleep', lastDecision: { rule: 'asleep' } });
  expect(await writesIn(HOUR_MS)).toBe(0);
  await stop();
});

test('an hour under a hold by hand writes nothing, and says until when it is respected', async () => {
  const { world, status, writesIn, stop } = await quietPool();
  const untilEpochMs = world.clock.epochMs() + 2 * HOUR_MS;
  const sinceMs = world.clock.monotonicMs();
  const hold = { reason: 'ManualScale', manager: 'kubectl', replicas: 0, leftMs: 2 * HOUR_MS, sinceMs, untilEpochMs };
  world.state = () =>
    targetState({
      ...{ workload: 'Deployment llama', view: null, missing: null, error: null, otherScaler: null, takenBy: null },
      ...{ createFailure: null, sharedPods: null, denied: null, scaleDenied: false, troubles: [] },
      writers: { replicas: 0, hold: { ...hold, reason: 'ManualScale' }, fight: null },
    });
  await world.pass(MINUTE_MS);
  const until = new Date(untilEpochMs).toISOString().replace('.000Z', 'Z');
  expect(status().conditions.find(({ type }) => type === 'ReplicasOwned')?.message).toContain(`until ${until}`);
  expect(status().targets[0]?.message).toContain(`until ${until}`);
  expect(await writesIn(HOUR_MS)).toBe(0);
  await stop();
});

test('an hour of a pool that people keep awake writes nothing once its replica is up', async () => {
  const { world, orders, status, writesIn, stop } = await quietPool();
  world.bootMs = 5_000;
  await orders.set(KEY, { wakeUntilEpochMs: world.clock.epochMs() + 3 * HOUR_MS, wakeReplicas: 1 });
  await world.pass(10 * MINUTE_MS);
  expect(status()).toMatchObject({ phase: 'Ready', readyReplicas: 1 });
  expect(await writesIn(HOUR_MS)).toBe(0);
  await stop();
});

test('an open breaker is told with the time of its next try, and not again until then', async () => {
  const { world, status, writesIn, stop } = await quietPool();
  const trouble: BootTrouble = { kind: 'ImagePull', message: 'unknown', permanent: true, blocksOrders: true };
  world.troubles.set('gpu', { trouble, stuck: true });
  world.enqueue(1, 1_000);
  await world.pass(1_000);
  await world.passUntil('it stalls', () => status().phase === 'Stalled', 10 * MINUTE_MS);
  await world.pass(12_000);
  const { message } = status().conditions.find(({ type }) => type === 'CapacityAvailable')!;
  expect(message).toMatch(/next try is at \d{4}-/);
  expect(await writesIn(30_000)).toBe(0);
  await stop();
});

test.each([
  { before: 'idle for 5m 3s of 15m', after: 'idle for 59s of 15m', same: true },
  { before: 'tries one in 900ms', after: 'tries one in 1h', same: true },
  { before: '3 queued requests', after: '4 queued requests', same: false },
  { before: '3 queued for 1m', after: '3 running for 1m', same: false },
])('"$before" and "$after" say the same but for durations: $same', ({ before, after, same }) => {
  expect(differInDurationsOnly(before, after)).toBe(same);
});

test.each([
  { after: 'at 2026-01-31T12:00:04Z', kept: true },
  { after: 'at 2026-01-31T12:00:05Z', kept: false },
  { after: 'by 2026-01-31T12:00:00Z', kept: false },
])('"at 2026-01-31T12:00:00Z" is taken over for "$after": $kept', ({ after, kept }) => {
  const before = 'at 2026-01-31T12:00:00Z';
  expect(lastingWords(before, after)).toBe(kept ? before : after);
  expect(lastingWords(undefined, after)).toBe(after);
});
