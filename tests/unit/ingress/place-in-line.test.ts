import { beforeEach, describe, expect, test } from 'vitest';
import type { DispatchRequest, DispatchResult } from '../../../src/core/dispatch.ts';
import { FlowError, type FlowOutcomeName } from '../../../src/core/flow-outcomes.ts';
import type { TicketSpec } from '../../../src/core/live-order.ts';
import { MemoryArrivals } from '../../../src/ingress/adapters/idempotency/kept-arrivals.ts';
import { MemoryRequestKeys } from '../../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { atOldPlace, rememberPlace } from '../../../src/ingress/idempotency/place-in-line.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { identity } from './support/fake-catalog.ts';

const TTL_MS = 60_000;
const CALL = { identity: identity({ tenant: 'acme' }), headers: {} };
const TIMES = { waitedMs: 0, firstByteMs: null, totalMs: 0 };

let clock: FakeClock;
let deps: Parameters<typeof rememberPlace>[0];
beforeEach(() => {
  clock = new FakeClock();
  deps = { clock, keys: new MemoryRequestKeys(clock), arrivals: new MemoryArrivals(clock) };
});

function request(changes: Partial<TicketSpec> = {}): DispatchRequest {
  const call = { pool: 'default/chat', path: '/v1/chat/completions', body: Buffer.from('{}') };
  const ticket = { arrivedAtEpochMs: null, expiresAtEpochMs: clock.epochMs() + TTL_MS, ...changes };
  return { call, ticket, timeouts: { maxWaitMs: null, idleMs: 1, overallMs: 1 } } as unknown as DispatchRequest;
}

function ended(flow: FlowOutcomeName, waitedMs: number): DispatchResult {
  const error = new FlowError(flow, 'told');
  if (flow.startsWith('rejected')) return { kind: 'rejected', error };
  const outcome = { kind: 'failed', httpStatus: 503, code: error.code, attempts: 0, usage: null } as const;
  return { kind: 'failed', error, begun: false, outcome, times: { ...TIMES, totalMs: waitedMs } };
}

describe('a call that comes back to its place', () => {
  test('is due as it was then, though its TTL begins anew', async () => {
    rememberPlace(deps, CALL, request(), ended('evicted_displaced', 40_000));
    const again = await atOldPlace(deps, CALL, request());
    const nowEpochMs = clock.epochMs();
    expect(again.ticket).toMatchObject({
      arrivedAtEpochMs: nowEpochMs - 40_000,
      expiresAtEpochMs: nowEpochMs + TTL_MS,
      deadlineEpochMs: nowEpochMs + TTL_MS - 40_000,
    });
  });

  test.each([
    ['none of its own', null],
    ['that of its caller', 1_000_000],
  ])('has, when its TTL can stand still, no deadline but %s: it would be evicted at it', async (_what, ownMs) => {
    const deadlineEpochMs = ownMs && clock.epochMs() + ownMs;
    const stopping = { expiryStopsWithoutCapacity: true, deadlineEpochMs };
    rememberPlace(deps, CALL, request(stopping), ended('evicted_draining', 10 * TTL_MS));
    const { ticket } = await atOldPlace(deps, CALL, request(stopping));
    expect(ticket).toMatchObject({ arrivedAtEpochMs: clock.epochMs() - 10 * TTL_MS, deadlineEpochMs });
  });

  test('and is refused at the door keeps it for the next try', async () => {
    rememberPlace(deps, CALL, request(), ended('evicted_displaced', 5_000));
    const second = await atOldPlace(deps, CALL, request());
    rememberPlace(deps, CALL, second, ended('rejected_rate', 0));
    const third = await atOldPlace(deps, CALL, request());
    expect(third.ticket.arrivedAtEpochMs).toBe(clock.epochMs() - 5_000);
    expect((await atOldPlace(deps, CALL, request())).ticket.arrivedAtEpochMs).toBeNull();
  });
});

test.each(['rejected_rate', 'rejected_pool_full', 'dispatched'] as const)(
  'a call that never waited (%s) has no place to come back to',
  async (flow) => {
    rememberPlace(
      deps,
      CALL,
      request(),
      flow === 'dispatched' ? { kind: 'superseded', outcome: null } : ended(flow, 0),
    );
    expect((await atOldPlace(deps, CALL, request())).ticket.arrivedAtEpochMs).toBeNull();
  },
);
