import { beforeEach, describe, expect, test } from 'vitest';
import type { AdmitOp } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { ROOMY_LIMITS } from '../../../support/live-order-builders.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('running');
});

const acme = (limits: Partial<AdmitOp['limits']>) => ({
  fairnessId: 'acme',
  limits: { ...ROOMY_LIMITS, ...limits },
});
const reserve = (id: string, limits: Partial<AdmitOp['limits']>, objective = 'nightly') =>
  ledger.do('a', {
    ...{ op: 'reserve', id, objective, priority: -10, bytes: 10, costTokens: 1, deadlineMs: 0, ttlMs: 1_000 },
    ...acme(limits),
  });
const full = (limit: string) => ({ kind: 'rejected', reason: 'queue_full', limit });

describe('the budget of a tenant', () => {
  test('counts what it has queued and stored, over all objectives', () => {
    ledger.admit('t1', acme({ tenantMaxRequests: 2 }));
    expect(reserve('j1', { tenantMaxRequests: 2 })).toMatchObject({ kind: 'reserved' });
    expect(ledger.admit('t2', acme({ tenantMaxRequests: 2 }))).toMatchObject(full('tenantMaxRequests'));
    expect(reserve('j2', { tenantMaxRequests: 2 }, 'other')).toMatchObject(full('tenantMaxRequests'));
    expect(ledger.admit('t3', { ...acme({ tenantMaxRequests: 2 }), fairnessId: 'bee' })).toMatchObject({
      kind: 'queued',
    });
  });

  test('counts bytes', () => {
    ledger.admit('t1', { ...acme({}), bytes: 60 });
    expect(ledger.admit('t2', { ...acme({ tenantMaxBytes: 100 }), bytes: 41 })).toMatchObject(full('tenantMaxBytes'));
    expect(ledger.admit('t3', { ...acme({ tenantMaxBytes: 100 }), bytes: 40 })).toMatchObject({ kind: 'queued' });
  });

  test('is free again when its work runs, leaves or ends', () => {
    ledger.admit('t1', acme({ tenantMaxRequests: 2 }));
    reserve('j1', { tenantMaxRequests: 2 });
    ledger.finish('running');
    expect(ledger.states).toMatchObject({ t1: 'offered' });
    expect(ledger.admit('t2', acme({ tenantMaxRequests: 2 }))).toMatchObject({ kind: 'queued' });
    ledger.do('a', { op: 'withdraw', id: 't2' });
    ledger.do('a', { op: 'settle', id: 'j1', objective: 'nightly', token: '', outcome: '{}', recordRef: 'null' });
    expect(ledger.state.tenantsHeld).toEqual(new Map());
    expect(ledger.state.tenantsStored).toEqual(new Map());
  });

  test('does not ask about a call that need not wait', () => {
    ledger.endpoints({ 'ep-1': 2 });
    expect(ledger.admit('t1', acme({ tenantMaxRequests: 0 }))).toMatchObject({ kind: 'run' });
  });

  test('is named after that of the objective and before that of the pool', () => {
    const none = { tenantMaxRequests: 0, poolMaxRequests: 0 };
    expect(ledger.admit('t1', acme({ ...none, objectiveMaxRequests: 0 }))).toMatchObject(full('objectiveMaxRequests'));
    expect(ledger.admit('t1', acme(none))).toMatchObject(full('tenantMaxRequests'));
    expect(ledger.admit('t1', acme({ poolMaxRequests: 0 }))).toMatchObject(full('poolMaxRequests'));
  });

  test('of stored work outlives the live order, that of held calls does not', () => {
    ledger.admit('t1', acme({}));
    reserve('j1', {});
    ledger.join('a', 'run-2', 'known');
    expect(ledger.state.tenantsHeld).toEqual(new Map());
    expect(ledger.state.tenantsStored).toEqual(new Map([['acme', { requests: 1, bytes: 10 }]]));
  });
});

describe('a pool whose budget is used up', () => {
  const POOL = { ...ROOMY_LIMITS, poolMaxRequests: 3, poolMaxBytes: 1_000 };
  const batch = { objective: 'nightly', priority: -10, limits: POOL };
  const other = { objective: 'spare', priority: -5, limits: POOL };
  const chat = { objective: 'interactive', priority: 100, limits: POOL };

  test('gives up the newest sheddable call of the lowest band for one of a higher band', () => {
    ledger.admit('low 1', batch);
    ledger.admit('low 2', { ...batch, owner: 'b' });
    ledger.admit('spare', other);
    expect(ledger.admit('chat', chat)).toMatchObject({ kind: 'queued' });
    expect(ledger.evictions['b']).toEqual([{ id: 'low 2', reason: 'displaced' }]);
    expect(Object.keys(ledger.states)).toEqual(['running', 'low 1', 'spare', 'chat']);
  });

  test('gives up as many as a large call needs, of several bands, or none at all', () => {
    const limits = { ...POOL, poolMaxRequests: 100, poolMaxBytes: 100 };
    ledger.admit('low', { ...batch, limits, bytes: 30 });
    ledger.admit('spare', { ...other, limits, bytes: 30 });
    ledger.admit('first chat', { ...chat, limits, bytes: 30 });
    expect(ledger.admit('too large', { ...chat, limits, bytes: 71 })).toMatchObject(full('poolMaxBytes'));
    expect(Object.keys(ledger.states)).toEqual(['running', 'low', 'spare', 'first chat']);
    expect(ledger.admit('large', { ...chat, limits, bytes: 70 })).toMatchObject({ kind: 'queued' });
    expect(Object.keys(ledger.states)).toEqual(['running', 'first chat', 'large']);
  });

  test.each([
    { name: 'of its own band', waiting: { objective: 'bulk', priority: -10 }, comes: batch },
    { name: 'of a higher band', waiting: { objective: 'bulk', priority: -5 }, comes: batch },
    { name: 'that are not sheddable', waiting: { objective: 'default', priority: 0 }, comes: chat },
  ])('gives up no calls $name', ({ waiting, comes }) => {
    for (const id of ['t1', 't2', 't3']) ledger.admit(id, { ...waiting, limits: POOL });
    expect(ledger.admit('comes', comes)).toMatchObject(full('poolMaxRequests'));
    expect(Object.keys(ledger.states)).toEqual(['running', 't1', 't2', 't3']);
  });

  test('gives up no calls for one that its objective or its tenant has no room for', () => {
    for (const id of ['t1', 't2', 't3']) ledger.admit(id, batch);
    const own = { ...chat, limits: { ...POOL, objectiveMaxRequests: 0 } };
    expect(ledger.admit('chat', own)).toMatchObject(full('objectiveMaxRequests'));
    const tenant = { ...chat, fairnessId: 'acme', limits: { ...POOL, tenantMaxRequests: 0 } };
    expect(ledger.admit('chat', tenant)).toMatchObject(full('tenantMaxRequests'));
    expect(Object.keys(ledger.states)).toEqual(['running', 't1', 't2', 't3']);
  });

  test('has room for a call that is shed only because of sheddable ones', () => {
    for (const id of ['t1', 't2']) ledger.admit(id, batch);
    const limits = { ...POOL, poolMaxRequests: 4, shedAtPercent: 50 };
    expect(ledger.admit('chat', { ...chat, limits })).toMatchObject({ kind: 'queued' });
    expect(ledger.states).toEqual({ running: 'running', t1: 'waiting', chat: 'waiting' });
    expect(ledger.admit('low', { ...batch, limits })).toMatchObject({ kind: 'rejected', reason: 'queue_shed' });
  });

  describe('with stored work of lower bands', () => {
    beforeEach(() => {
      for (const id of ['j1', 'j2', 'j3']) reserve(id, {});
    });

    test('lets a call in and sends their newest ticket back to the backlog', () => {
      for (const id of ['j1', 'j2']) ledger.admit(id, { ...batch, kind: 'stored' });
      expect(ledger.admit('chat', chat)).toMatchObject({ kind: 'queued' });
      expect(ledger.evictions['a']).toEqual([{ id: 'j2', reason: 'handed_back' }]);
      expect(ledger.states).toEqual({ running: 'running', j1: 'waiting', chat: 'waiting' });
      expect(ledger.snapshot.objectives.find(({ objective }) => objective === 'nightly')).toMatchObject({ stored: 3 });
    });

    test('lets a call in if none of them is in the live order', () => {
      expect(ledger.admit('chat', chat)).toMatchObject({ kind: 'queued' });
      expect(ledger.evictions['a']).toEqual([]);
    });

    test('lets in no more calls than the budget has room for', () => {
      for (const id of ['c1', 'c2', 'c3']) expect(ledger.admit(id, chat)).toMatchObject({ kind: 'queued' });
      expect(ledger.admit('c4', chat)).toMatchObject(full('poolMaxRequests'));
    });

    test('refuses calls of their own band, and more stored work', () => {
      expect(ledger.admit('low', batch)).toMatchObject(full('poolMaxRequests'));
      expect(reserve('j4', { poolMaxRequests: 3 })).toMatchObject(full('poolMaxRequests'));
    });
  });
});
