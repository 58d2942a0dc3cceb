import { beforeEach, describe, expect, test } from 'vitest';
import type { ConfirmOp, ReserveOp } from '../../../../src/queue/policy/ledger/stored-ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { ROOMY_LIMITS } from '../../../support/live-order-builders.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand();
});

const work = { objective: 'nightly', priority: -10, bytes: 50, costTokens: 5, deadlineMs: 0 };
const reserve = (id: string, change: Partial<ReserveOp> = {}) =>
  ledger.do('a', { op: 'reserve', id, ...work, limits: ROOMY_LIMITS, ttlMs: 1_000, ...change });
const confirm = (id: string, change: Partial<ConfirmOp> = {}) =>
  ledger.do('a', { op: 'confirm', id, ...work, acceptedAtMs: 0, ...change });
const settle = (id: string, token = '', outcome = '{}') =>
  ledger.do('a', { op: 'settle', id, objective: 'nightly', token, outcome, recordRef: 'null' });
const demand = () => ledger.snapshot.objectives.find(({ objective }) => objective === 'nightly');

test('a reservation counts at once and lapses by itself; repeating it renews it and counts once', () => {
  expect(reserve('j1')).toEqual({ kind: 'reserved', asleep: true });
  ledger.pass(600);
  reserve('j1');
  expect(demand()).toMatchObject({ stored: 1, bytes: 50, costTokens: 5, arrivedTotal: 0 });
  ledger.pass(999);
  ledger.do('a', { op: 'poll' });
  expect(demand()).toMatchObject({ stored: 1 });
  ledger.pass(1);
  ledger.do('a', { op: 'poll' });
  expect(demand()).toMatchObject({ stored: 0, bytes: 0, costTokens: 0 });
});

test('what is confirmed stays until its outcome, and is counted once however often it is confirmed', () => {
  reserve('j1');
  confirm('j1');
  confirm('j1');
  ledger.pass(60_000);
  ledger.do('a', { op: 'poll' });
  expect(demand()).toMatchObject({ stored: 1, bytes: 50, arrivedTotal: 1 });
  settle('j1');
  expect(demand()).toMatchObject({ stored: 0, bytes: 0, settledTotal: 1 });
});

test('a confirmation makes a lost entry again with its old age, and none for work that has its outcome', () => {
  confirm('j1', { acceptedAtMs: ledger.nowMs - 5_000 });
  expect(demand()).toMatchObject({ stored: 1, oldestAtEpochMs: ledger.nowMs - 5_000 });
  settle('j2');
  confirm('j2');
  expect(demand()).toMatchObject({ stored: 1 });
});

test('what was forgotten counts no more', () => {
  reserve('j1');
  ledger.do('a', { op: 'forget', id: 'j1' });
  expect(demand()).toMatchObject({ stored: 0, bytes: 0 });
});

test('a full budget refuses a reservation, also when nothing of it waits in the live order', () => {
  confirm('j1');
  const limits = { ...ROOMY_LIMITS, objectiveMaxRequests: 1 };
  expect(reserve('j2', { limits })).toMatchObject({ kind: 'rejected', reason: 'queue_full' });
  expect(reserve('j1', { limits })).toMatchObject({ kind: 'reserved' });
});

test('stored work in the live order is not counted twice', () => {
  confirm('j1');
  ledger.admit('j1', { kind: 'stored', objective: 'nightly', bytes: 50, costTokens: 5 });
  expect(demand()).toMatchObject({ stored: 1, waitingStored: 1, bytes: 50, costTokens: 5 });
});

test('the oldest is the earliest arrival that is not in service', () => {
  confirm('j1');
  const first = ledger.nowMs;
  ledger.pass(10);
  confirm('j2');
  const second = ledger.nowMs;
  ledger.pass(10);
  ledger.admit('t', { objective: 'nightly' });
  expect(demand()?.oldestAtEpochMs).toBe(first);
  ledger.endpoints({ 'ep-1': 2 });
  ledger.take('t');
  ledger.admit('j1', { kind: 'stored', objective: 'nightly' });
  expect(demand()?.oldestAtEpochMs).toBe(second);
  settle('j2');
  expect(demand()?.oldestAtEpochMs).toBe(0);
});

test('overdue work is listed oldest deadline first, without what has its outcome', () => {
  for (const [id, inMs] of [
    ['j1', 300],
    ['j2', 100],
    ['j3', 200],
    ['j4', 900],
  ] as const) {
    confirm(id, { deadlineMs: ledger.nowMs + inMs });
  }
  ledger.pass(500);
  settle('j3');
  expect(ledger.do('a', { op: 'overdue', limit: 10 }).jobs).toEqual([
    { id: 'j2', objective: 'nightly' },
    { id: 'j1', objective: 'nightly' },
  ]);
  expect(ledger.do('a', { op: 'overdue', limit: 1 }).jobs).toHaveLength(1);
});

test('a new objective with stored work opens its window, shared among the owners that execute', () => {
  ledger.do('a', { op: 'setSoonSlots', slots: 3 });
  confirm('j1');
  expect(ledger.hints).toContain('windows');
  expect(ledger.do('a', { op: 'heartbeat', check: [] }).windows).toEqual([{ objective: 'nightly', requests: 3 }]);
  ledger.join('b', 'run-1', '', false);
  expect(ledger.do('a', { op: 'heartbeat', check: [] }).windows).toEqual([{ objective: 'nightly', requests: 6 }]);
  expect(ledger.do('b', { op: 'heartbeat', check: [] }).windows).toEqual([]);
  ledger.do('a', { op: 'setSoonSlots', slots: 0 });
  expect(ledger.do('a', { op: 'heartbeat', check: [] }).windows).toEqual([]);
});

describe('an outcome', () => {
  test('is written once: the first wins', () => {
    expect(settle('j1', '', '{"n":1}')).toEqual({ kind: 'settled' });
    expect(settle('j1', '', '{"n":2}')).toMatchObject({
      kind: 'already',
      stored: expect.stringContaining('"n":1') as string,
    });
    expect(ledger.do('a', { op: 'outcomes', ids: ['j1', 'x'] }).stored).toEqual([expect.stringContaining('"n":1'), '']);
  });

  test('is kept for its time', () => {
    settle('j1');
    ledger.pass(86_399_999);
    expect(ledger.do('a', { op: 'outcomes', ids: ['j1'] }).stored[0]).not.toBe('');
    ledger.pass(1);
    expect(ledger.do('a', { op: 'outcomes', ids: ['j1'] }).stored[0]).toBe('');
  });

  test('from the holder of the lease ends the ticket and frees its slot', () => {
    ledger.endpoints({ 'ep-1': 1 });
    ledger.admit('j1', { kind: 'stored' });
    settle('j1', ledger.token('j1'));
    expect(ledger.states).toEqual({});
    expect(ledger.snapshot.endpoints[0]?.used).toBe(0);
  });

  test('from outside takes back a ticket that waits, and tells the owner of one that runs', () => {
    ledger.admit('j1', { kind: 'stored', owner: 'b' });
    settle('j1');
    expect(ledger.states).toEqual({});
    expect(ledger.evictions['b']).toEqual([{ id: 'j1', reason: 'withdrawn' }]);
    ledger.endpoints({ 'ep-1': 1 });
    ledger.admit('j2', { kind: 'stored', owner: 'b' });
    settle('j2');
    expect(ledger.states).toEqual({ j2: 'running' });
    expect(ledger.evictions['b']).toEqual([{ id: 'j2', reason: 'settled' }]);
  });
});
