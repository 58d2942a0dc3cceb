import { beforeEach, describe, expect, test } from 'vitest';
import { LedgerHand } from '../../../support/ledger-hand.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 1, 'ep-2': 0 });
});

describe('take', () => {
  beforeEach(() => {
    ledger.admit('t', { ranking: [] });
    expect(ledger.states).toEqual({ t: 'offered' });
  });

  test('confirms the offered endpoint and says how long the ticket waited', () => {
    ledger.pass(30);
    expect(ledger.take('t')).toEqual({ kind: 'run', endpointId: 'ep-1', attempt: 1, waitedMs: 30 });
  });

  test('swaps to a better ranked endpoint that is free; the offered slot goes to the next', () => {
    ledger.endpoints({ 'ep-1': 1, 'ep-2': 1 });
    ledger.admit('t2', { ranking: [] });
    ledger.admit('t3', { ranking: [] });
    ledger.do('a', { op: 'withdraw', id: 't2' });
    ledger.do('a', { op: 'withdraw', id: 't3' });
    ledger.endpoints({ 'ep-1': 1, 'ep-2': 2 });
    expect(ledger.take('t', ['ep-2', 'ep-1'])).toMatchObject({ kind: 'run', endpointId: 'ep-2' });
    expect(ledger.snapshot.endpoints.map(({ used }) => used)).toEqual([0, 1]);
  });

  test('keeps the offered endpoint when the better ones are full', () => {
    expect(ledger.take('t', ['ep-2', 'ep-1'])).toMatchObject({ endpointId: 'ep-1' });
  });

  test('answers unranked when its owner would run on no free endpoint; the offer stands', () => {
    expect(ledger.take('t', ['ep-2'])).toEqual({ kind: 'unranked' });
    expect(ledger.states).toEqual({ t: 'offered' });
  });

  test('of an older offer is stale, of another owner or an unknown id gone', () => {
    expect(ledger.do('a', { op: 'take', id: 't', token: '1', ranking: ['ep-1'] })).toEqual({ kind: 'stale' });
    expect(ledger.do('b', { op: 'take', id: 't', token: ledger.token('t'), ranking: ['ep-1'] })).toEqual({
      kind: 'gone',
    });
    expect(ledger.do('a', { op: 'take', id: 'x', token: '1', ranking: [] })).toEqual({ kind: 'gone' });
  });
});

describe('a slot for a ticket of the caller', () => {
  beforeEach(() => {
    ledger.admit('t');
    ledger.admit('t2');
    ledger.pass(30);
    ledger.reach = ['ep-1', 'ep-2'];
  });

  test('is granted in the turn that frees it when no other is free', () => {
    ledger.finish('t');
    const { token } = ledger.ticket('t2');
    expect(ledger.grants).toEqual([{ id: 't2', endpointId: 'ep-1', token: String(token), attempt: 1, waitedMs: 30 }]);
    expect(ledger.offers['a']).toEqual([]);
    expect(ledger.states).toEqual({ t2: 'running' });
    expect(ledger.finish('t2')).toEqual({ kind: 'ok' });
  });

  test('is only offered when another endpoint is free, too: its owner has the choice', () => {
    ledger.endpoints({ 'ep-1': 2, 'ep-2': 1 });
    expect(ledger.grants).toEqual([]);
    expect(ledger.states).toEqual({ t: 'running', t2: 'offered' });
  });

  test('is only offered on an endpoint that the caller does not know', () => {
    ledger.reach = ['ep-2'];
    ledger.finish('t');
    expect(ledger.grants).toEqual([]);
    expect(ledger.states).toEqual({ t2: 'offered' });
  });

  test('is only offered to another owner', () => {
    ledger.do('a', { op: 'withdraw', id: 't2' });
    ledger.admit('t3', { owner: 'b' });
    ledger.finish('t');
    expect(ledger.grants).toEqual([]);
    expect(ledger.offers['b']).toMatchObject([{ id: 't3', endpointId: 'ep-1' }]);
  });
});

describe('a running ticket', () => {
  beforeEach(() => {
    ledger.admit('t');
    ledger.pass(70);
  });

  test('is released once, and its slot time is counted', () => {
    const token = ledger.token('t');
    expect(ledger.do('a', { op: 'release', id: 't', token })).toEqual({ kind: 'ok' });
    expect(ledger.do('a', { op: 'release', id: 't', token })).toEqual({ kind: 'gone' });
    expect(ledger.states).toEqual({ t: 'recording' });
    expect(ledger.snapshot.objectives[0]).toMatchObject({ releasedTotal: 1, slotMsTotal: 70, running: 0 });
  });

  test('finishes from running and from recording', () => {
    expect(ledger.finish('t')).toEqual({ kind: 'ok' });
    ledger.admit('t2');
    ledger.do('a', { op: 'release', id: 't2', token: ledger.token('t2') });
    expect(ledger.finish('t2')).toEqual({ kind: 'ok' });
    expect(ledger.states).toEqual({});
    expect(ledger.snapshot.objectives[0]).toMatchObject({ settledTotal: 2, releasedTotal: 2 });
  });

  test('is not touched by the token of an earlier grant', () => {
    const old = ledger.token('t');
    ledger.do('a', { op: 'requeue', id: 't', token: old, exclude: '' });
    ledger.take('t');
    for (const op of ['release', 'finish'] as const) {
      expect(ledger.do('a', { op, id: 't', token: old })).toEqual({ kind: 'gone' });
    }
    expect(ledger.states).toEqual({ t: 'running' });
  });

  test('that is requeued waits at its old place, for the endpoint that failed it if there is no other', () => {
    ledger.admit('t2');
    ledger.do('a', { op: 'requeue', id: 't', token: ledger.token('t'), exclude: 'ep-1' });
    expect(ledger.states).toEqual({ t: 'offered', t2: 'waiting' });
    ledger.do('a', { op: 'withdraw', id: 't2' });
    ledger.endpoints({ 'ep-1': 1, 'ep-2': 1 });
    ledger.do('a', { op: 'setGate', endpointId: 'ep-1', gate: 'closed' });
    expect(ledger.ticket('t')).toMatchObject({ state: 'offered', endpointId: 'ep-2', attempt: 1 });
    expect(ledger.take('t')).toMatchObject({ attempt: 2 });
  });

  test('avoids the endpoint that failed it as long as another serves its class', () => {
    ledger.endpoints({ 'ep-1': 1, 'ep-2': 1 });
    ledger.admit('t2', { ranking: ['ep-2'] });
    expect(ledger.do('a', { op: 'requeue', id: 't', token: ledger.token('t'), exclude: 'ep-1' })).toEqual({
      kind: 'queued',
      position: 0,
    });
    expect(ledger.states).toMatchObject({ t: 'waiting' });
    ledger.finish('t2');
    expect(ledger.ticket('t')).toMatchObject({ state: 'offered', endpointId: 'ep-2' });
  });

  test('is withdrawn with its slot', () => {
    ledger.admit('t2');
    expect(ledger.do('b', { op: 'withdraw', id: 't' })).toEqual({ kind: 'gone' });
    expect(ledger.do('a', { op: 'withdraw', id: 't' })).toEqual({ kind: 'ok' });
    expect(ledger.states).toEqual({ t2: 'offered' });
  });
});
