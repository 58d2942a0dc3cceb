import { beforeEach, describe, expect, test } from 'vitest';
import type { ReassertedTicket } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { rule } from '../../../support/ledger-order.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 1 });
});

const sweep = () => ledger.do('b', { op: 'poll' });
/** Evictions of the next sweep. */
function expired(): string[] {
  sweep();
  return (ledger.evictions['a'] ?? []).map(({ id, reason }) => `${id} ${reason}`);
}
const stopping = (afterMs: number) => ({ expiresAtMs: ledger.nowMs + afterMs, expiryStops: true });

describe('a TTL whose clock stands still without capacity', () => {
  test('runs while the pool has an open slot, free or not', () => {
    ledger.admit('running');
    ledger.admit('waits', stopping(1_000));
    ledger.pass(999);
    expect(expired()).toEqual([]);
    ledger.pass(1);
    expect(expired()).toEqual(['waits expired']);
  });

  test('stands still while it has none, however often that comes', () => {
    ledger.admit('running');
    ledger.admit('waits', stopping(1_000));
    for (const _sleep of [1, 2, 3]) {
      ledger.pass(300);
      ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'draining' });
      ledger.pass(50_000);
      expect(expired()).toEqual([]);
      ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'open' });
    }
    ledger.pass(99);
    expect(expired()).toEqual([]);
    ledger.pass(1);
    expect(expired()).toEqual(['waits expired']);
  });

  test('begins to run when a sleeping pool gets its first slot', () => {
    ledger.endpoints({});
    ledger.pass(5_000);
    ledger.admit('waits', { ...stopping(1_000), classKey: 'other' });
    ledger.pass(600_000);
    expect(expired()).toEqual([]);
    ledger.endpoints({ 'ep-1': 1 }, { 'ep-1': [] });
    ledger.pass(999);
    expect(expired()).toEqual([]);
    ledger.pass(1);
    expect(expired()).toEqual(['waits expired']);
  });

  test('stands still beside one that does not', () => {
    ledger.endpoints({});
    ledger.admit('stops', stopping(100));
    ledger.admit('goes on', { expiresAtMs: ledger.nowMs + 100 });
    ledger.pass(100);
    ledger.endpoints({ 'ep-1': 1 });
    expect(ledger.evictions['a']).toEqual([{ id: 'goes on', reason: 'expired' }]);
    expect(ledger.states).toEqual({ stops: 'offered' });
  });

  test('keeps its rest while its ticket holds a slot that it has to give back', () => {
    ledger.admit('waits', { ...stopping(1_000), ranking: ['ep-1'] });
    ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'closed' });
    ledger.do('a', { op: 'requeue', id: 'waits', token: ledger.token('waits'), exclude: '' });
    ledger.pass(70_000);
    expect(expired()).toEqual([]);
    ledger.endpoints({ 'ep-2': 1 }, { 'ep-2': [] });
    ledger.pass(1_000);
    sweep();
    expect(ledger.state.tickets.get('waits')?.state).not.toBe('waiting');
  });

  test('is told with what the pool has slept, so that an owner can put it back elsewhere', () => {
    const before = ledger.do('a', { op: 'heartbeat', check: [] }).stoppedMs;
    ledger.endpoints({});
    ledger.pass(700);
    expect(ledger.do('a', { op: 'heartbeat', check: [] }).stoppedMs - before).toBe(700);
    expect(ledger.join('b').stoppedMs - before).toBe(700);
  });

  test('goes on where it was when another server with the same state takes over', () => {
    ledger.endpoints({});
    ledger.admit('waits', stopping(1_000));
    ledger.pass(10_000, ['a', 'b']);
    const expiresAtMs = ledger.nowMs + 1_000;
    for (const owner of ['a', 'b']) ledger.join(owner, 'run-2', 'known');
    const claim: Omit<ReassertedTicket, 'expiresAtMs'> = {
      ...{ id: 'waits', kind: 'held', objective: 'interactive', priority: 100, classKey: '', bytes: 10 },
      ...{ costTokens: 1, tag: '1', queuedAtMs: 1, state: 'waiting', endpointId: '', excluded: [], attempt: 0 },
    };
    const tickets = [{ ...claim, expiresAtMs, expiryStops: true }];
    ledger.do('a', { op: 'reassert', tickets, first: true, last: true });
    ledger.do('b', { op: 'reassert', tickets: [], first: true, last: true });
    ledger.pass(60_000);
    expect(expired()).toEqual([]);
    ledger.endpoints({ 'ep-1': 1 }, { 'ep-1': [] });
    expect(ledger.do('b', { op: 'find', id: 'waits' }).tickets[0]?.state).toBe('offered');
  });
});

test('a ticket that has aged keeps a TTL that stands still, also when it waits again', () => {
  const rules = [rule('interactive', 100), rule('nightly', -10, { agingMs: 100 })];
  ledger.do('a', { op: 'setRules', rules });
  ledger.admit('running');
  const deadlineMs = ledger.nowMs + 5_000;
  ledger.admit('old', { objective: 'nightly', priority: -10, ...stopping(10_000), deadlineMs });
  ledger.pass(150);
  expect(expired()).toEqual([]);
  ledger.finish('running');
  expect(ledger.ticket('old')).toMatchObject({ state: 'offered', band: 100, deadlineMs });
  ledger.pass(1_000);
  expect(expired()).toEqual([]);
  expect(ledger.ticket('old').state).toBe('offered');
  ledger.pass(1_000);
  expect(expired()).toEqual([]);
  ledger.pass(7_850);
  expect(expired()).toEqual(['old expired']);
});

test('past its deadline a ticket gets no slot, also before a sweep has met it', () => {
  ledger.admit('running');
  ledger.admit('late', { ...stopping(10_000), deadlineMs: ledger.nowMs + 500 });
  ledger.pass(500);
  ledger.finish('running');
  expect(ledger.states).toEqual({});
});
