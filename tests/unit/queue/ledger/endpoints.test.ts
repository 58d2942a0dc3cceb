import { beforeEach, expect, test } from 'vitest';
import { LedgerHand } from '../../../support/ledger-hand.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 2, 'ep-2': 1 });
});

test('an endpoint that is gone takes its offers back and keeps its running slots counted until they end', () => {
  ledger.admit('running', { ranking: ['ep-1'] });
  ledger.admit('t2', { ranking: ['ep-2'] });
  ledger.admit('offered', { ranking: [] });
  ledger.endpoints({ 'ep-2': 1 });
  expect(ledger.states).toEqual({ running: 'running', t2: 'running', offered: 'waiting' });
  expect(ledger.snapshot.endpoints).toMatchObject([
    { id: 'ep-2', used: 1, gate: 'open' },
    { id: 'ep-1', slots: 0, used: 1, gate: 'closed' },
  ]);
  ledger.finish('running');
  ledger.do('a', { op: 'poll' });
  expect(ledger.snapshot.endpoints.map(({ id }) => id)).toEqual(['ep-2']);
});

test.each(['draining', 'closed'] as const)('a %s endpoint takes nothing new; what runs there goes on', (gate) => {
  ledger.admit('running', { ranking: ['ep-1'] });
  ledger.admit('t2', { ranking: ['ep-2'] });
  ledger.admit('offered', { ranking: [] });
  ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate });
  expect(ledger.states).toEqual({ running: 'running', t2: 'running', offered: 'waiting' });
  expect(ledger.admit('new')).toMatchObject({ kind: 'queued' });
  ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'open' });
  expect(ledger.states).toMatchObject({ offered: 'offered', new: 'waiting' });
});

test('a gate is kept while its endpoint stays listed; one that comes back is open', () => {
  ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'draining' });
  ledger.endpoints({ 'ep-1': 1 });
  expect(ledger.snapshot.endpoints[0]?.gate).toBe('draining');
  ledger.endpoints({});
  ledger.endpoints({ 'ep-1': 1 });
  expect(ledger.snapshot.endpoints[0]?.gate).toBe('open');
});

test('an endpoint with fewer slots than in use takes nothing until it is below its limit', () => {
  for (const id of ['t1', 't2']) ledger.admit(id, { ranking: ['ep-1'] });
  ledger.admit('t3', { ranking: ['ep-2'] });
  ledger.admit('t4');
  ledger.endpoints({ 'ep-1': 1, 'ep-2': 0 });
  expect(ledger.snapshot.endpoints).toMatchObject([
    { slots: 1, used: 2 },
    { slots: 0, used: 1 },
  ]);
  ledger.finish('t1');
  expect(ledger.states).toMatchObject({ t4: 'waiting' });
  ledger.finish('t2');
  expect(ledger.states).toMatchObject({ t4: 'offered' });
});

test('an idle pool is closed for 1→0 only if nothing came since the caller looked', () => {
  const { activityEpoch } = ledger.snapshot;
  const close = (epoch: number) => ledger.do('a', { op: 'closeIfIdle', activityEpoch: epoch });
  ledger.admit('t');
  expect(close(activityEpoch)).toEqual({ kind: 'idle', closed: false });
  ledger.finish('t');
  expect(close(activityEpoch)).toEqual({ kind: 'idle', closed: false });
  expect(close(ledger.snapshot.activityEpoch)).toEqual({ kind: 'idle', closed: true });
  expect(ledger.snapshot.endpoints.map(({ gate }) => gate)).toEqual(['closed', 'closed']);
  expect(ledger.admit('t2')).toMatchObject({ kind: 'queued', asleep: true });
});
