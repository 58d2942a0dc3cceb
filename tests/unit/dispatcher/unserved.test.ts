import { expect, test } from 'vitest';
import type { Outcome } from '../../../src/core/outcome.ts';
import { type StopReason, type Unserved, unserved } from '../../../src/dispatcher/policy/unserved.ts';

type Given = Parameters<typeof unserved>[0];

const expired: Given = { kind: 'evicted', reason: 'expired' };
const withdrawn: Given = { kind: 'evicted', reason: 'withdrawn' };
const lost: Given = { kind: 'evicted', reason: 'lost' };
const handedBack: Given = { kind: 'evicted', reason: 'handed_back' };
const live: Given = { kind: 'live', owner: 'gateway-2' };
const outcome: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };
const full: Given = { kind: 'rejected', reason: 'queue_full', limit: 'limits.maxRequests', usedPercent: 99.6 };

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
    stored: 'expired queue_ttl_exceeded',
  },
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
  expect(told(unserved(entry, { stored: false, stop, retryAfterMs: 1_000 }))).toBe(held);
  expect(told(unserved(entry, { stored: true, stop, retryAfterMs: 1_000 }))).toBe(stored);
});

test('a refusal names the limit, how full it is, and when to come back', () => {
  const end = unserved(full, { stored: false, stop: null, retryAfterMs: 4_000 });
  expect(end).toMatchObject({ kind: 'rejected', error: { retryAfterMs: 4_000 } });
  expect(end.kind === 'rejected' ? end.error.message : '').toContain('limits.maxRequests is used to 100 percent');
});
