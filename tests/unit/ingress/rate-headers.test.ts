import { expect, test } from 'vitest';
import { rateHeaders } from '../../../src/ingress/policy/rate-headers.ts';

test('a tenant without quotas is told nothing of rates', () => {
  expect(rateHeaders({ requests: null, tokens: null })).toEqual({});
});

test.each([
  [0, '0s'],
  [249.2, '250ms'],
  [1_000, '1s'],
  [6_500, '6.5s'],
  [60_000, '1m0s'],
  [61_000, '1m1s'],
])('what is left is told with the time until it is full again: %i ms is %s', (resetMs, told) => {
  const requests = { limitPerMinute: 60, remaining: 12, resetMs };
  expect(rateHeaders({ requests, tokens: null })).toEqual({
    'x-ratelimit-limit-requests': '60',
    'x-ratelimit-remaining-requests': '12',
    'x-ratelimit-reset-requests': told,
  });
  expect(Object.keys(rateHeaders({ requests: null, tokens: requests }))).toEqual([
    'x-ratelimit-limit-tokens',
    'x-ratelimit-remaining-tokens',
    'x-ratelimit-reset-tokens',
  ]);
});
