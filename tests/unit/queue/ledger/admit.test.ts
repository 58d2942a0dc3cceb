import { expect, test } from 'vitest';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { ROOMY_LIMITS } from '../../../support/live-order-builders.ts';

test('a call runs on the best ranked endpoint that has a free slot', () => {
  const ledger = new LedgerHand({ 'ep-1': 0, 'ep-2': 1, 'ep-3': 1 });
  expect(ledger.admit('t', { ranking: ['ep-1', 'ep-3', 'ep-2'] })).toMatchObject({ kind: 'run', endpointId: 'ep-3' });
});

test('a call that finds no free slot waits behind those that came before', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('t1');
  expect(ledger.admit('t2')).toMatchObject({ kind: 'queued', position: 0, asleep: false });
  expect(ledger.admit('t3', { objective: 'other' })).toMatchObject({ kind: 'queued', position: 1 });
  expect(ledger.admit('t4', { objective: 'nightly', priority: -10 })).toMatchObject({ position: 2 });
  expect(ledger.admit('t5', { priority: 200 })).toMatchObject({ position: 0 });
});

test('a slot owed to waiting work is not given to a newcomer, whatever its priority', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('t1');
  ledger.admit('t2');
  ledger.finish('t1');
  expect(ledger.states).toEqual({ t2: 'offered' });
  expect(ledger.admit('t3', { priority: 500 })).toMatchObject({ kind: 'queued' });
});

test('a call of a class that no waiting ticket blocks runs past them', () => {
  const ledger = new LedgerHand();
  ledger.endpoints({ 'ep-1': 1, 'ep-2': 1 }, { 'ep-1': ['lora'], 'ep-2': [] });
  ledger.admit('t1', { classKey: 'lora' });
  ledger.admit('t2', { classKey: 'lora' });
  expect(ledger.states).toEqual({ t1: 'running', t2: 'waiting' });
  expect(ledger.admit('t3')).toMatchObject({ kind: 'run', endpointId: 'ep-2' });
});

test('a kept arrival time is a place before those that came later', () => {
  const ledger = new LedgerHand();
  ledger.admit('t1');
  ledger.pass(100);
  expect(ledger.admit('t2', { arrivedAtMs: ledger.nowMs - 1_000 })).toMatchObject({ position: 0 });
});

test('a pool without an open slot is woken', () => {
  const ledger = new LedgerHand({ 'ep-1': 4 });
  ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'closed' });
  expect(ledger.admit('t')).toMatchObject({ kind: 'queued', asleep: true });
  expect(ledger.hints).toContain('wake');
});

test('an id that is live, done or expired does not enter', () => {
  const ledger = new LedgerHand();
  ledger.admit('t1');
  expect(ledger.admit('t1', { owner: 'b' })).toEqual({ kind: 'live', owner: 'a' });
  ledger.do('a', { op: 'settle', id: 't2', objective: 'o', token: '', outcome: '{"n":1}', recordRef: '"ref"' });
  expect(ledger.admit('t2', { kind: 'stored' })).toEqual({
    kind: 'done',
    stored: `{"atEpochMs":${ledger.nowMs},"recordRef":"ref","outcome":{"n":1}}`,
  });
  expect(ledger.admit('t3', { expiresAtMs: ledger.nowMs })).toEqual({ kind: 'expired' });
});

test.each([
  {
    name: 'its objective has its number',
    limits: { objectiveMaxRequests: 1 },
    want: ['queue_full', 'objectiveMaxRequests'],
  },
  { name: 'its objective has its bytes', limits: { objectiveMaxBytes: 15 }, want: ['queue_full', 'objectiveMaxBytes'] },
  { name: 'the pool has its number', limits: { poolMaxRequests: 1 }, want: ['queue_full', 'poolMaxRequests'] },
  { name: 'the pool has its bytes', limits: { poolMaxBytes: 15 }, want: ['queue_full', 'poolMaxBytes'] },
  {
    name: 'the budget is used to its percent',
    limits: { poolMaxRequests: 2, shedAtPercent: 50 },
    want: ['queue_shed', 'shedAtPercent'],
  },
])('a call that would wait is refused when $name', ({ limits, want }) => {
  const ledger = new LedgerHand();
  ledger.admit('t1');
  const reply = ledger.admit('t2', { limits: { ...ROOMY_LIMITS, ...limits } });
  expect(reply).toMatchObject({ kind: 'rejected', reason: want[0], limit: want[1] });
  expect(ledger.states).toEqual({ t1: 'waiting' });
});

test('a full budget refuses neither a call that can run at once nor stored work, which was accepted before', () => {
  const limits = { ...ROOMY_LIMITS, poolMaxRequests: 0, shedAtPercent: 1 };
  const ledger = new LedgerHand({ 'ep-1': 1 });
  expect(ledger.admit('t1', { limits })).toMatchObject({ kind: 'run' });
  expect(ledger.admit('t2', { limits, kind: 'stored' })).toMatchObject({ kind: 'queued' });
  expect(ledger.admit('t3', { limits })).toMatchObject({ kind: 'rejected', usedPercent: 100 });
});
