import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PolicyFacts } from '../../../../src/autoscaler/policy/policy-facts.ts';
import { POLICY_REASONS } from '../../../../src/autoscaler/policy/policy-reasons.ts';
import { policyStatus, statusChange, statusPatch } from '../../../../src/autoscaler/policy/policy-status.ts';
import type { FeedFreshness } from '../../../../src/core/kubernetes.ts';
import { POLICY_CONDITIONS, type PolicyConditionType } from '../../../../src/core/policy-status.ts';
import { NO_ORDER } from '../../../../src/core/pool-orders.ts';
import { BOOT_TROUBLES, WARM_UP_PHASES } from '../../../../src/core/replicas.ts';
import { NOW, policyFacts, poolFacts, poolStatusFacts, replica, targetFacts, troubled } from './facts.ts';

const feed = (resource: string, freshness: Partial<FeedFreshness>): PolicyFacts['feeds'][number] => ({
  resource,
  freshness: { state: 'live', heardAtEpochMs: NOW, why: null, ...freshness },
});
const withPool = (status: Parameters<typeof poolStatusFacts>[0]): Partial<PolicyFacts> => ({
  pool: poolFacts({ status: poolStatusFacts(status) }),
});
const withTarget = (type: PolicyConditionType, reason: string, message: string): Partial<PolicyFacts> => {
  const state = { specReplicas: 1, templateHash: 'abc', conditions: [{ type, status: false, reason, message }] };
  return { pool: poolFacts({ targets: [targetFacts(), targetFacts({ name: 'spot', state: state })] }) };
};
const condition = (facts: Partial<PolicyFacts>, type: PolicyConditionType) =>
  policyStatus(policyFacts(facts), null, NOW).conditions.find((one) => one.type === type)!;

test('a pool that serves is well in every condition', () => {
  const { conditions } = policyStatus(policyFacts(), null, NOW);
  expect(conditions.map(({ type, status, reason }) => `${type}=${status} ${reason}`)).toEqual([
    'Accepted=True Accepted',
    'ResolvedRefs=True ResolvedRefs',
    'Ready=True Serving',
    'CapacityAvailable=True Available',
    'ReplicasOwned=True SoleWriter',
    'Permitted=True RightsComplete',
    'TrafficManaged=True ThroughPilotlight',
    'InSync=True InSync',
  ]);
});

const breaker = { isOpen: true, failures: 3, message: 'exit code 1', retryInMs: 60_000 };

describe('each bad day is a condition with its remedy', () => {
  test.each<{ name: string; facts: Partial<PolicyFacts>; want: string; says: string[] }>([
    {
      name: 'contradictory bounds',
      facts: {
        accepted: { status: false, reason: 'Invalid', message: 'minReplicas 3 is above maxReplicas 2; lower it' },
      },
      want: 'Accepted=False Invalid',
      says: ['lower it'],
    },
    {
      name: 'two policies for one model',
      facts: { accepted: { status: false, reason: 'Conflicted', message: 'llama is taken; use another name' } },
      want: 'Accepted=False Conflicted',
      says: ['use another name'],
    },
    {
      name: 'a policy that points at nothing',
      facts: { resolvedRefs: { status: false, reason: 'PoolNotFound', message: 'no pool llama; create it' } },
      want: 'ResolvedRefs=False PoolNotFound',
      says: ['create it'],
    },
    {
      name: 'a policy that cannot be read: what it names is not known',
      facts: { resolvedRefs: { status: null, reason: 'Invalid', message: 'Not looked at yet.' } },
      want: 'ResolvedRefs=Unknown Invalid',
      says: [],
    },
    {
      name: 'two pools on the same pods',
      facts: { accepted: { status: true, reason: 'SelectorOverlap', message: 'pool b has them, too' } },
      want: 'Accepted=True SelectorOverlap',
      says: ['pool b'],
    },
    {
      name: 'a target that does not exist',
      facts: withTarget('ResolvedRefs', 'TargetNotFound', 'Deployment spot does not exist; create it'),
      want: 'ResolvedRefs=False TargetNotFound',
      says: ['target spot: Deployment spot does not exist; create it.'],
    },
    {
      name: 'a pool that has not been looked at yet',
      facts: { pool: null },
      want: 'Ready=Unknown Starting',
      says: ['not looked'],
    },
    {
      name: 'a policy without effect',
      facts: { pool: null, accepted: { status: false, reason: 'Invalid', message: 'x' } },
      want: 'Ready=False NotAccepted',
      says: ['Accepted'],
    },
    {
      name: 'a pool at zero',
      facts: withPool({ phase: 'Asleep', replicas: [], desiredReplicas: 0, nextReadyMs: { p50: 1, p90: 1 } }),
      want: 'Ready=True Asleep',
      says: ['next call'],
    },
    {
      name: 'a pool that wakes',
      facts: withPool({ phase: 'Waking', replicas: [replica('Pending')], nextReadyMs: { p50: 90_000, p90: 1 } }),
      want: 'Ready=False Waking',
      says: ['nextReadyAt'],
    },
    {
      name: 'a pool that drains',
      facts: withPool({ phase: 'Draining', replicas: [replica('Draining')] }),
      want: 'Ready=False Draining',
      says: ['queued work'],
    },
    {
      name: 'a pool for which nothing can come',
      facts: withPool({ phase: 'Stalled', replicas: [], blockedWhy: 'the last 3 boots failed' }),
      want: 'Ready=False Stalled',
      says: ['the last 3 boots failed.'],
    },
    {
      name: 'a paused pool without replicas',
      facts: withPool({ phase: 'Paused', replicas: [] }),
      want: 'Ready=False Paused',
      says: ['pilotlight resume'],
    },
    {
      name: 'a paused pool that serves',
      facts: withPool({ phase: 'Paused', replicas: [replica('Ready')] }),
      want: 'Ready=True Serving',
      says: ['paused'],
    },
    ...BOOT_TROUBLES.map((kind) => ({
      name: `a replica in trouble: ${kind}`,
      facts: withPool({ phase: 'Stalled', replicas: [troubled(kind)] }),
      want: `CapacityAvailable=False ${kind}`,
      says: [`1 replica of gpu: says ${kind}; mend it.`],
    })),
    {
      name: 'several troubles: what is permanent comes first',
      facts: withPool({
        replicas: [
          troubled('Unschedulable', { blocksOrders: true }),
          troubled('Overdue'),
          troubled('ImagePull', { permanent: true, blocksOrders: true }),
          troubled('ImagePull'),
        ],
      }),
      want: 'CapacityAvailable=False ImagePull',
      says: ['2 replicas'],
    },
    {
      name: 'a quota that the workload reports itself',
      facts: withTarget('CapacityAvailable', 'QuotaExceeded', 'exceeded quota gpus; raise it'),
      want: 'CapacityAvailable=False QuotaExceeded',
      says: ['target spot', 'raise it'],
    },
    {
      name: 'an open breaker',
      facts: { pool: poolFacts({ targets: [targetFacts({ breaker })] }) },
      want: 'CapacityAvailable=False BreakerOpen',
      says: ['last 3 boots of target gpu', 'exit code 1', 'correct its template', 'at 2026-01-31T12:01:00Z'],
    },
    {
      name: 'an open breaker whose probe fails: the cause is the reason',
      facts: {
        pool: poolFacts({
          status: poolStatusFacts({ replicas: [troubled('ImagePull', { permanent: true })] }),
          targets: [targetFacts({ breaker })],
        }),
      },
      want: 'CapacityAvailable=False ImagePull',
      says: ['mend it', 'correct its template'],
    },
    {
      name: 'an HPA on the same workload',
      facts: withTarget('ReplicasOwned', 'OtherAutoscaler', 'HorizontalPodAutoscaler web scales it; delete one'),
      want: 'ReplicasOwned=False OtherAutoscaler',
      says: ['delete one'],
    },
    { name: 'mode Observe', facts: { observes: true }, want: 'ReplicasOwned=True Observing', says: ['never written'] },
    {
      name: 'a missing verb',
      facts: { missingRights: [{ verb: 'patch', resource: 'deployments/scale', namespace: 'ml' }] },
      want: 'Permitted=False RightsMissing',
      says: ['cannot patch deployments/scale in namespace ml', 'Role'],
    },
    {
      name: 'many missing verbs',
      facts: {
        missingRights: Array.from({ length: 40 }, () => ({
          verb: 'create',
          resource: 'tokenreviews',
          namespace: null,
        })),
      },
      want: 'Permitted=False RightsMissing',
      says: ['cannot create tokenreviews in the cluster', 'and 35 more'],
    },
    {
      name: 'a right that a target found missing',
      facts: withTarget('Permitted', 'RightsMissing', 'may not patch statefulsets/scale; add it to the Role'),
      want: 'Permitted=False RightsMissing',
      says: ['target spot'],
    },
    { name: 'rights not checked yet', facts: { missingRights: null }, want: 'Permitted=Unknown NotChecked', says: [] },
    {
      name: 'traffic past Pilotlight',
      facts: withPool({ bypassTraffic: { requests: 2, sinceEpochMs: NOW } }),
      want: 'TrafficManaged=False BypassTraffic',
      says: ['2 requests', 'through Pilotlight'],
    },
    {
      name: 'Redis away',
      facts: { redisWhy: 'connection refused', feeds: [feed('pods', { state: 'stale' })] },
      want: 'InSync=False RedisUnreachable',
      says: ['connection refused', 'check Redis', 'stay as they are'],
    },
    {
      name: 'the API server down',
      facts: { feeds: [feed('pods', {}), feed('deployments', { state: 'stale', why: 'connection refused' })] },
      want: 'InSync=False ApiServerStale',
      says: ['deployments were heard of last at 2026-01-31T12:00:00Z', 'connection refused', 'stay as they are'],
    },
    {
      name: 'a CRD missing',
      facts: { feeds: [feed('inferencepools', { state: 'absent', why: 'install the Gateway API inference CRDs' })] },
      want: 'InSync=False ResourceMissing',
      says: ['install the Gateway API inference CRDs.'],
    },
    {
      name: 'a list that is not complete yet',
      facts: { feeds: [feed('pods', { state: 'syncing', heardAtEpochMs: null })] },
      want: 'InSync=Unknown Syncing',
      says: ['pods'],
    },
    {
      name: 'a ledger that does not tell',
      facts: withPool({ frozen: { source: 'ledger', why: 'owners re-assert', sinceEpochMs: NOW } }),
      want: 'InSync=False DemandUnknown',
      says: ['owners re-assert.', 'stay as they are'],
    },
    {
      name: 'replicas that are not known',
      facts: withPool({ frozen: { source: 'replicas', why: 'pods are not listed', sinceEpochMs: NOW } }),
      want: 'InSync=False ReplicasUnknown',
      says: ['pods are not listed.'],
    },
  ])('$name', ({ facts, want, says }) => {
    const [type = ''] = want.split('=');
    const found = condition(facts, type as PolicyConditionType);
    expect(`${found.type}=${found.status} ${found.reason}`).toBe(want);
    for (const words of says) expect(found.message).toContain(words);
    expect(found.observedGeneration).toBe(3);
  });
});

test('a condition keeps its transition time until its status changes', () => {
  const first = policyStatus(policyFacts(), null, NOW);
  const waking = policyFacts(withPool({ phase: 'Waking', replicas: [replica('Pending')] }));
  const second = policyStatus(waking, first, NOW + 60_000);
  const third = policyStatus(
    policyFacts(withPool({ phase: 'Stalled', replicas: [], blockedWhy: 'broken' })),
    second,
    NOW + 120_000,
  );
  const timeOf = (status: typeof first, type: PolicyConditionType) =>
    status.conditions.find((one) => one.type === type)!.lastTransitionTime;
  expect(timeOf(second, 'Ready')).toBe('2026-01-31T12:01:00Z');
  expect(timeOf(third, 'Ready')).toBe('2026-01-31T12:01:00Z');
  expect(timeOf(third, 'Accepted')).toBe('2026-01-31T12:00:00Z');
});

test('counts, times, decision, targets and orders are shown', () => {
  const pool = poolFacts({
    status: poolStatusFacts({
      ...{ phase: 'Waking', desiredReplicas: 2, nextReadyMs: { p50: 30_000, p90: 60_000 } },
      replicas: [replica('Ready'), replica('Pending'), replica('ModelLoading'), replica('Stuck'), replica('Draining')],
    }),
    demand: { queued: 7, running: 2, oldestQueuedAtEpochMs: NOW - 61_500 },
    order: { ...NO_ORDER, paused: true, by: 'ada' },
    targets: [targetFacts({ heldWhy: 'no order (quota)' }), targetFacts({ name: 'local', state: null })],
  });
  const { conditions, ...status } = policyStatus(
    policyFacts({ pool, remarks: ['an annotation is ignored'] }),
    null,
    NOW,
  );
  expect(conditions).toHaveLength(8);
  expect(status).toEqual({
    ...{ observedGeneration: 3, phase: 'Waking', readyReplicas: 1, bootingReplicas: 2, desiredReplicas: 2 },
    replicasByPhase: { Pending: 1, ModelLoading: 1, Ready: 1, Draining: 1, Stuck: 1 },
    ...{ queued: 7, running: 2, oldestQueuedAt: '2026-01-31T11:58:58Z', nextReadyAt: '2026-01-31T12:00:30Z' },
    lastDecision: { at: '2026-01-31T12:00:00Z', rule: 'steady', message: 'one is enough', wouldChange: ['more work'] },
    targets: [
      {
        ...{ name: 'gpu', specReplicas: 1, readyReplicas: 1, bootingReplicas: 0, templateHash: 'abc' },
        message: 'no order (quota)',
      },
      { name: 'local', readyReplicas: 1, bootingReplicas: 0 },
    ],
    orders: ['paused: replicas stay as they are until it is resumed (ordered by ada)', 'an annotation is ignored'],
  });
});

test('a patch takes away what an earlier status had', () => {
  const patch = statusPatch(policyStatus(policyFacts(), null, NOW));
  expect(patch).toMatchObject({ oldestQueuedAt: null, nextReadyAt: null });
  expect(patch['replicasByPhase']).toEqual({
    ...Object.fromEntries(WARM_UP_PHASES.map((phase) => [phase, null])),
    Ready: 1,
  });
});

test.each<{ name: string; facts: Partial<PolicyFacts>; laterMs?: number; want: string }>([
  { name: 'nothing', facts: {}, laterMs: 3_600_000, want: 'none' },
  {
    name: 'the same decision again',
    facts: {
      pool: poolFacts({
        decision: { atEpochMs: NOW + 9_999, rule: 'steady', sentence: 'one is enough', wouldChange: ['more work'] },
      }),
    },
    want: 'none',
  },
  {
    name: 'a counter',
    facts: { pool: poolFacts({ demand: { queued: 1, running: 0, oldestQueuedAtEpochMs: null } }) },
    want: 'drift',
  },
  { name: 'the phase', facts: withPool({ phase: 'Draining' }), want: 'material' },
  { name: 'the reason of a condition', facts: withPool({ replicas: [troubled('Overdue')] }), want: 'material' },
  { name: 'the generation', facts: { generation: 4 }, want: 'material' },
])('what changed: $name → $want', ({ facts, laterMs = 0, want }) => {
  const before = policyStatus(policyFacts(), null, NOW);
  const after = policyStatus(policyFacts(facts), before, NOW + laterMs);
  expect(statusChange(before, after)).toBe(want);
});

const anyFacts: fc.Arbitrary<PolicyFacts> = fc
  .record({
    phases: fc.array(fc.constantFrom(...WARM_UP_PHASES), { maxLength: 5 }),
    trouble: fc.option(fc.constantFrom(...BOOT_TROUBLES)),
    phase: fc.constantFrom(
      'Asleep' as const,
      'Waking' as const,
      'Ready' as const,
      'Stalled' as const,
      'Paused' as const,
    ),
    message: fc.string({ maxLength: 3_000 }),
    accepted: fc.boolean(),
    known: fc.boolean(),
    nextReadyMs: fc.option(fc.nat(900_000)),
    oldestAgoMs: fc.option(fc.nat(900_000)),
    state: fc.constantFrom('absent' as const, 'syncing' as const, 'live' as const, 'stale' as const),
    redisWhy: fc.option(fc.string()),
    wakeInMs: fc.option(fc.integer({ min: 1_000, max: 900_000 })),
  })
  .map((drawn) =>
    policyFacts({
      accepted: { status: drawn.accepted, reason: drawn.accepted ? 'Accepted' : 'Invalid', message: drawn.message },
      redisWhy: drawn.redisWhy,
      feeds: [feed('pods', { state: drawn.state })],
      pool: drawn.known
        ? poolFacts({
            status: poolStatusFacts({
              phase: drawn.phase,
              nextReadyMs: drawn.nextReadyMs === null ? null : { p50: drawn.nextReadyMs, p90: drawn.nextReadyMs },
              replicas: [
                ...drawn.phases.map((phase) => replica(phase)),
                ...(drawn.trouble === null ? [] : [troubled(drawn.trouble, { message: drawn.message })]),
              ],
            }),
            demand: {
              ...{ queued: 1, running: 1 },
              oldestQueuedAtEpochMs: drawn.oldestAgoMs === null ? null : NOW - drawn.oldestAgoMs,
            },
            order: { ...NO_ORDER, wakeUntilEpochMs: drawn.wakeInMs === null ? null : NOW + drawn.wakeInMs },
          })
        : null,
    }),
  );

test('whatever happens: the same facts again are no write, and the status is well-formed', () => {
  fc.assert(
    fc.property(anyFacts, anyFacts, (first, second) => {
      const status = policyStatus(second, policyStatus(first, null, NOW - 60_000), NOW);
      // As the API server gives it back: JSON, its keys in another order.
      const stored = JSON.parse(JSON.stringify(Object.fromEntries(Object.entries(status).reverse()))) as typeof status;
      expect(statusChange(stored, policyStatus(second, stored, NOW + 400))).toBe('none');
      expect(status.conditions.map(({ type }) => type)).toEqual(POLICY_CONDITIONS);
      for (const { message, reason, lastTransitionTime } of status.conditions) {
        expect(message.length).toBeLessThanOrEqual(1_024);
        expect(reason).toMatch(/^[A-Z][A-Za-z]+$/);
        expect(lastTransitionTime).toMatch(/^2026-01-31T1\d:\d\d:\d\dZ$/);
      }
    }),
  );
});

test('every reason that is given is in the catalogue, with the status that it says', () => {
  fc.assert(
    fc.property(anyFacts, (facts) => {
      for (const { type, status, reason } of policyStatus(facts, null, NOW).conditions) {
        const entry = POLICY_REASONS.find((known) => known.type === type && known.reason === reason);
        expect(entry?.status, `${type} ${reason}`).toBe(status);
      }
    }),
  );
});

test('every reason that a target gives for what is not well is in the catalogue', async () => {
  const path = '../../../../src/autoscaler/adapters/kubernetes-target/target-state.ts';
  const text = await readFile(new URL(path, import.meta.url), 'utf8');
  const given = [...text.matchAll(/fact\('(\w+)', '(\w+)'(?!.*status: true)/g)].map(
    ([, type, reason]) => `${type} ${reason}`,
  );
  const known = POLICY_REASONS.map(({ type, reason }) => `${type} ${reason}`);
  expect(given.length).toBeGreaterThan(5);
  expect(given.filter((reason) => !known.includes(reason))).toEqual([]);
});

test('docs/kubernetes-status.md has every reason of the catalogue with its meaning and remedy, and no other', async () => {
  const text = await readFile(new URL('../../../../docs/kubernetes-status.md', import.meta.url), 'utf8');
  const rows = text.split('\n').filter((line) => /^\| `\w+` \| (True|False|Unknown) \|/.test(line));
  const wanted = POLICY_CONDITIONS.flatMap((type) =>
    POLICY_REASONS.filter((entry) => entry.type === type).map(
      ({ reason, status, meaning, remedy }) => `| \`${reason}\` | ${status} | ${meaning} | ${remedy || '–'} |`,
    ),
  );
  expect(rows).toEqual(wanted);
});
