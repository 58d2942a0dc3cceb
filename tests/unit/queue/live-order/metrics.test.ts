import { Registry } from 'prom-client';
import { expect, test } from 'vitest';
import type { LedgerSnapshot, ObjectiveDemand } from '../../../../src/core/live-order.ts';
import { liveOrderMetrics } from '../../../../src/queue/live-order/metrics.ts';

const DEMAND: ObjectiveDemand = {
  objective: 'nightly',
  priority: -10,
  waitingHeld: 1,
  waitingStored: 2,
  running: 3,
  stored: 9,
  bytes: 500,
  costTokens: 100,
  oldestAtEpochMs: 70_000,
  deadlines: [],
  arrivedTotal: 20,
  releasedTotal: 11,
  slotMsTotal: 1_000,
  releasedCostTokensTotal: 55,
  settledTotal: 11,
};
const SNAPSHOT: LedgerSnapshot = {
  nowEpochMs: 100_000,
  incarnation: 'one',
  activityEpoch: 1,
  objectives: [DEMAND],
  endpoints: [
    { id: 'a', slots: 8, used: 4, quarantined: 1, gate: 'open' },
    { id: 'b', slots: 8, used: 2, quarantined: 0, gate: 'draining' },
  ],
  owners: 1,
};

const limitsOf = (objective: string) =>
  objective === 'nightly' ? { maxStoredRequests: 20, maxStoredBytes: 2_000 } : undefined;

test('a scrape shows depth, age, slots and budget as the ledger has them, with one reading for all series', async () => {
  const registry = new Registry();
  let readings = 0;
  const snapshot = () => {
    readings += 1;
    return Promise.resolve(SNAPSHOT);
  };
  liveOrderMetrics(registry, () => [{ pool: 'ns/p', maxRequests: 100, maxBytes: 1_000, limitsOf, snapshot }]);
  const text = await registry.metrics();
  const objective = 'pool="ns/p",objective="nightly",priority="-10"';
  for (const line of [
    'pilotlight_queue_ledger_reachable{pool="ns/p"} 1',
    `pilotlight_queue_waiting_requests{${objective},kind="held"} 1`,
    `pilotlight_queue_waiting_requests{${objective},kind="stored"} 2`,
    `pilotlight_queue_running_requests{${objective}} 3`,
    `pilotlight_queue_stored_requests{${objective}} 9`,
    `pilotlight_queue_oldest_seconds{${objective}} 30`,
    'pilotlight_queue_slots{pool="ns/p",state="open"} 8',
    'pilotlight_queue_slots{pool="ns/p",state="used"} 5',
    'pilotlight_queue_slots{pool="ns/p",state="quarantined"} 1',
    'pilotlight_queue_budget_used_ratio{pool="ns/p",budget="requests"} 0.1',
    'pilotlight_queue_budget_used_ratio{pool="ns/p",budget="bytes"} 0.5',
    `pilotlight_queue_objective_budget_used_ratio{${objective},budget="requests"} 0.5`,
    `pilotlight_queue_objective_budget_used_ratio{${objective},budget="bytes"} 0.25`,
    `pilotlight_queue_paused{${objective}} 0`,
  ]) {
    expect(text.split('\n')).toContain(line);
  }
  expect(readings).toBe(1);
  await registry.metrics();
  expect(readings).toBe(2);
});

test('a paused objective says so; one that the catalog does not know has no budget', async () => {
  const registry = new Registry();
  const objectives = [{ ...DEMAND, objective: 'gone', paused: true }];
  const snapshot = () => Promise.resolve({ ...SNAPSHOT, objectives });
  liveOrderMetrics(registry, () => [{ pool: 'ns/p', maxRequests: 100, maxBytes: 1_000, limitsOf, snapshot }]);
  const text = await registry.metrics();
  expect(text).toContain('pilotlight_queue_paused{pool="ns/p",objective="gone",priority="-10"} 1');
  expect(text).not.toContain('pilotlight_queue_objective_budget_used_ratio{');
});

test('a pool whose ledger does not answer has no depth at all, rather than a depth of zero', async () => {
  const registry = new Registry();
  const snapshot = () => Promise.reject(new Error('Redis is away'));
  liveOrderMetrics(registry, () => [{ pool: 'ns/p', maxRequests: 100, maxBytes: 1_000, limitsOf, snapshot }]);
  const series = (await registry.metrics()).split('\n').filter((line) => line && !line.startsWith('#'));
  expect(series).toEqual(['pilotlight_queue_ledger_reachable{pool="ns/p"} 0']);
});
