import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EndpointView, PickRequest, ScorerPlugin } from '../../../src/picker/policy/plugin.ts';
import { activeRequestScorer } from '../../../src/picker/policy/scorers/active-request.ts';
import { kvCacheUtilizationScorer } from '../../../src/picker/policy/scorers/kv-cache-utilization.ts';
import { loraAffinityScorer } from '../../../src/picker/policy/scorers/lora-affinity.ts';
import { prefixCacheScorer } from '../../../src/picker/policy/scorers/prefix-cache.ts';
import { queueScorer } from '../../../src/picker/policy/scorers/queue-depth.ts';
import { runningRequestsScorer } from '../../../src/picker/policy/scorers/running-requests.ts';
import { engineMetrics, pickRequest, view } from './support.ts';

const scorers: readonly ScorerPlugin[] = [
  queueScorer,
  runningRequestsScorer,
  kvCacheUtilizationScorer,
  prefixCacheScorer,
  loraAffinityScorer,
  activeRequestScorer,
];

const waiting = (...counts: readonly number[]): EndpointView[] =>
  counts.map((waitingRequests, index) => view(`e${index}`, { metrics: engineMetrics({ waitingRequests }) }));
const unknown = view('unknown', { metrics: null });
const lora = (changes: Parameters<typeof engineMetrics>[0]): EndpointView =>
  view('lora', { metrics: engineMetrics({ maxAdapters: 2, ...changes }) });

test.each<{
  name: string;
  scorer: ScorerPlugin;
  request?: Partial<PickRequest>;
  endpoints: EndpointView[];
  want: number[];
}>([
  {
    name: 'the shortest queue is best, the longest worst',
    scorer: queueScorer,
    endpoints: waiting(4, 0, 2),
    want: [0, 1, 0.5],
  },
  { name: 'equal queues do not count', scorer: queueScorer, endpoints: waiting(3, 3), want: [1, 1] },
  {
    name: 'an unknown queue is neutral',
    scorer: queueScorer,
    endpoints: [...waiting(4, 0), unknown],
    want: [0, 1, 0.5],
  },
  {
    name: 'fewer running is better',
    scorer: runningRequestsScorer,
    endpoints: [view('a', { metrics: engineMetrics({ runningRequests: 2 }) }), view('b')],
    want: [0, 1],
  },
  {
    name: 'an empty KV cache is best, an unreported one neutral',
    scorer: kvCacheUtilizationScorer,
    endpoints: [view('a', { metrics: engineMetrics({ kvUsageRatio: 0.25 }) }), view('b'), unknown],
    want: [0.75, 0.5, 0.5],
  },
  {
    name: 'the share of cached blocks',
    scorer: prefixCacheScorer,
    request: { promptBlocks: 4, matchedBlocks: [4, 1, 0] },
    endpoints: [view('a'), view('b'), view('c')],
    want: [1, 0.25, 0],
  },
  { name: 'a short prompt has no prefix', scorer: prefixCacheScorer, endpoints: [view('a'), view('b')], want: [0, 0] },
  {
    name: 'loaded, room, waiting, full, unknown',
    scorer: loraAffinityScorer,
    request: { adapter: 'mine' },
    endpoints: [
      lora({ runningAdapters: ['mine', 'other'] }),
      lora({ runningAdapters: ['other'] }),
      lora({ runningAdapters: ['other'], waitingAdapters: ['mine'] }),
      lora({ runningAdapters: ['other', 'another'] }),
      unknown,
    ],
    want: [1, 0.8, 0.6, 0, 0.5],
  },
  { name: 'the base model has no adapter', scorer: loraAffinityScorer, endpoints: [lora({}), unknown], want: [1, 1] },
  {
    name: 'our own calls in flight',
    scorer: activeRequestScorer,
    endpoints: [view('a', { inFlight: 4 }), view('b', { inFlight: 1 }), view('c')],
    want: [0, 0.75, 1],
  },
])('$scorer.type: $name', ({ scorer, request, endpoints, want }) => {
  expect(scorer.score(pickRequest(request), endpoints)).toEqual(want);
});

const anyMetrics = fc.option(
  fc.record(
    {
      runningRequests: fc.nat(500),
      waitingRequests: fc.nat(500),
      kvUsageRatio: fc.double({ min: 0, max: 1, noNaN: true }),
      maxAdapters: fc.nat(4),
      runningAdapters: fc.subarray(['a', 'b', 'c']),
      waitingAdapters: fc.subarray(['a', 'b', 'c']),
    },
    { requiredKeys: ['runningRequests', 'waitingRequests', 'runningAdapters', 'waitingAdapters'] },
  ),
);
const anyView = fc.record({
  id: fc.string(),
  draining: fc.boolean(),
  answering: fc.boolean(),
  inFlight: fc.nat(300),
  metrics: anyMetrics,
});
const anyPick = fc
  .tuple(fc.array(anyView, { minLength: 1, maxLength: 8 }), fc.option(fc.constantFrom('a', 'b', 'z')), fc.nat(50))
  .chain(([endpoints, adapter, promptBlocks]) =>
    fc
      .array(fc.nat(promptBlocks), { minLength: endpoints.length, maxLength: endpoints.length })
      .map((matchedBlocks) => ({ endpoints, request: { adapter, promptBlocks, matchedBlocks } })),
  );

describe.each(scorers)('$type', (scorer) => {
  test('answers one score in [0, 1] for each endpoint', () => {
    fc.assert(
      fc.property(anyPick, ({ request, endpoints }) => {
        const scores = scorer.score(request, endpoints);
        expect(scores).toHaveLength(endpoints.length);
        for (const score of scores) expect(score >= 0 && score <= 1).toBe(true);
      }),
    );
  });

  test('gives equal endpoints equal scores', () => {
    fc.assert(
      fc.property(anyView, fc.integer({ min: 1, max: 6 }), (endpoint, count) => {
        const same = Array.from({ length: count }, () => endpoint);
        const request = pickRequest({ adapter: 'a', promptBlocks: 4, matchedBlocks: same.map(() => 2) });
        expect(new Set(scorer.score(request, same)).size).toBe(1);
      }),
    );
  });
});

describe('more of a burden never scores better', () => {
  const burdens: readonly { name: string; scorer: ScorerPlugin; heavier: (endpoint: EndpointView) => EndpointView }[] =
    [
      {
        name: 'waiting requests',
        scorer: queueScorer,
        heavier: (endpoint) => ({
          ...endpoint,
          metrics: endpoint.metrics && { ...endpoint.metrics, waitingRequests: endpoint.metrics.waitingRequests + 7 },
        }),
      },
      {
        name: 'running requests',
        scorer: runningRequestsScorer,
        heavier: (endpoint) => ({
          ...endpoint,
          metrics: endpoint.metrics && { ...endpoint.metrics, runningRequests: endpoint.metrics.runningRequests + 7 },
        }),
      },
      {
        name: 'our calls in flight',
        scorer: activeRequestScorer,
        heavier: (endpoint) => ({ ...endpoint, inFlight: endpoint.inFlight + 7 }),
      },
    ];

  test.each(burdens)('$name', ({ scorer, heavier }) => {
    fc.assert(
      fc.property(anyPick, fc.nat(), ({ request, endpoints }, pick) => {
        const place = pick % endpoints.length;
        const worse = endpoints.map((endpoint, index) => (index === place ? heavier(endpoint) : endpoint));
        const before = scorer.score(request, endpoints);
        const after = scorer.score(request, worse);
        const rank = (scores: readonly number[]): number =>
          scores.filter((score) => score > (scores[place] ?? 0) + 1e-9).length;
        expect(rank(after)).toBeGreaterThanOrEqual(rank(before));
      }),
    );
  });

  test('a longer cached prefix scores at least as well', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), fc.nat(50), fc.nat(50), (promptBlocks, first, second) => {
        const [less, more] = [Math.min(first, second, promptBlocks), Math.min(Math.max(first, second), promptBlocks)];
        const request = pickRequest({ promptBlocks, matchedBlocks: [less, more] });
        const [lower = 0, higher = 0] = prefixCacheScorer.score(request, [view('a'), view('b')]);
        expect(higher).toBeGreaterThanOrEqual(lower);
      }),
    );
  });
});
