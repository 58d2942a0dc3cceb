import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decideClaim, handBackDelayMs, MAX_CRASHES } from '../../../../src/queue/policy/backlog/claim.ts';

test.each([
  { name: 'a fresh job runs', facts: {}, want: { kind: 'run', isSuspect: false } },
  { name: 'after one crash it runs like any other', facts: { crashes: 1 }, want: { kind: 'run', isSuspect: false } },
  { name: 'after two it is a suspect and runs alone', facts: { crashes: 2 }, want: { kind: 'run', isSuspect: true } },
  {
    name: 'a second suspect waits',
    facts: { crashes: 2, suspectsRunning: 1 },
    want: { kind: 'delay', delayMs: 1_000 },
  },
  { name: 'innocents run beside a suspect', facts: { suspectsRunning: 1 }, want: { kind: 'run', isSuspect: false } },
  { name: 'after three it is quarantined', facts: { crashes: 3 }, want: { kind: 'quarantine' } },
  { name: 'a closed intake hands everything straight back', facts: { isIntakeOpen: false }, want: { kind: 'return' } },
  {
    name: 'a closed intake does not even quarantine',
    facts: { isIntakeOpen: false, crashes: 9 },
    want: { kind: 'return' },
  },
])('decideClaim: $name', ({ facts, want }) => {
  expect(decideClaim({ crashes: 0, suspectsRunning: 0, isIntakeOpen: true, ...facts })).toEqual(want);
});

test('decideClaim: an innocent among crashing jobs is quarantined only if it was alone among suspects', () => {
  fc.assert(
    fc.property(fc.nat(10), fc.nat(5), (crashes, suspectsRunning) => {
      const decision = decideClaim({ crashes, suspectsRunning, isIntakeOpen: true });
      if (decision.kind === 'run' && decision.isSuspect) expect(suspectsRunning).toBe(0);
      expect(decision.kind === 'quarantine').toBe(crashes >= MAX_CRASHES);
    }),
  );
});

test('handBackDelayMs: grows with each claim, between half a second and ten', () => {
  fc.assert(
    fc.property(fc.integer({ min: -5, max: 10_000 }), (claims) => {
      const delayMs = handBackDelayMs(claims);
      expect(delayMs).toBeGreaterThanOrEqual(500);
      expect(delayMs).toBeLessThanOrEqual(10_000);
      expect(handBackDelayMs(claims + 1)).toBeGreaterThanOrEqual(delayMs);
    }),
  );
  expect([1, 2, 3, 99].map(handBackDelayMs)).toEqual([500, 1_000, 2_000, 10_000]);
});
