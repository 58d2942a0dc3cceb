import { expect, test } from 'vitest';
import type { ReassertedTicket } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { serveAll } from '../../../support/ledger-order.ts';

/** What the ledger makes of words that contradict what it has, and of numbers and times that nobody expects. */

function claim(ledger: LedgerHand, id: string, state: ReassertedTicket['state']): void {
  const { kind, objective, priority, fairnessId, bytes, costTokens, tag, queuedAtMs, endpointId } = ledger.ticket(id);
  const ticket = { id, kind, objective, priority, fairnessId, classKey: '', bytes, costTokens, expiresAtMs: 0 };
  const at = { tag: String(tag), queuedAtMs, state, endpointId: state === 'waiting' ? '' : endpointId };
  const tickets = [{ ...ticket, ...at, excluded: [], attempt: 1 }];
  ledger.do('a', { op: 'reassert', tickets, first: true, last: true });
}

/** `first` ran after it had to wait; `flow` is where its tenant stands. */
function withGrant() {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  const flow = () =>
    (ledger.state.bands.get(100)?.flows.get('t') ?? 0) - (ledger.state.bands.get(100)?.virtualTime ?? 0);
  ledger.admit('before');
  ledger.admit('granted', { fairnessId: 't', costTokens: 50 });
  ledger.finish('before');
  ledger.take('granted');
  return { ledger, flow };
}

test('a run that its owner names again is the same run: no release, its time goes on, its charge can be corrected', () => {
  const { ledger, flow } = withGrant();
  expect(flow()).toBe(50_000);
  ledger.pass(100);
  claim(ledger, 'granted', 'running');
  expect(ledger.snapshot.objectives[0]).toMatchObject({ releasedTotal: 1, running: 1 });
  ledger.pass(100);
  ledger.do('a', { op: 'release', id: 'granted', token: ledger.token('granted'), usedTokens: 20 });
  expect(ledger.snapshot.objectives[0]).toMatchObject({ releasedTotal: 2, slotMsTotal: 200 });
  expect(flow()).toBe(20_000);
});

test('a run whose release was not heard is released once', () => {
  const { ledger } = withGrant();
  ledger.pass(100);
  claim(ledger, 'granted', 'recording');
  ledger.pass(100);
  ledger.finish('granted');
  expect(ledger.snapshot.objectives[0]).toMatchObject({ releasedTotal: 2, slotMsTotal: 100 });
});

test('a grant that its owner never heard of is neither a release nor charged, and is granted anew', () => {
  const { ledger, flow } = withGrant();
  claim(ledger, 'granted', 'waiting');
  expect(ledger.ticket('granted').state).toBe('offered');
  expect(ledger.snapshot.objectives[0]).toMatchObject({ releasedTotal: 1, slotMsTotal: 0 });
  expect(flow()).toBe(50_000);
});

test('a call that claims or reports tokens beyond any context does not set its tenant back for ever', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('before');
  ledger.admit('huge', { fairnessId: 't', costTokens: Number.MAX_SAFE_INTEGER });
  ledger.finish('before');
  ledger.take('huge');
  ledger.admit('own', { fairnessId: 't', costTokens: 1 });
  for (let n = 0; n < 12; n += 1) ledger.admit(`other-${n}`, { fairnessId: 'o', costTokens: 100_000 });
  ledger.do('a', { op: 'finish', id: 'huge', token: ledger.token('huge'), usedTokens: 1e300 });
  expect(serveAll(ledger).indexOf('own')).toBeLessThanOrEqual(11);
});

test('an owner that is silent since the clock was set back is dead after the usual time', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('lost', { owner: 'b' });
  ledger.nowMs -= 3_600_000;
  ledger.do('a', { op: 'heartbeat', check: [] });
  ledger.pass(3_000, ['a']);
  ledger.do('a', { op: 'heartbeat', check: [] });
  expect(ledger.states).toEqual({});
  expect(ledger.snapshot.owners).toBe(1);
});
