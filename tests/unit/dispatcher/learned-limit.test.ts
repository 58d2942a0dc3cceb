import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { EngineMetrics } from '../../../src/core/endpoint.ts';
import { AUTO_MAX, AUTO_START, limitAmong } from '../../../src/dispatcher/policy/learned-limit.ts';
import { afterScrape, freshSlots, openSlots, recalled, type SlotState } from '../../../src/dispatcher/policy/slots.ts';

const reading = (runningRequests: number, waitingRequests = 0, kvUsageRatio?: number): EngineMetrics => ({
  runningRequests,
  waitingRequests,
  ...(kvUsageRatio === undefined ? {} : { kvUsageRatio }),
  runningAdapters: [],
  waitingAdapters: [],
});
const auto = (limit: number): SlotState => ({ ...freshSlots('Auto', 61_000, 0), limit });

describe('a scrape that is not believed changes nothing', () => {
  test.each([
    { name: 'sent more than five seconds ago', engine: reading(8, 90), startedAtMs: 4_999 },
    { name: 'more requests than any engine has', engine: reading(8, 4_000_000_000), startedAtMs: 10_000 },
    { name: 'fewer than none', engine: reading(-1, 90), startedAtMs: 10_000 },
    { name: 'no number', engine: reading(Number.NaN, 90), startedAtMs: 10_000 },
    { name: 'a KV usage beyond all', engine: reading(8, 0, 97), startedAtMs: 10_000 },
  ])('$name', ({ engine, startedAtMs }) => {
    const state = auto(8);
    expect(afterScrape(state, engine, 10_000, startedAtMs)).toBe(state);
  });

  test('one that was sent before the last cut could show', () => {
    const cut = afterScrape(auto(100), reading(100, 40), 10_000);
    expect(afterScrape(cut, reading(99, 31), 12_500, 11_900).limit).toBe(80);
    expect(afterScrape(cut, reading(99, 31), 12_500, 12_000).limit).toBe(64);
  });

  test('the same numbers for ten seconds from an engine that has work', () => {
    let state = auto(100);
    for (let nowMs = 0; nowMs <= 600_000; nowMs += 200) state = afterScrape(state, reading(90, 60), nowMs);
    expect(state.limit).toBeGreaterThan(1);
    const frozen = state.limit;
    state = afterScrape(state, reading(frozen, 0), 600_200);
    expect(state.limit).toBe(frozen + 2);
  });
});

test('a queue as long as the limit is cut to a half at once', () => {
  expect(afterScrape(auto(100), reading(30, 70), 0).limit).toBe(50);
});

test('an engine that reports no KV usage is sized by its queue alone', () => {
  expect(afterScrape(auto(8), reading(8, 0, 0), 0).limit).toBe(10);
  expect(afterScrape(auto(8), reading(8, 0), 0).limit).toBe(10);
});

test.each([
  { name: 'nobody', limits: [], want: AUTO_START },
  { name: 'one', limits: [40], want: 40 },
  { name: 'an odd one out among many', limits: [40, 1, 42], want: 40 },
  { name: 'an even number: the smaller', limits: [20, 40], want: 20 },
])('a new replica begins with what its kind has learned: $name', ({ limits, want }) => {
  expect(limitAmong(limits)).toBe(want);
  expect(openSlots(freshSlots('Auto', 0, 0, limitAmong(limits)))).toBe(Math.ceil(want / 4));
});

test('what the ledger had open is taken up again; a slow start and a configured number are not', () => {
  expect(openSlots(recalled(freshSlots('Auto', 0, 0), 48))).toBe(48);
  expect(openSlots(recalled(freshSlots('Auto', 61_000, 0), 2))).toBe(AUTO_START);
  expect(openSlots(recalled(freshSlots(16, 61_000, 0), 48))).toBe(16);
  expect(recalled(freshSlots('Auto', 0, 0), 10_000).limit).toBe(AUTO_MAX);
});

/** Of [0, 1): Lehmer's generator with the multiplier of Park and Miller (1988). */
function drawsOf(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 16_807) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * An engine that runs `capacity` requests at once and queues the rest, in steps of 200 ms. Ours fill what is open; `others`
 * come past us.
 */
class Engine {
  state = freshSlots('Auto', 61_000, 0);
  capacity: number;
  others = 0;
  nowMs = 0;
  /** Scrapes that do not come, 0..1. */
  lossRatio = 0;
  #inFlight = 0;
  /** Part of a request that is done. */
  #progress = 0;
  readonly #stepsPerRequest: number;
  readonly #draw: () => number;

  constructor(capacity: number, stepsPerRequest: number, draw: () => number) {
    this.capacity = capacity;
    this.#stepsPerRequest = stepsPerRequest;
    this.#draw = draw;
  }

  /** Limits seen in this time. */
  run(forMs: number): readonly number[] {
    const seen: number[] = [];
    for (const untilMs = this.nowMs + forMs; this.nowMs < untilMs; this.nowMs += 200) {
      const total = this.#inFlight + this.others;
      const running = Math.min(this.capacity, total);
      this.#progress += total === 0 ? 0 : (running / this.#stepsPerRequest) * (this.#inFlight / total);
      const done = Math.floor(this.#progress);
      this.#progress -= done;
      this.#inFlight = Math.max(this.#inFlight - done, openSlots(this.state));
      const now = this.#inFlight + this.others;
      const runs = Math.min(this.capacity, now);
      // The numbers of a living engine move.
      const kvUsage = 0.5 + 0.1 * this.#draw();
      if (this.#draw() >= this.lossRatio)
        this.state = afterScrape(this.state, reading(runs, now - runs, kvUsage), this.nowMs);
      seen.push(this.state.limit);
    }
    return seen;
  }
}

describe('under a load that never ends', () => {
  const engines = fc
    .tuple(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 50 }), fc.integer({ min: 0, max: 2 ** 31 }))
    .map(([capacity, steps, seed]) => new Engine(capacity, steps, drawsOf(seed)));
  /** The hold zone lies above the capacity, by the queue that may grow; a cut from its edge ends just below it. */
  const least = (capacity: number): number => Math.max(1, Math.floor(0.8 * capacity) - 1);
  const most = (capacity: number): number => Math.ceil(capacity * 1.34) + 8;

  test('the limit comes to the capacity of the engine and stays near it, whatever scrapes are lost', () => {
    fc.assert(
      fc.property(engines, fc.double({ min: 0, max: 0.8, noNaN: true }), (engine, lossRatio) => {
        engine.lossRatio = lossRatio;
        engine.run(180_000);
        const seen = engine.run(60_000);
        expect(Math.min(...seen)).toBeGreaterThanOrEqual(least(engine.capacity));
        expect(Math.max(...seen)).toBeLessThanOrEqual(most(engine.capacity));
        // It settles: no saw between the bounds.
        expect(Math.max(...seen) - Math.min(...seen)).toBeLessThanOrEqual(Math.max(4, 0.34 * engine.capacity));
      }),
      { numRuns: 100 },
    );
  });

  test('it gives way to requests that come past us, and takes back what they leave', () => {
    fc.assert(
      fc.property(engines, fc.double({ min: 0, max: 1, noNaN: true }), (engine, share) => {
        engine.run(120_000);
        engine.others = Math.floor(engine.capacity * share);
        engine.run(120_000);
        expect(engine.state.limit).toBeLessThanOrEqual(most(engine.capacity - engine.others));
        engine.others = 0;
        engine.run(120_000);
        expect(engine.state.limit).toBeGreaterThanOrEqual(least(engine.capacity));
      }),
      { numRuns: 100 },
    );
  });

  test('it recovers within a minute from an engine that could carry one', () => {
    fc.assert(
      fc.property(engines, (engine) => {
        const { capacity } = engine;
        engine.run(60_000);
        engine.capacity = 1;
        engine.run(60_000);
        engine.capacity = capacity;
        engine.run(60_000);
        expect(engine.state.limit).toBeGreaterThanOrEqual(least(capacity));
      }),
      { numRuns: 100 },
    );
  });
});
