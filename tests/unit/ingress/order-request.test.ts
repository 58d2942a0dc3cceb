import { expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { NO_ORDER } from '../../../src/core/pool-orders.ts';
import { type OrderVerb, orderObject, parseOrder } from '../../../src/ingress/policy/order-request.ts';

const NOW = 1_700_000_000_000;
const limits = { nowEpochMs: NOW, maxReplicas: 3 };

test.each<{ name: string; verb: OrderVerb; body: unknown; want: object }>([
  {
    name: 'a wake is of one replica unless it says more',
    verb: 'wake',
    body: { for: '30m' },
    want: { wakeUntilEpochMs: NOW + 1_800_000, wakeReplicas: 1 },
  },
  {
    name: 'a wake of several',
    verb: 'wake',
    body: { for: '7d', replicas: 3 },
    want: { wakeUntilEpochMs: NOW + 604_800_000, wakeReplicas: 3 },
  },
  { name: 'a wake for no time ends one', verb: 'wake', body: { for: '0s' }, want: { wakeUntilEpochMs: null } },
  { name: 'a drain', verb: 'drain', body: { for: '1h' }, want: { drainUntilEpochMs: NOW + 3_600_000 } },
  { name: 'a drain for no time ends one', verb: 'drain', body: { for: '0s' }, want: { drainUntilEpochMs: null } },
  { name: 'a pause, with an empty body', verb: 'pause', body: {}, want: { paused: true } },
  { name: 'a resume, without a body', verb: 'resume', body: undefined, want: { paused: false } },
])('$name', ({ verb, body, want }) => {
  expect(parseOrder(verb, body, limits)).toEqual(want);
});

test.each<{ name: string; verb: OrderVerb; body: unknown; param: string; says: string }>([
  { name: 'without a time', verb: 'wake', body: {}, param: 'for', says: "Missing required parameter: 'for'" },
  { name: 'with a bare number', verb: 'drain', body: { for: 30 }, param: 'for', says: 'a duration like "30m"' },
  { name: 'without a unit', verb: 'drain', body: { for: '30' }, param: 'for', says: 'is not a duration' },
  { name: 'beyond a week', verb: 'wake', body: { for: '8d' }, param: 'for', says: 'at most 7d' },
  { name: 'of no replica', verb: 'wake', body: { for: '1m', replicas: 0 }, param: 'replicas', says: 'from 1 to 1000' },
  {
    name: 'of half a replica',
    verb: 'wake',
    body: { for: '1m', replicas: 0.5 },
    param: 'replicas',
    says: 'an integer',
  },
  {
    name: 'beyond the targets',
    verb: 'wake',
    body: { for: '1m', replicas: 4 },
    param: 'replicas',
    says: 'allow 3 together',
  },
  { name: 'with a typo', verb: 'wake', body: { four: '1m' }, param: 'four', says: "it has 'for' and 'replicas'" },
  { name: 'with a field that it has not', verb: 'pause', body: { for: '1m' }, param: 'for', says: 'it has none' },
  { name: 'that is a list', verb: 'resume', body: [], param: 'body', says: 'an object' },
])('an order $name is refused, with the remedy', ({ verb, body, param, says }) => {
  const refused = parseOrder(verb, body, limits);
  expect(refused).toBeInstanceOf(PilotlightError);
  expect(refused).toMatchObject({ param, httpStatus: 400 });
  expect((refused as PilotlightError).message).toContain(says);
});

test('an order that has passed is not shown', () => {
  const order = { ...NO_ORDER, wakeUntilEpochMs: NOW, wakeReplicas: 2, drainUntilEpochMs: NOW + 1, by: 'ann' };
  expect(orderObject('default/chat', order, NOW)).toEqual({
    pool: 'default/chat',
    wake: null,
    drain: { until: '2023-11-14T22:13:20.001Z' },
    paused: false,
    by: 'ann',
  });
});
