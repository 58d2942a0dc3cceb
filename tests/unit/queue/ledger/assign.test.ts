import { expect, test } from 'vitest';
import { LedgerHand } from '../../../support/ledger-hand.ts';

test('slots go to the highest band first, and inside it to the earliest arrival over its objectives', () => {
  const ledger = new LedgerHand();
  ledger.admit('low', { objective: 'nightly', priority: -10 });
  ledger.admit('first', { objective: 'x' });
  ledger.admit('second', { objective: 'y' });
  ledger.admit('third', { objective: 'x' });
  ledger.endpoints({ 'ep-1': 1 });
  const order: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const [offered] = Object.values(ledger.offers).flat();
    order.push(offered!.id);
    ledger.take(offered!.id);
    ledger.finish(offered!.id);
  }
  expect(order).toEqual(['first', 'second', 'third', 'low']);
});

test('a class without a free slot blocks no other', () => {
  const ledger = new LedgerHand();
  ledger.admit('lora', { classKey: 'lora' });
  ledger.admit('base', { priority: -10 });
  ledger.endpoints({ 'ep-1': 1 }, { 'ep-1': [] });
  expect(ledger.states).toEqual({ lora: 'waiting', base: 'offered' });
});

test('an offer names the endpoint with most free slots', () => {
  const ledger = new LedgerHand();
  ledger.admit('t');
  ledger.endpoints({ 'ep-1': 1, 'ep-2': 3 });
  expect(ledger.offers['a']).toMatchObject([{ id: 't', endpointId: 'ep-2' }]);
});

test('a ticket that has expired is not offered a slot; its owner is told', () => {
  const ledger = new LedgerHand();
  ledger.admit('t1', { expiresAtMs: ledger.nowMs + 10 });
  ledger.admit('t2');
  ledger.pass(10);
  ledger.endpoints({ 'ep-1': 1 });
  expect(ledger.states).toEqual({ t2: 'offered' });
  expect(ledger.evictions['a']).toEqual([{ id: 't1', reason: 'expired' }]);
});

test('a dead owner is offered nothing, even before it is reaped', () => {
  const ledger = new LedgerHand();
  ledger.admit('t1');
  ledger.admit('t2', { owner: 'b' });
  ledger.pass(3_000, ['b']);
  ledger.do('b', { op: 'setEndpoints', endpoints: [{ id: 'ep-1', slots: 2 }] });
  expect(ledger.states).toEqual({ t1: 'waiting', t2: 'offered' });
});

test('an owner that missed two offers is passed over until its next heartbeat', () => {
  const ledger = new LedgerHand({ 'ep-1': 2 });
  for (const id of ['t1', 't2']) ledger.admit(id, { ranking: [] });
  expect(ledger.states).toEqual({ t1: 'offered', t2: 'offered' });
  ledger.pass(1_000);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states).toEqual({ t1: 'waiting', t2: 'waiting' });
  ledger.admit('t3', { owner: 'b', ranking: [] });
  expect(ledger.states).toMatchObject({ t1: 'waiting', t3: 'offered' });
  ledger.do('a', { op: 'heartbeat', check: [] });
  expect(ledger.states).toEqual({ t1: 'offered', t2: 'waiting', t3: 'offered' });
});

test('more free slots than one assign may offer are owed, and who comes after waits until the next went on', () => {
  const ledger = new LedgerHand();
  for (let n = 0; n < 300; n += 1) ledger.admit(`t${n}`);
  ledger.endpoints({ 'ep-1': 400 });
  const offered = () => Object.values(ledger.states).filter((state) => state === 'offered').length;
  expect(offered()).toBe(256);
  expect(ledger.admit('late')).toMatchObject({ kind: 'run' });
  expect(offered()).toBe(300);
  expect(ledger.admit('later')).toMatchObject({ kind: 'run' });
});
