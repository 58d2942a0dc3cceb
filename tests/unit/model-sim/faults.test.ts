import { expect, test } from 'vitest';
import { changeFaults, type Faults, NO_FAULTS, takeCallFault } from '../../../src/model-sim/policy/faults.ts';

function changed(change: Record<string, unknown>, before: Faults = NO_FAULTS): Faults {
  const outcome = changeFaults(before, change);
  if (!outcome.ok) throw new Error(outcome.error.message);
  return outcome.value;
}

test('a change replaces the fields that it names and keeps the others', () => {
  const slow = changed({ slowFactor: 4 });
  expect(changed({ hang: 'inference' }, slow)).toEqual({ ...NO_FAULTS, slowFactor: 4, hang: 'inference' });
});

test('call faults hit as many calls as they say, in order', () => {
  let faults = changed({
    calls: [
      { kind: 'status', count: 2, status: 503 },
      { kind: 'abort', afterTokens: 3 },
    ],
  });
  const kinds: (string | undefined)[] = [];
  for (let call = 0; call < 4; call += 1) {
    const taken = takeCallFault(faults);
    kinds.push(taken.fault?.kind);
    faults = taken.left;
  }
  expect(kinds).toEqual(['status', 'status', 'abort', undefined]);
});

test('a call fault without a count stays', () => {
  const faults = changed({ calls: [{ kind: 'disconnect', count: null }] });
  expect(takeCallFault(takeCallFault(faults).left).fault?.kind).toBe('disconnect');
});

test.each([
  { name: 'an unknown fault', change: { slow: 3 }, param: 'slow' },
  { name: 'an unknown way to hang', change: { hang: true }, param: 'hang' },
  { name: 'a negative factor', change: { slowFactor: -1 }, param: 'slowFactor' },
  { name: 'a health status that is none', change: { healthStatus: 99 }, param: 'healthStatus' },
  { name: 'a call fault of unknown kind', change: { calls: [{ kind: 'explode' }] }, param: 'calls[0]' },
  {
    name: 'a call fault with count 0',
    change: { calls: [{ kind: 'abort' }, { kind: 'abort', count: 0 }] },
    param: 'calls[1]',
  },
  { name: 'too many call faults', change: { calls: new Array(101).fill({ kind: 'abort' }) }, param: 'calls' },
])('$name is refused by name', ({ change, param }) => {
  expect(changeFaults(NO_FAULTS, change)).toMatchObject({ ok: false, error: { status: 400, param } });
});
