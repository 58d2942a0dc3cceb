import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EngineMetrics } from '../../../src/core/endpoint.ts';
import type { EndpointFault } from '../../../src/dispatcher/policy/failure.ts';
import { AUTO_MAX, AUTO_START } from '../../../src/dispatcher/policy/learned-limit.ts';
import {
  afterFault,
  afterProbe,
  afterScrape,
  afterSuccess,
  afterTick,
  freshSlots,
  isProbeDue,
  openSlots,
  reconfigured,
  SLOW_START_STEP_MS,
  type SlotState,
} from '../../../src/dispatcher/policy/slots.ts';

const engine = (changes: Partial<EngineMetrics> = {}): EngineMetrics => ({
  runningRequests: 0,
  waitingRequests: 0,
  runningAdapters: [],
  waitingAdapters: [],
  ...changes,
});

const successes = (state: SlotState, count: number): SlotState =>
  Array.from({ length: count }).reduce<SlotState>((now) => afterSuccess(now, 0), state);

describe('slow start', () => {
  test('a fresh endpoint opens a quarter of its slots', () => {
    expect(openSlots(freshSlots(16, 0, 0))).toBe(4);
    expect(openSlots(freshSlots(1, 0, 0))).toBe(1);
    expect(openSlots(freshSlots('Auto', 0, 0))).toBe(AUTO_START / 4);
  });

  test('an endpoint that has long been ready opens all of them', () => {
    expect(openSlots(freshSlots(16, 61_000, 0))).toBe(16);
  });

  test('it doubles with every round of successes', () => {
    const fresh = freshSlots(16, 0, 0);
    expect(openSlots(successes(fresh, 3))).toBe(4);
    expect(openSlots(successes(fresh, 4))).toBe(8);
    expect(openSlots(successes(fresh, 12))).toBe(16);
    expect(successes(fresh, 12).ramp).toBeNull();
  });

  test('it doubles with time where there is no traffic', () => {
    const fresh = freshSlots(16, 0, 0);
    expect(openSlots(afterTick(fresh, SLOW_START_STEP_MS - 1))).toBe(4);
    expect(openSlots(afterTick(fresh, SLOW_START_STEP_MS))).toBe(8);
  });

  test('a full endpoint that is well costs nothing per success', () => {
    const full = freshSlots(16, 61_000, 0);
    expect(afterSuccess(full, 5)).toBe(full);
    expect(afterTick(full, 1e9)).toBe(full);
  });
});

describe('faults', () => {
  test('a busy engine is halved, once per congestion', () => {
    const full = freshSlots(16, 61_000, 0);
    const once = afterFault(full, 'busy', 10_000);
    expect(openSlots(once)).toBe(8);
    expect(openSlots(afterFault(once, 'busy', 10_500))).toBe(8);
    expect(openSlots(afterFault(once, 'busy', 13_000))).toBe(4);
    expect(openSlots(successes(once, 8))).toBe(16);
  });

  test('nobody listens: closed at once', () => {
    expect(openSlots(afterFault(freshSlots(8, 0, 0), 'dead', 0))).toBe(0);
  });

  test('three broken calls in a row close it, a success between them does not', () => {
    const sick = (state: SlotState): SlotState => afterFault(state, 'sick', 0);
    const fresh = freshSlots(8, 61_000, 0);
    expect(openSlots(sick(sick(fresh)))).toBe(8);
    expect(openSlots(sick(sick(sick(fresh))))).toBe(0);
    expect(openSlots(sick(sick(afterSuccess(sick(sick(fresh)), 0))))).toBe(8);
  });

  test('it is probed after a second, then ever later, and comes back with a quarter', () => {
    const closed = afterFault(freshSlots(8, 61_000, 0), 'dead', 0);
    expect(isProbeDue(closed, 999)).toBe(false);
    expect(isProbeDue(closed, 1_000)).toBe(true);
    const again = afterProbe(closed, false, 1_000);
    expect(isProbeDue(again, 2_999)).toBe(false);
    expect(isProbeDue(again, 3_000)).toBe(true);
    expect(openSlots(afterProbe(again, true, 3_000))).toBe(2);
  });

  test('the pauses between probes end at thirty seconds and start again after a success', () => {
    let state = freshSlots(8, 61_000, 0);
    for (let round = 0; round < 40; round += 1) state = afterProbe(afterFault(state, 'dead', 0), false, 0);
    expect(state.quarantine?.untilMs).toBe(30_000);
    const well = afterSuccess(afterProbe(state, true, 0), 0);
    expect(afterFault(well, 'dead', 0).quarantine?.untilMs).toBe(1_000);
  });
});

describe('a learned limit', () => {
  const auto = (limit: number): SlotState => ({ ...freshSlots('Auto', 61_000, 0), limit });
  const full = (limit: number, waitingRequests = 0): EngineMetrics =>
    engine({ runningRequests: limit, waitingRequests });

  test.each([
    { name: 'rises while the engine is full and nothing waits', given: full(8), want: 10 },
    { name: 'rises with the small queue that keeps the engine fed', given: full(8, 2), want: 10 },
    { name: 'stays when it is not what holds the load back', given: full(3), want: 8 },
    { name: 'stays while some wait', given: full(8, 3), want: 8 },
    { name: 'stays when the KV cache is nearly full', given: { ...full(8), kvUsageRatio: 0.92 }, want: 8 },
    { name: 'is cut when the queue grows', given: full(8, 5), want: 6 },
    { name: 'is cut when the KV cache is full', given: { ...full(8), kvUsageRatio: 0.97 }, want: 6 },
  ])('$name', ({ given, want }) => {
    expect(openSlots(afterScrape(auto(8), given, 0))).toBe(want);
  });

  test('is cut once in two seconds: a cut needs time to show', () => {
    const cut = afterScrape(auto(100), full(100, 40), 0);
    expect(cut.limit).toBe(80);
    expect(afterScrape(cut, full(80, 30), 1_999).limit).toBe(80);
    expect(afterScrape(cut, full(80, 30), 2_000).limit).toBe(64);
  });

  test('finds 32 within three seconds of busy scrapes', () => {
    let state = auto(AUTO_START);
    for (let scrape = 0; scrape < 15; scrape += 1)
      state = afterScrape(state, full(Math.min(32, state.limit)), scrape * 200);
    expect(state.limit).toBeGreaterThanOrEqual(32);
  });

  test('a configured number is never moved by metrics', () => {
    const configured = freshSlots(8, 61_000, 0);
    expect(afterScrape(configured, full(8, 100), 0)).toBe(configured);
  });
});

test('a changed configuration takes effect, an unchanged one changes nothing', () => {
  const state = freshSlots(8, 61_000, 0);
  expect(reconfigured(state, 8)).toBe(state);
  expect(openSlots(reconfigured(state, 4))).toBe(4);
  expect(reconfigured(state, 'Auto')).toMatchObject({ auto: true, limit: AUTO_START });
});

test('an engine without room for adapters says so', () => {
  expect(afterScrape(freshSlots(8, 0, 0), engine({ maxAdapters: 0 }), 0).noAdapters).toBe(true);
  expect(afterScrape(freshSlots(8, 0, 0), engine({ maxAdapters: 2 }), 0).noAdapters).toBe(false);
});

describe('whatever happens', () => {
  type Event =
    | { readonly kind: 'ok' }
    | { readonly kind: 'tick' }
    | { readonly kind: 'fault'; readonly fault: EndpointFault }
    | { readonly kind: 'probe'; readonly alive: boolean }
    | { readonly kind: 'scrape'; readonly engine: EngineMetrics };
  const metrics = fc.record({
    runningRequests: fc.nat(400),
    waitingRequests: fc.nat(400),
    kvUsageRatio: fc.double({ min: 0, max: 1, noNaN: true }),
    runningAdapters: fc.constant([]),
    waitingAdapters: fc.constant([]),
  });
  const events: fc.Arbitrary<Event> = fc.oneof(
    fc.constant({ kind: 'ok' as const }),
    fc.constant({ kind: 'tick' as const }),
    fc.record({
      kind: fc.constant('fault' as const),
      fault: fc.constantFrom<EndpointFault>('dead', 'sick', 'busy', 'none'),
    }),
    fc.record({ kind: fc.constant('probe' as const), alive: fc.boolean() }),
    fc.record({ kind: fc.constant('scrape' as const), engine: metrics }),
  );
  const configured = fc.oneof(fc.constant('Auto' as const), fc.integer({ min: 1, max: 300 }));

  function next(state: SlotState, event: Event, nowMs: number): SlotState {
    switch (event.kind) {
      case 'ok':
        return afterSuccess(state, nowMs);
      case 'tick':
        return afterTick(state, nowMs);
      case 'fault':
        return afterFault(state, event.fault, nowMs);
      case 'probe':
        return afterProbe(state, event.alive, nowMs);
      case 'scrape':
        return afterScrape(state, event.engine, nowMs);
    }
  }

  test('slots are whole, within bounds, zero only in quarantine, and move only the way the event says', () => {
    fc.assert(
      fc.property(configured, fc.array(fc.tuple(events, fc.nat(3_000)), { maxLength: 60 }), (limit, steps) => {
        let state = freshSlots(limit, 0, 0);
        let nowMs = 0;
        for (const [event, passedMs] of steps) {
          nowMs += passedMs;
          const before = openSlots(state);
          state = next(state, event, nowMs);
          const after = openSlots(state);
          expect(Number.isInteger(after)).toBe(true);
          expect(after === 0).toBe(state.quarantine !== null);
          expect(after).toBeLessThanOrEqual(limit === 'Auto' ? AUTO_MAX : limit);
          if (event.kind === 'ok' || event.kind === 'tick') expect(after).toBeGreaterThanOrEqual(before);
          if (event.kind === 'fault') expect(after).toBeLessThanOrEqual(before);
          if (event.kind === 'scrape' && limit !== 'Auto') expect(after).toBe(before);
        }
      }),
    );
  });

  test('more waiting inside the engine never means more slots', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: AUTO_MAX }), metrics, fc.nat(50), (limit, engineNow, more) => {
        const state = { ...freshSlots('Auto', 61_000, 0), limit };
        const calm = afterScrape(state, engineNow, 0);
        const { runningRequests, waitingRequests } = engineNow;
        const moved = Math.min(more, runningRequests);
        const worse = {
          ...engineNow,
          runningRequests: runningRequests - moved,
          waitingRequests: waitingRequests + moved,
        };
        expect(afterScrape(state, worse, 0).limit).toBeLessThanOrEqual(calm.limit);
      }),
    );
  });

  test('a quarantined endpoint always comes back once its probes succeed', () => {
    fc.assert(
      fc.property(configured, fc.array(events, { maxLength: 40 }), (limit, steps) => {
        const state = steps.reduce<SlotState>((now, event) => next(now, event, 0), freshSlots(limit, 0, 0));
        const back = afterProbe(state, true, 0);
        expect(openSlots(back)).toBeGreaterThan(0);
      }),
    );
  });
});
