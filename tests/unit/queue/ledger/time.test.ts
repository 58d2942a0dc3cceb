import { beforeEach, describe, expect, test } from 'vitest';
import { IN_SERVICE, NOT_HERE, type ReassertedTicket } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 1 });
});

test('an offer that nobody takes lapses after a second; its ticket keeps its place', () => {
  ledger.admit('t1', { ranking: [] });
  ledger.admit('t2', { owner: 'b', ranking: [] });
  const token = ledger.token('t1');
  ledger.pass(1_000);
  ledger.do('b', { op: 'poll' });
  expect(ledger.states).toEqual({ t1: 'offered', t2: 'waiting' });
  expect(ledger.token('t1') > token).toBe(true);
});

test('a poll reads every offer again', () => {
  ledger.admit('t1', { ranking: [] });
  const offered = ledger.offers['a'];
  ledger.do('a', { op: 'poll' });
  expect(ledger.offers['a']).toEqual(offered);
});

test('a heartbeat tells places, and how many tickets the ledger has', () => {
  for (const id of ['t1', 't2', 't3']) ledger.admit(id);
  const reply = ledger.do('a', { op: 'heartbeat', check: ['t1', 't3', 'x'] });
  expect(reply).toMatchObject({ tickets: 3, positions: [IN_SERVICE, 1, NOT_HERE], recovering: false });
});

test('a waiting ticket whose clock can stop is evicted when it expires', () => {
  ledger.admit('t1');
  ledger.admit('t2', { expiresAtMs: ledger.nowMs + 100, expiryStops: true });
  ledger.pass(100);
  ledger.do('b', { op: 'heartbeat', check: [] });
  expect(ledger.evictions['a']).toEqual([{ id: 't2', reason: 'expired' }]);
});

describe('an owner that is dead', () => {
  beforeEach(() => {
    ledger.endpoints({ 'ep-1': 1, 'ep-2': 2 });
    ledger.admit('running', { ranking: ['ep-1'] });
    ledger.admit('offered', { ranking: [] });
    ledger.admit('recording', { ranking: ['ep-2'], kind: 'stored' });
    ledger.do('a', { op: 'release', id: 'recording', token: ledger.token('recording') });
    ledger.admit('other', { owner: 'b', ranking: ['ep-2'] });
    ledger.admit('waiting', { kind: 'stored' });
    ledger.pass(3_000, ['b']);
  });

  test('loses all its tickets; only the slot on which something ran stays out of use', () => {
    expect(Object.keys(ledger.states)).toEqual(['running', 'offered', 'recording', 'other', 'waiting']);
    ledger.do('b', { op: 'heartbeat', check: [] });
    expect(ledger.states).toEqual({ other: 'running' });
    expect(ledger.do('b', { op: 'snapshot' })).toMatchObject({
      owners: 1,
      endpoints: [
        { id: 'ep-1', used: 1, quarantined: 1 },
        { id: 'ep-2', used: 1, quarantined: 0 },
      ],
    });
  });

  test('finds itself unknown and has to join again', () => {
    ledger.do('b', { op: 'heartbeat', check: [] });
    expect(() => ledger.do('a', { op: 'poll' })).toThrow('stale');
    ledger.join('a');
    expect(ledger.do('a', { op: 'heartbeat', check: [] })).toMatchObject({ tickets: 0 });
  });

  describe('leaves its slot in quarantine', () => {
    const quarantined = () => ledger.do('b', { op: 'snapshot' }).endpoints[0]?.quarantined;
    const scrape = (activeRequests: number, startedAtMs: number) =>
      ledger.do('b', { op: 'observe', endpointId: 'ep-1', activeRequests, startedAtMs });
    beforeEach(() => {
      ledger.do('b', { op: 'heartbeat', check: [] });
    });

    test('until two scrapes in a row saw nothing there that is not ours', () => {
      scrape(0, ledger.nowMs + 1);
      expect(quarantined()).toBe(1);
      scrape(1, ledger.nowMs + 2);
      scrape(0, ledger.nowMs + 3);
      expect(quarantined()).toBe(1);
      scrape(0, ledger.nowMs + 4);
      expect(quarantined()).toBe(0);
    });

    test('while scrapes that began before the reap come in', () => {
      scrape(0, ledger.nowMs - 2);
      scrape(0, ledger.nowMs - 1);
      scrape(0, ledger.nowMs);
      expect(quarantined()).toBe(1);
    });

    test('for at most a minute', () => {
      ledger.pass(59_999);
      ledger.do('b', { op: 'poll' });
      expect(quarantined()).toBe(1);
      ledger.pass(1);
      ledger.do('b', { op: 'poll' });
      expect(quarantined()).toBe(0);
    });

    test('unless it lives and holds the slot itself', () => {
      ledger.join('a');
      ledger.do('a', {
        op: 'reassert',
        tickets: [claim({ id: 'running', state: 'running', endpointId: 'ep-1' })],
        first: true,
        last: true,
      });
      expect(ledger.do('b', { op: 'snapshot' }).endpoints[0]).toMatchObject({ used: 1, quarantined: 0 });
    });
  });
});

test('an owner that leaves takes its tickets with it', () => {
  ledger.admit('t1');
  ledger.admit('t2');
  ledger.do('a', { op: 'leave' });
  expect(ledger.states).toEqual({});
  expect(ledger.do('b', { op: 'snapshot' })).toMatchObject({ owners: 1, endpoints: [{ used: 1, quarantined: 1 }] });
});

describe('after another server has taken over', () => {
  beforeEach(() => {
    ledger.admit('t1');
    ledger.admit('t2', { owner: 'b' });
    ledger.join('a', 'run-2', 'known');
  });

  test('nothing is granted until every known owner has re-asserted', () => {
    expect(ledger.admit('t3')).toMatchObject({ kind: 'queued' });
    expect(ledger.states).toEqual({ t3: 'waiting' });
    ledger.do('a', {
      op: 'reassert',
      tickets: [claim({ id: 't1', state: 'running', endpointId: 'ep-1' })],
      first: true,
      last: true,
    });
    expect(ledger.snapshot.recovering).toBe(true);
    ledger.join('b', 'run-2', 'known');
    ledger.do('b', { op: 'reassert', tickets: [claim({ id: 't2', tag: '1' })], first: true, last: true });
    expect(ledger.snapshot.recovering).toBe(false);
    expect(ledger.states).toEqual({ t1: 'running', t2: 'waiting' });
    ledger.finish('t1');
    expect(ledger.states).toEqual({ t2: 'offered' });
  });

  test('the ledger opens after two seconds without them', () => {
    ledger.pass(1_999, ['a']);
    expect(ledger.snapshot.recovering).toBe(true);
    ledger.pass(1, ['a']);
    expect(ledger.snapshot.recovering).toBe(false);
  });
});

describe('a re-assertion', () => {
  test('puts tickets back at their old places and drops what it does not name', () => {
    ledger.admit('t1');
    ledger.admit('t2');
    ledger.admit('t3');
    const [tag2, tag3] = [ledger.ticket('t2').tag, ledger.ticket('t3').tag].map(String);
    const reply = ledger.do('a', {
      op: 'reassert',
      tickets: [claim({ id: 't3', tag: tag3! }), claim({ id: 't2', tag: tag2! })],
      first: true,
      last: true,
    });
    expect(reply.tickets.map(({ state }) => state)).toEqual(['waiting', 'waiting']);
    expect(ledger.states).toEqual({ t3: 'waiting', t2: 'offered' });
  });

  test('in chunks names everything before anything is dropped', () => {
    ledger.endpoints({});
    ledger.admit('t1');
    ledger.admit('t2');
    ledger.do('a', { op: 'reassert', tickets: [claim({ id: 't1' })], first: true, last: false });
    expect(Object.keys(ledger.states).sort()).toEqual(['t1', 't2']);
    ledger.do('a', { op: 'reassert', tickets: [], first: false, last: true });
    expect(ledger.states).toEqual({ t1: 'waiting' });
  });

  test('of work that runs beats the same work waiting elsewhere, and over-fills its endpoint', () => {
    ledger.admit('t1');
    ledger.admit('job', { owner: 'b', kind: 'stored' });
    const reply = ledger.do('a', {
      op: 'reassert',
      tickets: [
        claim({ id: 't1', state: 'running', endpointId: 'ep-1' }),
        claim({ id: 'job', kind: 'stored', state: 'running', endpointId: 'ep-1' }),
      ],
      first: true,
      last: true,
    });
    expect(reply.tickets.map(({ state }) => state)).toEqual(['running', 'running']);
    expect(ledger.evictions['b']).toEqual([{ id: 'job', reason: 'lost' }]);
    expect(ledger.snapshot.endpoints[0]).toMatchObject({ slots: 1, used: 2 });
    ledger.finish('t1');
    expect(ledger.admit('t4')).toMatchObject({ kind: 'queued' });
  });

  test('of work that another owner runs is lost, of work that has its outcome done', () => {
    ledger.admit('job', { owner: 'b', kind: 'stored' });
    ledger.do('a', { op: 'settle', id: 'over', objective: 'o', token: '', outcome: '{}', recordRef: 'null' });
    const reply = ledger.do('a', {
      op: 'reassert',
      tickets: [
        claim({ id: 'job', kind: 'stored', state: 'running', endpointId: 'ep-1' }),
        claim({ id: 'over', kind: 'stored' }),
      ],
      first: true,
      last: true,
    });
    expect(reply.tickets.map(({ state }) => state)).toEqual(['lost', 'done']);
    expect(ledger.states).toEqual({ job: 'running' });
  });
});

function claim(change: Partial<ReassertedTicket>): ReassertedTicket {
  return {
    id: 't',
    kind: 'held',
    objective: 'interactive',
    priority: 100,
    classKey: '',
    bytes: 10,
    costTokens: 1,
    expiresAtMs: 0,
    tag: '0',
    queuedAtMs: 0,
    state: 'waiting',
    endpointId: '',
    excluded: [],
    attempt: 1,
    ...change,
  };
}
