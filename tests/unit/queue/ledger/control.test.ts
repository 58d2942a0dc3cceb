import { beforeEach, describe, expect, test } from 'vitest';
import type { RuleLine } from '../../../../src/queue/policy/ledger/ops.ts';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { ROOMY_LIMITS } from '../../../support/live-order-builders.ts';

let ledger: LedgerHand;
beforeEach(() => {
  ledger = new LedgerHand({ 'ep-1': 1 });
});

const pause = (objective: string, paused = true) => ledger.do('a', { op: 'setPaused', objective, paused });
const list = (query: { objective?: string; fairnessId?: string; limit?: number } = {}) =>
  ledger.do('a', { op: 'list', objective: '', fairnessId: '', limit: 500, ...query }).tickets;
const find = (id: string) => ledger.do('a', { op: 'find', id }).tickets[0];
const rule = (objective: string, paused: boolean): RuleLine => ({
  ...{ objective, priority: 0, guaranteedSharePercent: 0, agingMs: 0, reservedSlotsPercent: 0, reservedLapseMs: 0 },
  paused,
});
const windows = () => ledger.do('a', { op: 'heartbeat', check: [] }).windows.map(({ objective }) => objective);
const reserve = (id: string, objective: string) =>
  ledger.do('a', {
    ...{ op: 'reserve', id, objective, priority: 0, bytes: 1, costTokens: 1, deadlineMs: 0, ttlMs: 60_000 },
    limits: ROOMY_LIMITS,
  });

describe('an operator who pauses an objective', () => {
  test('closes its intake, and opens it again', () => {
    reserve('j1', 'nightly');
    reserve('j2', 'other');
    pause('nightly');
    expect(ledger.hints).toContain('windows');
    expect(windows()).toEqual(['other']);
    pause('nightly', false);
    expect(windows()).toEqual(['nightly', 'other']);
  });

  test('is heard beside the policy, whatever that says', () => {
    ledger.do('a', { op: 'setRules', rules: [rule('nightly', true), rule('other', false)] });
    pause('other');
    reserve('j1', 'nightly');
    reserve('j2', 'other');
    expect(windows()).toEqual([]);
    pause('nightly', false);
    ledger.do('a', { op: 'setRules', rules: [rule('other', false)] });
    expect(windows()).toEqual(['nightly']);
    expect(ledger.do('a', { op: 'paused' }).objectives).toEqual(['other']);
  });

  test('is remembered when another server takes over', () => {
    pause('nightly');
    ledger.join('a', 'run-2', 'known');
    expect(ledger.do('a', { op: 'paused' }).objectives).toEqual(['nightly']);
  });

  test('has its work wake no pool, and is told so by the snapshot', () => {
    ledger.endpoints({});
    pause('interactive');
    expect(ledger.admit('t1')).toMatchObject({ kind: 'queued', asleep: false });
    expect(reserve('j1', 'interactive')).toMatchObject({ asleep: false });
    expect(reserve('j2', 'other')).toMatchObject({ asleep: true });
    const paused = ledger.snapshot.objectives.map(({ objective, paused }) => [objective, paused]);
    expect(new Map(paused as [string, boolean | undefined][])).toEqual(
      new Map([
        ['interactive', true],
        ['other', undefined],
      ]),
    );
  });
});

describe('a list', () => {
  test('has waiting tickets by arrival, then those in service, with all that an operator needs', () => {
    ledger.admit('running', { fairnessId: 'acme', ranking: ['ep-1'] });
    ledger.pass(5);
    ledger.admit('t2', { kind: 'row', objective: 'nightly', priority: -10, expiresAtMs: ledger.nowMs + 500 });
    ledger.admit('t3', { kind: 'stored', fairnessId: 'bee' });
    expect(list().map(({ id }) => id)).toEqual(['t2', 't3', 'running']);
    expect(list()[0]).toEqual({
      ...{ id: 't2', kind: 'row', objective: 'nightly', priority: -10, fairnessId: '', state: 'waiting', owner: 'a' },
      ...{ position: 1, reason: 'order', endpointId: '', attempt: 0, costTokens: 1 },
      ...{ queuedAtEpochMs: ledger.nowMs, expiresAtEpochMs: ledger.nowMs + 500 },
    });
    expect(find('running')).toMatchObject({
      state: 'running',
      endpointId: 'ep-1',
      position: -1,
      reason: '',
      attempt: 1,
    });
  });

  test('is of one objective, one tenant, and no longer than asked for', () => {
    for (const index of [0, 1, 2, 3, 4, 5]) {
      const objective = index % 2 === 0 ? 'even' : 'odd';
      ledger.admit(`t${index}`, { objective, fairnessId: index < 3 ? 'acme' : 'bee', ranking: [] });
    }
    const ids = (query: Parameters<typeof list>[0]) => list(query).map(({ id }) => id);
    expect(ids({ objective: 'odd' })).toEqual(['t1', 't3', 't5']);
    expect(ids({ fairnessId: 'acme' })).toEqual(['t1', 't2', 't0']);
    expect(ids({ objective: 'even', fairnessId: 'bee' })).toEqual(['t4']);
    expect(ids({ limit: 2 })).toEqual(['t1', 't2']);
    expect(ids({ objective: 'none' })).toEqual([]);
  });

  test('is bounded, however much waits', () => {
    for (let index = 0; index < 600; index += 1) ledger.admit(`t${index}`);
    expect(list({ limit: 10_000 })).toHaveLength(500);
  });

  test('a ticket that records its result, and one that is not there', () => {
    ledger.admit('job', { kind: 'stored' });
    ledger.do('a', { op: 'release', id: 'job', token: ledger.token('job') });
    expect(list()).toEqual([]);
    expect(find('job')).toMatchObject({ state: 'recording', endpointId: 'ep-1' });
    expect(find('nobody')).toBeUndefined();
  });
});

describe('why a ticket waits', () => {
  const reason = (id: string) => find(id)?.reason;
  test('its objective is paused', () => {
    ledger.endpoints({});
    ledger.admit('t1');
    pause('interactive');
    expect(reason('t1')).toBe('paused');
  });

  test('the pool has no open slot', () => {
    ledger.endpoints({});
    ledger.admit('t1');
    expect(reason('t1')).toBe('no_capacity');
  });

  test('no open endpoint serves its adapter', () => {
    ledger.endpoints({ 'ep-1': 1 }, { 'ep-1': ['lora'] });
    ledger.admit('t1', { classKey: 'other' });
    expect(reason('t1')).toBe('no_endpoint_for_class');
  });

  test('its owner does not answer', () => {
    ledger.admit('running');
    ledger.admit('t1', { owner: 'b' });
    ledger.pass(3_000, ['a']);
    expect(reason('t1')).toBe('owner_silent');
  });

  test('others are before it', () => {
    ledger.admit('running');
    ledger.admit('t1');
    expect(reason('t1')).toBe('order');
  });
});
