import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FILTER_TYPES, PICKER_TYPES, pickerSection, SCORER_TYPES } from '../../../src/config/schema/picker.ts';
import { seededRandom } from '../../../src/core/random.ts';
import { maxScorePicker, randomPicker, weightedRandomPicker } from '../../../src/picker/policy/pickers.ts';
import {
  compileProfile,
  DEFAULT_PROFILE,
  explainRanking,
  PLUGIN_TYPES,
  type PluginOption,
  type Profile,
  rankEndpoints,
} from '../../../src/picker/policy/profile.ts';
import { engineMetrics, pickRequest, view } from './support.ts';

function compiled(options: readonly PluginOption[]): Profile {
  const result = compileProfile(options);
  if (!result.ok) throw new Error(result.problems.join());
  return result.profile;
}

const ids = (profile: Profile, views: readonly ReturnType<typeof view>[], request = pickRequest()): string[] =>
  rankEndpoints(profile, request, views, seededRandom(1)).map((index) => views[index]?.id ?? '');

describe('compileProfile', () => {
  test('the default profile is valid and uses prefixes', () => {
    expect(compiled(DEFAULT_PROFILE)).toMatchObject({ usesPrefix: true, picker: { type: 'max-score-picker' } });
  });

  test('names every problem at once', () => {
    const result = compileProfile([
      { type: 'queue-scorer', weight: -1 },
      { type: 'kv-scorer' },
      { type: 'max-score-picker' },
      { type: 'random-picker' },
      { type: 'prefix-cache-scorer' },
      { type: 'prefix-cache-scorer' },
    ]);
    const problems = result.ok ? [] : result.problems;
    expect(problems).toHaveLength(4);
    expect(problems[1]).toContain(PLUGIN_TYPES.join(', '));
  });

  test('a scorer of weight 0 costs no prefix index', () => {
    expect(compiled([{ type: 'prefix-cache-scorer', weight: 0 }]).usesPrefix).toBe(false);
  });

  test('without a picker the highest score wins, and availability is always asked', () => {
    const profile = compiled([{ type: 'queue-scorer' }]);
    expect(profile.picker).toBe(maxScorePicker);
    expect(ids(profile, [view('a', { draining: true }), view('b')])).toEqual(['b']);
  });
});

describe('the configuration', () => {
  test('knows exactly the plugins that there are', () => {
    expect([...FILTER_TYPES, ...SCORER_TYPES, ...PICKER_TYPES].sort()).toEqual([...PLUGIN_TYPES].sort());
  });

  test('has the default profile as its default', () => {
    expect(pickerSection.parse(undefined).plugins).toEqual(DEFAULT_PROFILE);
  });
});

describe('rankEndpoints', () => {
  const busy = view('busy', { metrics: engineMetrics({ waitingRequests: 9 }), inFlight: 8 });
  const idle = view('idle');

  test.each([
    { name: 'the idle endpoint comes first', views: [busy, idle], want: ['idle', 'busy'] },
    {
      name: 'draining and silent ones are left out',
      views: [view('a', { draining: true }), view('b', { answering: false }), idle],
      want: ['idle'],
    },
    { name: 'no endpoint, no answer', views: [], want: [] },
    { name: 'missing metrics leave nobody out', views: [view('a', { metrics: null })], want: ['a'] },
  ])('$name', ({ views, want }) => {
    expect(ids(compiled(DEFAULT_PROFILE), views)).toEqual(want);
  });

  test('a call with an adapter skips engines that cannot load any', () => {
    const none = view('none', { metrics: engineMetrics({ maxAdapters: 0 }) });
    const request = pickRequest({ adapter: 'mine' });
    expect(ids(compiled(DEFAULT_PROFILE), [none, idle], request)).toEqual(['idle']);
    expect(ids(compiled(DEFAULT_PROFILE), [none])).toEqual(['none']);
  });

  test('a cached prefix beats a little load, heavy load beats the prefix', () => {
    const request = pickRequest({ promptBlocks: 10, matchedBlocks: [10, 0] });
    const kv = (kvUsageRatio: number) => engineMetrics({ kvUsageRatio });
    const cached = view('cached', { metrics: kv(0.3), inFlight: 2 });
    const cold = view('cold', { metrics: kv(0.2), inFlight: 1 });
    expect(ids(compiled(DEFAULT_PROFILE), [cached, cold], request)[0]).toBe('cached');
    const full = view('cached', { metrics: { ...kv(0.95), waitingRequests: 20 }, inFlight: 8 });
    expect(ids(compiled(DEFAULT_PROFILE), [full, cold], request)[0]).toBe('cold');
  });

  test('prefix matches stay with their endpoints when a filter takes others out', () => {
    const request = pickRequest({ promptBlocks: 4, matchedBlocks: [0, 4, 0] });
    const views = [view('a', { draining: true }), view('b'), view('c')];
    expect(ids(compiled([{ type: 'prefix-cache-scorer' }]), views, request)[0]).toBe('b');
  });

  test('ties fall evenly', () => {
    const profile = compiled(DEFAULT_PROFILE);
    const views = ['a', 'b', 'c', 'd'].map((id) => view(id));
    const random = seededRandom(7);
    const firsts = new Map<number, number>();
    for (let draw = 0; draw < 4_000; draw += 1) {
      const [first = -1] = rankEndpoints(profile, pickRequest(), views, random);
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    for (const count of firsts.values()) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });

  test('every endpoint that passes is ranked once, and the same draws rank the same', () => {
    const anyView = fc.record({
      id: fc.string(),
      draining: fc.boolean(),
      answering: fc.boolean(),
      inFlight: fc.nat(9),
      metrics: fc.option(fc.nat(9).map((waitingRequests) => engineMetrics({ waitingRequests }))),
    });
    const profiles = fc.constantFrom('max-score-picker', 'random-picker', 'weighted-random-picker');
    fc.assert(
      fc.property(fc.array(anyView, { maxLength: 9 }), fc.nat(), profiles, (views, seed, picker) => {
        const profile = compiled([{ type: 'queue-scorer' }, { type: 'active-request-scorer' }, { type: picker }]);
        const ranked = rankEndpoints(profile, pickRequest(), views, seededRandom(seed));
        const passing = views.flatMap(({ draining, answering }, index) => (!draining && answering ? [index] : []));
        expect([...ranked].sort((a, b) => a - b)).toEqual(passing);
        expect(rankEndpoints(profile, pickRequest(), views, seededRandom(seed))).toEqual(ranked);
      }),
    );
  });
});

describe('pickers', () => {
  test('max-score-picker sorts by total', () => {
    expect(maxScorePicker.order([1, 3, 2], seededRandom(1))).toEqual([1, 2, 0]);
  });

  test('random-picker ignores totals', () => {
    const random = seededRandom(3);
    const firsts = new Set(Array.from({ length: 50 }, () => randomPicker.order([9, 0, 0], random)[0]));
    expect(firsts).toEqual(new Set([0, 1, 2]));
  });

  test('weighted-random-picker prefers in proportion, and zero comes last', () => {
    const random = seededRandom(5);
    let first = 0;
    for (let draw = 0; draw < 3_000; draw += 1) {
      const order = weightedRandomPicker.order([2, 1, 0], random);
      expect(order[2]).toBe(2);
      if (order[0] === 0) first += 1;
    }
    expect(Math.abs(first / 3_000 - 2 / 3)).toBeLessThan(0.04);
  });
});

test('an explanation shows every plugin, every endpoint, and why one is out', () => {
  const profile = compiled([{ type: 'queue-scorer', weight: 2 }, { type: 'active-request-scorer' }]);
  const views = [view('a', { inFlight: 2 }), view('b', { draining: true }), view('c')];
  expect(explainRanking(profile, pickRequest(), views)).toEqual([
    {
      endpointId: 'a',
      rejectedBy: null,
      scores: [
        { type: 'queue-scorer', score: 1, weight: 2 },
        { type: 'active-request-scorer', score: 0, weight: 1 },
      ],
      total: 2,
    },
    { endpointId: 'b', rejectedBy: 'availability-filter: draining', scores: [], total: 0 },
    {
      endpointId: 'c',
      rejectedBy: null,
      scores: [
        { type: 'queue-scorer', score: 1, weight: 2 },
        { type: 'active-request-scorer', score: 1, weight: 1 },
      ],
      total: 3,
    },
  ]);
});

test('a scorer that misbehaves is clamped, and what is no number counts as nothing', () => {
  const wild = (scores: readonly number[]): Profile => ({
    filters: [],
    scorers: [{ plugin: { kind: 'scorer', type: 'wild', score: () => scores }, weight: 1 }],
    picker: maxScorePicker,
    usesPrefix: false,
  });
  const totalsOf = (scores: readonly number[]): number[] =>
    explainRanking(wild(scores), pickRequest(), [view('a'), view('b'), view('c')]).map(({ total }) => total);
  expect(totalsOf([9, -4, Number.NaN])).toEqual([1, 0, 0]);
  expect(totalsOf([0.5])).toEqual([0.5, 0, 0]);
});
