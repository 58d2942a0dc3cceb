import { expect, test } from 'vitest';
import { type FlowOutcomeName, flowOutcomeOf } from '../../../src/core/flow-outcomes.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import { type StopReason, type Unserved, unserved } from '../../../src/dispatcher/policy/unserved.ts';

type Given = Parameters<typeof unserved>[0];

const expired: Given = { kind: 'evicted', reason: 'expired' };
const withdrawn: Given = { kind: 'evicted', reason: 'withdrawn' };
const lost: Given = { kind: 'evicted', reason: 'lost' };
const handedBack: Given = { kind: 'evicted', reason: 'handed_back' };
const live: Given = { kind: 'live', owner: 'gateway-2' };
const outcome: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };
const displaced: Given = { kind: 'evicted', reason: 'displaced' };
const full: Given = { kind: 'rejected', reason: 'queue_full', limit: 'poolMaxRequests', usedPercent: 99.6 };

/** "rejected code", "back reason", "superseded kind" or "outcome code". */
function told(end: Unserved): string {
  switch (end.kind) {
    case 'rejected':
      return `rejected ${end.error.code}`;
    case 'handed_back':
      return `back ${end.reason}`;
    case 'superseded':
      return `superseded ${end.outcome?.kind ?? 'elsewhere'}`;
    case 'ended':
      return `${end.outcome} ${end.error.code}`;
  }
}

test.each<{ name: string; entry: Given; stop?: StopReason; held: string; stored: string }>([
  { name: 'a full queue', entry: full, held: 'rejected queue_full', stored: 'rejected queue_full' },
  {
    name: 'shed work',
    entry: { ...full, reason: 'queue_shed' },
    held: 'rejected queue_shed',
    stored: 'rejected queue_shed',
  },
  {
    name: 'a paused pool',
    entry: { ...full, reason: 'paused' },
    held: 'rejected no_capacity',
    stored: 'rejected no_capacity',
  },
  {
    name: 'an outcome that is there',
    entry: { kind: 'done', outcome },
    held: 'superseded completed',
    stored: 'superseded completed',
  },
  { name: 'another owner', entry: live, held: 'failed lease_lost', stored: 'superseded elsewhere' },
  {
    name: 'a TTL that passed',
    entry: expired,
    held: 'expired queue_ttl_exceeded',
    stored: 'expired deadline_exceeded',
  },
  { name: 'room for a higher band', entry: displaced, held: 'failed evicted_displaced', stored: 'back displaced' },
  { name: 'a ticket the ledger lost', entry: lost, held: 'failed lease_lost', stored: 'back lost' },
  { name: 'a ticket the ledger hands back', entry: handedBack, held: 'failed lease_lost', stored: 'back handed_back' },
  {
    name: 'a caller that left',
    entry: withdrawn,
    stop: 'client',
    held: 'cancelled request_cancelled',
    stored: 'cancelled request_cancelled',
  },
  { name: 'a shutdown', entry: withdrawn, stop: 'draining', held: 'failed draining', stored: 'back draining' },
  {
    name: 'too long a hold',
    entry: withdrawn,
    stop: 'max_hold',
    held: 'failed max_hold_exceeded',
    stored: 'failed max_hold_exceeded',
  },
  { name: 'a lease lost before', entry: lost, stop: 'lease_lost', held: 'failed lease_lost', stored: 'back lost' },
])('$name: held $held, stored $stored', ({ entry, stop = null, held, stored }) => {
  const call = { stop, retryAfterMs: 1_000, isServing: true };
  expect(told(unserved(entry, { ...call, stored: false }))).toBe(held);
  expect(told(unserved(entry, { ...call, stored: true }))).toBe(stored);
});

test('a refusal names the limit, how full it is, and when to come back', () => {
  const end = unserved(full, { stored: false, stop: null, retryAfterMs: 4_000, isServing: true });
  expect(end).toMatchObject({ kind: 'rejected', error: { retryAfterMs: 4_000 } });
  expect(end.kind === 'rejected' ? end.error.message : '').toContain('poolMaxRequests is used to 100 percent');
});

test.each<{ name: string; entry: Given; serving: FlowOutcomeName; asleep: FlowOutcomeName }>([
  { name: 'a full pool', entry: full, serving: 'rejected_pool_full', asleep: 'rejected_no_endpoints' },
  {
    name: 'a full objective',
    entry: { ...full, limit: 'objectiveMaxBytes' },
    serving: 'rejected_objective_full',
    asleep: 'rejected_no_endpoints',
  },
  {
    name: 'a full tenant',
    entry: { ...full, limit: 'tenantMaxRequests' },
    serving: 'rejected_tenant_full',
    asleep: 'rejected_tenant_full',
  },
  {
    name: 'shed work',
    entry: { ...full, reason: 'queue_shed' },
    serving: 'rejected_shed',
    asleep: 'rejected_no_endpoints',
  },
  { name: 'a TTL that passed', entry: expired, serving: 'evicted_ttl', asleep: 'evicted_ttl_no_capacity' },
])('$name is busy while model servers are ready, and no capacity before', ({ entry, serving, asleep }) => {
  for (const [isServing, flow] of [
    [true, serving],
    [false, asleep],
  ] as const) {
    const end = unserved(entry, { stored: false, stop: null, retryAfterMs: 1_000, isServing });
    expect('error' in end && flowOutcomeOf(end.error)).toBe(flow);
  }
});
