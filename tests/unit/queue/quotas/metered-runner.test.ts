import { describe, expect, test } from 'vitest';
import type { CallRunner, DispatchRequest, DispatchResult, ResponseSink } from '../../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import type { TicketKind } from '../../../../src/core/live-order.ts';
import type { QuotaAnswer, RateQuotas } from '../../../../src/core/tenants.ts';
import { MeteredRunner } from '../../../../src/queue/quotas/metered-runner.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const NEVER = new AbortController().signal;
const SINK = {} as ResponseSink;
const TIMES = { waitedMs: 0, firstByteMs: 1, totalMs: 2 };
const USAGE = { promptTokens: 30, completionTokens: 12 };

const request = (kind: TicketKind = 'held') =>
  ({ ticket: { kind, fairnessId: 'acme', costTokens: 100, priority: 0, expiresAtEpochMs: null } }) as DispatchRequest;
const completed = (usage: typeof USAGE | null): DispatchResult => {
  const outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage } as const;
  return { kind: 'completed', outcome, usage, endpointId: 'e', times: TIMES };
};
const failed = (usage: typeof USAGE | null): DispatchResult => {
  const outcome = { kind: 'failed', httpStatus: 502, code: 'upstream_error', attempts: 1, usage } as const;
  return { kind: 'failed', error: new PilotlightError('upstream_error', 'x'), begun: true, outcome, times: TIMES };
};
/** A stream of which so many tokens came. */
function seen(result: DispatchResult): DispatchResult {
  if (result.kind !== 'completed' && result.kind !== 'failed') throw new Error(`it is ${result.kind}`);
  return { ...result, outcome: { ...result.outcome, seenTokens: 77 } };
}
const REFUSED: QuotaAnswer = { kind: 'refused', limit: 'requestsPerMinute', limitPerMinute: 60, afterMs: 1_500 };

function world(result: DispatchResult | Error, { slot = true, answer = null as QuotaAnswer | Error | null } = {}) {
  const charges: string[] = [];
  const grant = {
    correct: (tokens: number) => charges.push(`correct ${tokens}`),
    giveBack: () => charges.push('give back'),
  };
  const quotas: RateQuotas = {
    take: (tenant, cost) => {
      charges.push(`${tenant} ${cost}`);
      if (answer instanceof Error) return Promise.reject(answer);
      return Promise.resolve(answer ?? { kind: 'granted', grant });
    },
    state: () => ({ requests: null, tokens: null }),
  };
  let runs = 0;
  const runner: CallRunner = {
    run: (_request, _sink, { onSlot }) => {
      runs += 1;
      if (slot) onSlot?.();
      return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
    },
  };
  const metered = new MeteredRunner({ runner, quotas, clock: new FakeClock() });
  return { metered, charges, runs: () => runs };
}

describe('what a request is charged', () => {
  test.each([
    ['its usage, when it completed', completed(USAGE), true, ['correct 42']],
    ['the estimate, when nobody told its usage', completed(null), true, []],
    ['its usage, when it broke off', failed(USAGE), true, ['correct 42']],
    ['what came of it, when nobody told its usage', seen(completed(null)), true, ['correct 77']],
    ['what came of it, when it broke off', seen(failed(null)), true, ['correct 77']],
    ['the estimate, when it broke off and nobody told', failed(null), true, []],
    ['nothing, when it never got a slot', failed(null), false, ['give back']],
    [
      'nothing, when it was handed back before it ran',
      { kind: 'handed_back', reason: 'draining' },
      false,
      ['give back'],
    ],
    ['nothing, when it runs elsewhere', { kind: 'superseded', outcome: null }, false, ['give back']],
    ['the estimate, when the dispatcher broke in mid-run', new Error('bug'), true, []],
    ['nothing, when the dispatcher broke before a slot', new Error('bug'), false, ['give back']],
  ] as const)('%s', async (_name, result, slot, expected) => {
    const { metered, charges } = world(result, { slot });
    await metered.run(request(), SINK, { signal: NEVER }).catch(() => undefined);
    expect(charges).toEqual(['acme 100', ...expected]);
  });
});

test.each(['held', 'row'] as const)(
  'a %s request over its rate is refused with the limit and when it passes',
  async (kind) => {
    const { metered, runs } = world(completed(null), { answer: REFUSED });
    const result = await metered.run(request(kind), SINK, { signal: NEVER });
    expect(result).toMatchObject({ kind: 'rejected', error: { code: 'rate_limit_exceeded', retryAfterMs: 1_500 } });
    if (result.kind !== 'rejected') return;
    expect(result.error.message).toBe(
      "Tenant 'acme' may begin 60 requests a minute (quotas.requestsPerMinute). Try again later.",
    );
    expect(runs()).toBe(0);
  },
);

test('jobs over their rate come back one after the other, within a quarter of an hour', async () => {
  const { metered } = world(completed(null), { answer: REFUSED });
  const afterMs: number[] = [];
  for (let job = 0; job < 1_000; job += 1) {
    const result = await metered.run(request('stored'), SINK, { signal: NEVER });
    if (result.kind === 'rejected') afterMs.push(result.error.retryAfterMs ?? 0);
  }
  expect(afterMs.slice(0, 3)).toEqual([1_500, 2_500, 3_500]);
  expect(Math.max(...afterMs)).toBe(900_000);
});

test.each([
  ['held', 'rejected'],
  ['stored', 'handed_back'],
  ['row', 'handed_back'],
] as const)('while quotas cannot be looked up, a %s request is %s', async (kind, expected) => {
  const away = new PilotlightError('queue_unavailable', 'Redis does not answer.');
  const { metered } = world(completed(null), { answer: away });
  const result = await metered.run(request(kind), SINK, { signal: NEVER });
  expect(result.kind).toBe(expected);
});

test('the end of a request that was withdrawn while it asked is left to the dispatcher', async () => {
  const { metered, runs, charges } = world({ kind: 'handed_back', reason: 'draining' }, { answer: new Error('gone') });
  const result = await metered.run(request('stored'), SINK, { signal: AbortSignal.abort(new Error('gone')) });
  expect(result).toEqual({ kind: 'handed_back', reason: 'draining' });
  expect(runs()).toBe(1);
  expect(charges).toEqual(['acme 100']);
});
