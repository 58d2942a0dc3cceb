import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ALL_FAULTS, ALL_LANES, type FaultKind, LANES, planFaults } from '../../chaos/support/schedule.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const durations = fc.integer({ min: 1_000, max: 120_000 });

test('the same seed gives the same schedule, another one another', () => {
  fc.assert(
    fc.property(seeds, durations, (seed, durationMs) => {
      expect(planFaults({ seed, durationMs })).toEqual(planFaults({ seed, durationMs }));
    }),
  );
  expect(planFaults({ seed: 1, durationMs: 60_000 })).not.toEqual(planFaults({ seed: 2, durationMs: 60_000 }));
});

test('a longer run begins as a shorter one of the same seed', () => {
  fc.assert(
    fc.property(seeds, durations, durations, (seed, one, other) => {
      const shorter = Math.min(one, other);
      const longer = planFaults({ seed, durationMs: Math.max(one, other) });
      expect(longer.filter(({ atMs }) => atMs < shorter)).toEqual(
        planFaults({ seed, durationMs: shorter }).filter(({ atMs }) => atMs < shorter),
      );
    }),
  );
});

test('in each lane nothing begins before what came before it is over, and nothing begins after the end', () => {
  fc.assert(
    fc.property(seeds, durations, (seed, durationMs) => {
      const planned = planFaults({ seed, durationMs });
      for (const lane of ALL_LANES) {
        let freeMs = 0;
        for (const { atMs, forMs } of planned.filter((fault) => fault.lane === lane)) {
          expect(atMs).toBeGreaterThan(freeMs);
          expect(atMs).toBeLessThanOrEqual(durationMs);
          freeMs = atMs + forMs;
        }
      }
    }),
  );
});

test('ten minutes have every kind of fault', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const kinds = new Set(planFaults({ seed, durationMs: 600_000 }).map(({ kind }) => kind));
      expect(kinds.size).toBe(ALL_FAULTS.length);
    }),
  );
});

test('only the kinds that were asked for happen, each in its own lane', () => {
  fc.assert(
    fc.property(seeds, fc.subarray([...ALL_FAULTS]), (seed, kinds) => {
      for (const { lane, kind } of planFaults({ seed, durationMs: 120_000, kinds })) {
        expect(kinds).toContain(kind);
        expect(LANES[lane] as readonly FaultKind[]).toContain(kind);
      }
    }),
  );
});
