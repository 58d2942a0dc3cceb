import { beforeEach, expect, test } from 'vitest';
import type { ConfirmOp, SettleOp } from '../../../../src/queue/policy/ledger/stored-ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand();
});

const confirm = (id: string, change: Partial<ConfirmOp> = {}) =>
  ledger.do('a', {
    ...{
      op: 'confirm',
      id,
      objective: 'nightly',
      priority: 0,
      bytes: 1,
      costTokens: 1,
      deadlineMs: 0,
      acceptedAtMs: 0,
    },
    ...change,
  });
const settle = (id: string, change: Partial<SettleOp> = {}) =>
  ledger.do('a', { op: 'settle', id, objective: 'nightly', token: '', outcome: '{}', recordRef: 'null', ...change });
const waiting = (limit = 10) => ledger.do('a', { op: 'outbox', limit }).jobs.map(({ id }) => id);

test('announced work is in the outbox from its outcome until it is acknowledged, the longest settled first', () => {
  for (const id of ['j1', 'j2', 'j3']) confirm(id, { announced: id !== 'j3' });
  expect(waiting()).toEqual([]);
  settle('j2');
  ledger.pass(5);
  settle('j1');
  settle('j3');
  expect(ledger.do('a', { op: 'outbox', limit: 10 }).jobs).toEqual([
    { id: 'j2', objective: 'nightly' },
    { id: 'j1', objective: 'nightly' },
  ]);
  expect(waiting(1)).toEqual(['j2']);
  ledger.do('a', { op: 'ackOutbox', ids: ['j2', 'unknown'] });
  expect(waiting()).toEqual(['j1']);
});

test('only the first outcome announces', () => {
  confirm('j1', { announced: true });
  settle('j1');
  ledger.do('a', { op: 'ackOutbox', ids: ['j1'] });
  settle('j1', { announced: true });
  confirm('j1', { announced: true });
  settle('j1');
  expect(waiting()).toEqual([]);
});

test('a later confirmation can announce, and none takes it back', () => {
  confirm('j1');
  confirm('j1', { announced: true });
  confirm('j1', { announced: false });
  settle('j1');
  expect(waiting()).toEqual(['j1']);
});

test('work whose demand was lost is announced by what the settle says', () => {
  settle('j1', { announced: true });
  settle('j2');
  expect(waiting()).toEqual(['j1']);
});

test('it is known on after a fail-over', () => {
  settle('j1', { announced: true });
  ledger.join('a', 'run-2', 'run-1');
  expect(waiting()).toEqual(['j1']);
});

test('an outbox that nobody reads forgets what is older than an outcome', () => {
  for (const id of ['j1', 'j2', 'j3']) settle(id, { announced: true });
  ledger.pass(86_400_000);
  settle('j4', { announced: true });
  settle('j5', { announced: true });
  expect(waiting()).toEqual(['j4', 'j5']);
});
