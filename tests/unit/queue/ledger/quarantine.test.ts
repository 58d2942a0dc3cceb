import { beforeEach, describe, expect, test } from 'vitest';
import type { ReassertedTicket } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { TEST_TIMING } from '../../../support/ledger-script.ts';

let ledger: LedgerHand;
const quarantined = () => ledger.snapshot.endpoints[0]?.quarantined;

describe('slots of a dead owner, while others run on the same engine', () => {
  const scrapes = (...activeRequests: number[]) => {
    for (const requests of activeRequests) {
      ledger.pass(500, ['a']);
      ledger.do('a', { op: 'observe', endpointId: 'ep-1', activeRequests: requests, startedAtMs: ledger.nowMs - 50 });
    }
  };
  const die = (owner: string) => {
    ledger.pass(TEST_TIMING.deadOwnerMs, ['a']);
    ledger.do('a', { op: 'heartbeat', check: [] });
    expect(ledger.state.owners.ids()).not.toContain(owner);
  };

  beforeEach(() => {
    ledger = new LedgerHand({ 'ep-1': 3 });
    for (const id of ['b1', 'b2']) ledger.admit(id, { owner: 'b' });
  });

  test('are not free because somebody was granted another whose call the engine does not have yet', () => {
    die('b');
    ledger.admit('a1');
    scrapes(2, 2, 2);
    expect(quarantined()).toBe(2);
  });

  test('are free when all that the engine has is known to be of those who live', () => {
    ledger.admit('a1');
    die('b');
    scrapes(1);
    expect(quarantined()).toBe(2);
    scrapes(1);
    expect(quarantined()).toBe(0);
  });

  test('are free as far as the engine has fewer requests than there are slots in doubt', () => {
    die('b');
    scrapes(1, 1);
    expect(quarantined()).toBe(1);
    scrapes(0, 0);
    expect(quarantined()).toBe(0);
  });

  test('stay while an owner that was not heard since may have ended what it ran', () => {
    ledger.admit('a1');
    die('b');
    const heardMs = ledger.nowMs;
    for (const afterMs of [100, 200, 300]) {
      ledger.pass(100, []);
      ledger.do('a', { op: 'observe', endpointId: 'ep-1', activeRequests: 1, startedAtMs: heardMs + afterMs - 50 });
    }
    // One of the two at most is the stranger.
    expect(quarantined()).toBe(1);
  });

  test('are judged by scrapes in the order of their start, whenever they come in', () => {
    die('b');
    scrapes(2);
    const startedAtMs = ledger.nowMs - 60;
    ledger.do('a', { op: 'observe', endpointId: 'ep-1', activeRequests: 0, startedAtMs });
    ledger.do('a', { op: 'observe', endpointId: 'ep-1', activeRequests: 0, startedAtMs: startedAtMs + 1 });
    expect(quarantined()).toBe(2);
  });
});

test('the same job lost by two owners one after the other has two slots in quarantine', () => {
  ledger = new LedgerHand({ 'ep-1': 3 }, ['a', 'b', 'c']);
  for (const [owner, alive] of [
    ['b', ['a', 'c']],
    ['c', ['a']],
  ] as const) {
    ledger.admit('job', { owner, kind: 'stored' });
    ledger.pass(TEST_TIMING.deadOwnerMs, alive);
    ledger.do('a', { op: 'heartbeat', check: [] });
  }
  expect(quarantined()).toBe(2);
  ledger.join('c');
  ledger.do('c', { op: 'reassert', tickets: [claim('job', 'running')], first: true, last: true });
  expect(ledger.snapshot.endpoints[0]).toMatchObject({ used: 2, quarantined: 1 });
});

describe('a server that starts again with what it kept', () => {
  const reassert = (owner: string, ...tickets: ReassertedTicket[]) =>
    ledger.do(owner, { op: 'reassert', tickets, first: true, last: true });

  beforeEach(() => {
    ledger = new LedgerHand({ 'ep-1': 3 });
    ledger.admit('a1');
    ledger.admit('a2');
    ledger.admit('b1', { owner: 'b' });
    ledger.join('a', 'run-2');
  });

  test('has every slot out of use until its owner has said whether it uses it', () => {
    expect(ledger.snapshot.endpoints[0]).toMatchObject({ used: 3, quarantined: 3 });
    reassert('a', claim('a1', 'running'));
    expect(ledger.snapshot.endpoints[0]).toMatchObject({ used: 2, quarantined: 1 });
    ledger.join('b', 'run-2');
    reassert('b', claim('b1', 'waiting'));
    expect(ledger.states).toEqual({ a1: 'running', b1: 'offered' });
    expect(ledger.snapshot.endpoints[0]).toMatchObject({ used: 2, quarantined: 0 });
  });

  test('leaves the slots of owners that do not come in quarantine', () => {
    reassert('a', claim('a1', 'running'));
    for (const id of ['a3', 'a4']) ledger.admit(id, { ranking: [] });
    ledger.pass(TEST_TIMING.recoveryMs);
    ledger.do('a', { op: 'heartbeat', check: [] });
    expect(ledger.states).toEqual({ a1: 'running', a3: 'offered', a4: 'waiting' });
    expect(ledger.snapshot.endpoints[0]).toMatchObject({ used: 3, quarantined: 1 });
    ledger.pass(TEST_TIMING.quarantineCapMs);
    ledger.do('a', { op: 'heartbeat', check: [] });
    expect(quarantined()).toBe(0);
  });

  test('keeps what was in quarantine before, whose scrapes counted requests and not whose they are', () => {
    ledger.pass(TEST_TIMING.recoveryMs);
    ledger.do('a', { op: 'heartbeat', check: [] });
    ledger.join('b', 'run-2');
    for (let scrape = 0; scrape < 2; scrape += 1) {
      ledger.pass(100);
      const startedAtMs = ledger.nowMs - 50;
      ledger.do('b', { op: 'observe', endpointId: 'ep-1', activeRequests: 1, startedAtMs });
    }
    expect(quarantined()).toBe(1);
    ledger.join('b', 'run-3');
    reassert('b');
    ledger.join('a', 'run-3');
    reassert('a');
    expect(quarantined()).toBe(1);
  });

  test('counts what was in quarantine before from its start', () => {
    reassert('a', claim('a1', 'running'));
    ledger.pass(TEST_TIMING.recoveryMs);
    ledger.join('a', 'run-3');
    ledger.pass(TEST_TIMING.quarantineCapMs - 1);
    ledger.do('a', { op: 'heartbeat', check: [] });
    expect(quarantined()).toBe(2);
    ledger.pass(1);
    ledger.do('a', { op: 'heartbeat', check: [] });
    expect(quarantined()).toBe(0);
  });
});

function claim(id: string, state: 'running' | 'waiting'): ReassertedTicket {
  return {
    ...{ id, kind: 'held', objective: 'interactive', priority: 100, classKey: '', bytes: 10, costTokens: 1 },
    ...{ expiresAtMs: 0, tag: '0', queuedAtMs: 0, excluded: [], attempt: 1 },
    ...{ state, endpointId: state === 'running' ? 'ep-1' : '' },
  };
}
