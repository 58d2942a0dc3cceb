import fc from 'fast-check';
import { expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { HeldBudget, type Hold } from '../../../src/ingress/held-budget.ts';

function hold(budget: HeldBudget): Hold {
  const held = budget.hold();
  if (held instanceof PilotlightError) throw held;
  return held;
}

test('a call beyond the limit is refused with the limit in its error, until another ends', () => {
  const budget = new HeldBudget({ maxHeldCalls: 1, maxHeldBytes: 10 });
  const first = hold(budget);
  expect(budget.hold()).toMatchObject({
    code: 'held_calls_full',
    message: expect.stringContaining('limits.heldCalls') as string,
  });
  first.release();
  expect(budget.calls).toBe(0);
  expect(hold(budget)).toBeDefined();
});

test('bytes beyond the budget are refused, and what was reserved stays reserved', () => {
  const budget = new HeldBudget({ maxHeldCalls: 9, maxHeldBytes: 10 });
  const first = hold(budget);
  expect(first.reserve(6)).toBeUndefined();
  expect(first.reserve(5)).toMatchObject({
    code: 'held_bytes_full',
    message: expect.stringContaining('10B') as string,
  });
  expect(budget.bytes).toBe(6);
  expect(first.reserve(4)).toBeUndefined();
});

test('whatever is held and released, the sums are those of what is held, within the limits', () => {
  const steps = fc.array(fc.record({ call: fc.nat(5), bytes: fc.nat(8), release: fc.boolean() }));
  fc.assert(
    fc.property(steps, (sequence) => {
      const budget = new HeldBudget({ maxHeldCalls: 4, maxHeldBytes: 20 });
      const held = new Map<number, { hold: Hold; bytes: number }>();
      for (const { call, bytes, release } of sequence) {
        const present = held.get(call);
        if (present && release) {
          present.hold.release();
          present.hold.release();
          held.delete(call);
        } else if (present) {
          if (!present.hold.reserve(bytes)) present.bytes += bytes;
        } else {
          const fresh = budget.hold();
          if (!(fresh instanceof PilotlightError)) held.set(call, { hold: fresh, bytes: 0 });
        }
        expect(budget.calls).toBe(held.size);
        expect(budget.bytes).toBe([...held.values()].reduce((sum, entry) => sum + entry.bytes, 0));
        expect(budget.calls).toBeLessThanOrEqual(4);
        expect(budget.bytes).toBeLessThanOrEqual(20);
      }
    }),
  );
});
