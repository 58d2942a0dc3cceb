import { expect, test } from 'vitest';
import type { RuleLine } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { rule, serveAll } from '../../../support/ledger-order.ts';

const CHAT = rule('chat', 100);
const NIGHTLY = rule('nightly', -10);
const chat = { objective: 'chat', priority: 100 };
const nightly = { objective: 'nightly', priority: -10 };

function withRules(slots: Record<string, number>, ...rules: RuleLine[]): LedgerHand {
  const ledger = new LedgerHand(slots);
  ledger.do('a', { op: 'setRules', rules });
  return ledger;
}

test('a ticket that waited as long as its objective allows competes in the highest band, and others do not', () => {
  const ledger = withRules({}, CHAT, rule('nightly', -10, { agingMs: 1_000 }), rule('bulk', -20));
  ledger.admit('old', { ...nightly, fairnessId: 'n' });
  ledger.admit('older', { objective: 'bulk', priority: -20, fairnessId: 'n' });
  ledger.pass(999);
  for (const id of ['c1', 'c2', 'c3']) ledger.admit(id, { ...chat, fairnessId: 'c' });
  ledger.pass(1);
  expect(serveAll(ledger).indexOf('old')).toBeLessThanOrEqual(1);
  ledger.admit('young', nightly);
  expect(ledger.ticket('young').state).toBe('running');
});

test('under a flood of the same tenant, which has deadlines, an aged ticket is the next to run', () => {
  const ledger = withRules({}, CHAT, rule('nightly', -10, { agingMs: 1_000 }));
  ledger.admit('old', nightly);
  ledger.admit('older', { ...nightly, deadlineMs: ledger.nowMs + 86_400_000 });
  let calls = 0;
  const flood = () => ledger.admit(`c${(calls += 1)}`, { ...chat, expiresAtMs: ledger.nowMs + 60_000 });
  for (let n = 0; n < 4; n += 1) {
    flood();
    ledger.pass(250);
  }
  flood();
  expect(serveAll(ledger, flood, 3).slice(0, 2)).toEqual(['old', 'older']);
});

test('an aged ticket that goes back into the order stays in the highest band', () => {
  const ledger = withRules({}, CHAT, rule('nightly', -10, { agingMs: 1_000 }));
  ledger.admit('old', nightly);
  ledger.pass(1_000);
  ledger.endpoints({ 'ep-1': 1, 'ep-2': 0 });
  ledger.take('old');
  ledger.admit('c1', chat);
  ledger.do('a', { op: 'requeue', id: 'old', token: ledger.token('old'), exclude: '' });
  expect(ledger.states).toMatchObject({ old: 'offered', c1: 'waiting' });
});

test('lower bands leave the reserved slots free, on the fast path too, until nothing of the objective came for its lapse', () => {
  const reserving = rule('chat', 100, { reservedSlotsPercent: 30, reservedLapseMs: 60_000 });
  const ledger = withRules({ 'ep-1': 4 }, reserving, NIGHTLY);
  expect(ledger.admit('c1', chat)).toMatchObject({ kind: 'run' });
  // Two of four are kept, of which the call holds one.
  for (const id of ['n1', 'n2']) expect(ledger.admit(id, nightly)).toMatchObject({ kind: 'run' });
  expect(ledger.admit('n3', nightly)).toMatchObject({ kind: 'queued' });
  expect(ledger.admit('c2', chat)).toMatchObject({ kind: 'run' });
  ledger.finish('c2');
  expect(ledger.states['n3']).toBe('waiting');
  ledger.pass(59_999);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states['n3']).toBe('waiting');
  ledger.pass(1);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states['n3']).toBe('offered');
});

test('an owed share and an aged ticket are served from reserved slots', () => {
  const reserving = rule('chat', 100, { reservedSlotsPercent: 100, reservedLapseMs: 60_000 });
  const ledger = withRules({ 'ep-1': 2 }, reserving, rule('nightly', -10, { agingMs: 500 }));
  ledger.admit('c1', chat);
  ledger.admit('n1', nightly);
  expect(ledger.states).toEqual({ c1: 'running', n1: 'waiting' });
  ledger.pass(500);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states['n1']).toBe('offered');
});

test('a tenant at its limit waits, over all bands, and blocks nobody; the slot that comes back is his', () => {
  const ledger = new LedgerHand({ 'ep-1': 3 });
  const capped = { fairnessId: 'acme', maxConcurrency: 2 };
  ledger.admit('a1', { ...capped, ...chat });
  ledger.admit('a2', { ...capped, ...nightly });
  expect(ledger.admit('a3', { ...capped, ...chat })).toMatchObject({ kind: 'queued' });
  expect(ledger.admit('b1', { fairnessId: 'bee', ...nightly })).toMatchObject({ kind: 'run' });
  ledger.finish('b1');
  expect(ledger.states['a3']).toBe('waiting');
  ledger.finish('a2');
  expect(ledger.states['a3']).toBe('offered');
});

test('work of a paused objective waits and blocks nobody; on resume each has its old place', () => {
  const ledger = withRules({}, CHAT, NIGHTLY);
  for (const id of ['n1', 'n2', 'n3']) ledger.admit(id, nightly);
  ledger.do('a', { op: 'setRules', rules: [CHAT, { ...NIGHTLY, paused: true }] });
  ledger.admit('n0', { ...nightly, arrivedAtMs: ledger.nowMs - 10 });
  ledger.admit('other', { objective: 'x', priority: -10 });
  ledger.endpoints({ 'ep-1': 1 });
  expect(ledger.states).toEqual({ n0: 'waiting', n1: 'waiting', n2: 'waiting', n3: 'waiting', other: 'offered' });
  ledger.take('other');
  ledger.finish('other');
  expect(ledger.admit('n4', nightly)).toMatchObject({ kind: 'queued' });
  ledger.do('a', { op: 'setRules', rules: [CHAT, NIGHTLY] });
  expect(serveAll(ledger)).toEqual(['n0', 'n1', 'n2', 'n3', 'n4']);
});

test('what an engine used replaces the estimate: a tenant that was overcharged is served again', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('busy', { fairnessId: 'z' });
  for (const id of ['a1', 'a2', 'a3', 'b1', 'b2', 'b3'])
    ledger.admit(id, { fairnessId: id.slice(0, 1), costTokens: 4_000 });
  ledger.finish('busy');
  const order: string[] = [];
  for (let n = 0; n < 4; n += 1) {
    const [next] = [...ledger.state.used.get('ep-1')!];
    order.push(next!);
    ledger.take(next!);
    const { owner, fairnessId } = ledger.ticket(next!);
    // Those of `a` use a tenth of what they were estimated at.
    const usedTokens = fairnessId === 'a' ? 400 : 4_000;
    ledger.do(owner, { op: 'release', id: next!, token: ledger.token(next!), usedTokens });
    ledger.finish(next!);
  }
  expect(order).toEqual(['a1', 'b1', 'a2', 'a3']);
});

test('within a tenant the earliest deadline goes first, then the earliest arrival', () => {
  const ledger = new LedgerHand();
  const at = (ms: number) => ledger.nowMs + ms;
  ledger.admit('whenever');
  ledger.admit('late', { deadlineMs: at(9_000) });
  ledger.admit('expiring', { expiresAtMs: at(5_000) });
  ledger.admit('soon', { deadlineMs: at(1_000) });
  expect(serveAll(ledger)).toEqual(['soon', 'expiring', 'late', 'whenever']);
});

test('an offer that lapses costs its tenant nothing', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('busy');
  ledger.admit('t1', { fairnessId: 'acme', costTokens: 9_000 });
  ledger.admit('t2', { fairnessId: 'acme', costTokens: 9_000 });
  const time = () => ledger.state.bands.get(100)!.flows.get('acme');
  ledger.endpoints({ 'ep-1': 2 });
  expect(time()).toBe(9_000_000);
  ledger.endpoints({ 'ep-1': 1 });
  ledger.pass(1_000);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states).toEqual({ busy: 'running', t1: 'waiting', t2: 'waiting' });
  expect(time()).toBe(0);
});

test('nothing is reserved for an objective that is paused, however much of it comes', () => {
  const reserving = rule('chat', 100, { reservedSlotsPercent: 100, reservedLapseMs: 60_000 });
  const ledger = withRules({ 'ep-1': 2 }, reserving, NIGHTLY);
  ledger.admit('first', chat);
  ledger.admit('kept out', { ...nightly, fairnessId: 'n' });
  expect(ledger.ticket('kept out').state).toBe('waiting');
  ledger.do('a', { op: 'setPaused', objective: 'chat', paused: true });
  expect(ledger.ticket('kept out').state).toBe('offered');
  ledger.take('kept out');
  ledger.finish('kept out');
  ledger.admit('paused', chat);
  ledger.admit('runs', nightly);
  expect(ledger.states).toMatchObject({ first: 'running', paused: 'waiting', runs: 'running' });
});
