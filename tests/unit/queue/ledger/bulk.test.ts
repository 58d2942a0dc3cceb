import { beforeEach, describe, expect, test } from 'vitest';
import type { ReassertedTicket } from '../../../../src/queue/policy/ledger/ops.ts';
import type { SetBulkOp } from '../../../../src/queue/policy/ledger/stored-ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { ROOMY_LIMITS } from '../../../support/live-order-builders.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand();
});

const setBulk = (change: Partial<SetBulkOp> = {}) =>
  ledger.do('a', {
    op: 'setBulk',
    id: 'batch_1.0',
    objective: 'nightly',
    priority: -10,
    requests: 200_000,
    bytes: 650_000_000,
    costTokens: 90_000_000,
    deadlineMs: ledger.nowMs + 3_600_000,
    acceptedAtMs: ledger.nowMs,
    ...change,
  });
const demand = () => ledger.snapshot.objectives.find(({ objective }) => objective === 'nightly');
const reserve = (limits = ROOMY_LIMITS) =>
  ledger.do('a', {
    ...{ op: 'reserve', id: 'j', objective: 'nightly', priority: -10, bytes: 1, costTokens: 1, deadlineMs: 0 },
    ...{ limits, ttlMs: 1_000 },
  });

describe('work in bulk', () => {
  test('is stored demand with its bytes, tokens, age and deadline, and no arrival', () => {
    setBulk();
    expect(demand()).toEqual({
      objective: 'nightly',
      priority: -10,
      waitingHeld: 0,
      waitingStored: 0,
      running: 0,
      stored: 200_000,
      bytes: 650_000_000,
      costTokens: 90_000_000,
      oldestAtEpochMs: ledger.nowMs,
      deadlines: [
        {
          deadlineEpochMs: ledger.nowMs + 3_600_000,
          acceptedAtEpochMs: ledger.nowMs,
          requests: 200_000,
          costTokens: 90_000_000,
        },
      ],
      arrivedTotal: 0,
      releasedTotal: 0,
      slotMsTotal: 0,
      releasedCostTokensTotal: 0,
      settledTotal: 0,
    });
  });

  test('is what was said last: telling it again does no harm, and nothing left removes it', () => {
    setBulk();
    setBulk();
    setBulk({ requests: 10, bytes: 100, costTokens: 50 });
    setBulk({ id: 'batch_2.0', requests: 5, bytes: 10, costTokens: 5 });
    expect(demand()).toMatchObject({ stored: 15, bytes: 110, costTokens: 55 });
    setBulk({ requests: 0 });
    expect(demand()).toMatchObject({ stored: 5 });
    setBulk({ id: 'batch_2.0', requests: 0 });
    setBulk({ id: 'never-known', requests: 0 });
    expect(demand()).toMatchObject({ stored: 0, bytes: 0, costTokens: 0, oldestAtEpochMs: 0, deadlines: [] });
  });

  test('that changes its objective leaves the old one', () => {
    setBulk();
    setBulk({ objective: 'default', priority: 0 });
    expect(ledger.snapshot.objectives.map(({ objective, stored }) => [objective, stored])).toEqual([
      ['default', 200_000],
      ['nightly', 0],
    ]);
  });

  test('wakes a pool without an open slot when it grows, and only then', () => {
    expect(setBulk()).toEqual({ kind: 'bulk', asleep: true });
    expect(ledger.hints).toContain('wake');
    const { activityEpoch } = ledger.snapshot;
    expect(setBulk({ requests: 100 })).toEqual({ kind: 'bulk', asleep: false });
    expect(ledger.hints).toEqual([]);
    expect(ledger.snapshot.activityEpoch).toBe(activityEpoch);
    ledger.endpoints({ 'ep-1': 1 });
    expect(setBulk({ requests: 101 })).toEqual({ kind: 'bulk', asleep: false });
    expect(ledger.snapshot.activityEpoch).toBe(activityEpoch + 1);
  });

  test('opens the window of its objective, the first of it with a hint', () => {
    ledger.do('a', { op: 'setSoonSlots', slots: 3 });
    setBulk();
    expect(ledger.hints).toContain('windows');
    setBulk({ id: 'batch_2.0' });
    expect(ledger.hints).not.toContain('windows');
    expect(ledger.do('a', { op: 'heartbeat', check: [] }).windows).toEqual([{ objective: 'nightly', requests: 3 }]);
    setBulk({ requests: 0 });
    setBulk({ id: 'batch_2.0', requests: 0 });
    expect(ledger.do('a', { op: 'heartbeat', check: [] }).windows).toEqual([]);
  });

  test('keeps the pool from being closed as idle', () => {
    ledger.endpoints({ 'ep-1': 1 });
    setBulk();
    const close = () => ledger.do('a', { op: 'closeIfIdle', activityEpoch: ledger.snapshot.activityEpoch });
    expect(close()).toEqual({ kind: 'idle', closed: false });
    setBulk({ requests: 0 });
    expect(close()).toEqual({ kind: 'idle', closed: true });
  });

  test('is in no budget: what came before it is still let in', () => {
    setBulk();
    const limits = { poolMaxRequests: 2, poolMaxBytes: 10, shedAtPercent: 60, objectiveMaxRequests: 1 };
    expect(reserve({ ...limits, objectiveMaxBytes: 5 })).toMatchObject({ kind: 'reserved' });
    const held = { ...limits, objectiveMaxBytes: 5 };
    expect(ledger.admit('t', { objective: 'chat', bytes: 1, limits: held })).toMatchObject({ kind: 'queued' });
  });

  test('lapses when nobody has told it for ten minutes, and is kept by being told', () => {
    const poll = () => ledger.do('a', { op: 'poll' });
    setBulk();
    setBulk({ id: 'gone', requests: 7 });
    ledger.pass(599_999);
    setBulk();
    poll();
    expect(demand()).toMatchObject({ stored: 200_007 });
    ledger.pass(1);
    poll();
    expect(demand()).toMatchObject({ stored: 200_000 });
    ledger.pass(600_000);
    poll();
    expect(demand()).toMatchObject({ stored: 0, deadlines: [] });
    expect(ledger.state.bulksTold.size).toBe(0);
  });

  test('is known on after a fail-over, while tickets are not', () => {
    setBulk();
    ledger.admit('r1', { kind: 'row', objective: 'nightly' });
    ledger.join('a', 'run-2', 'run-1');
    expect(demand()).toMatchObject({ stored: 200_000, waitingStored: 0 });
  });
});

describe('a row', () => {
  const row = (id: string, change = {}) =>
    ledger.admit(id, { kind: 'row', objective: 'nightly', priority: -10, bytes: 1_000, costTokens: 450, ...change });

  test('waits as stored work does, is counted by its bulk alone, and no budget refuses it', () => {
    setBulk();
    const none = {
      poolMaxRequests: 0,
      poolMaxBytes: 0,
      shedAtPercent: 1,
      objectiveMaxRequests: 0,
      objectiveMaxBytes: 0,
    };
    expect(row('r1', { limits: none })).toMatchObject({ kind: 'queued', asleep: true });
    expect(demand()).toMatchObject({ waitingStored: 1, waitingHeld: 0, stored: 200_000, bytes: 650_000_000 });
    expect(demand()?.arrivedTotal).toBe(0);
  });

  test('ends without an outcome: its id can be entered again', () => {
    ledger.endpoints({ 'ep-1': 1 });
    expect(row('r1')).toMatchObject({ kind: 'run' });
    expect(row('r1')).toEqual({ kind: 'live', owner: 'a' });
    ledger.do('a', { op: 'release', id: 'r1', token: ledger.token('r1') });
    expect(ledger.states).toEqual({ r1: 'recording' });
    expect(row('r1')).toEqual({ kind: 'live', owner: 'a' });
    expect(ledger.finish('r1')).toEqual({ kind: 'ok' });
    expect(ledger.do('a', { op: 'outcomes', ids: ['r1'] }).stored).toEqual(['']);
    expect(demand()).toMatchObject({ releasedTotal: 1, settledTotal: 1 });
    expect(row('r1')).toMatchObject({ kind: 'run' });
  });

  test('makes its bulk no longer the oldest that waits once every row is in service', () => {
    ledger.endpoints({ 'ep-1': 2 });
    setBulk({ requests: 2 });
    row('r1');
    expect(demand()).toMatchObject({ running: 1, oldestAtEpochMs: ledger.nowMs });
    row('r2');
    expect(demand()).toMatchObject({ running: 2, oldestAtEpochMs: 0 });
  });

  test('is put back by its owner after the ledger was lost', () => {
    const known: ReassertedTicket = {
      ...{ id: 'r1', objective: 'nightly', priority: -10, classKey: '', bytes: 1, costTokens: 1, expiresAtMs: 0 },
      ...{ tag: '0', queuedAtMs: ledger.nowMs, endpointId: 'ep-1', excluded: [], attempt: 1 },
      kind: 'row',
      state: 'running',
    };
    ledger.do('a', { op: 'reassert', tickets: [known], first: true, last: true });
    expect(ledger.states).toEqual({ r1: 'running' });
    expect(demand()).toMatchObject({ running: 1 });
  });
});
