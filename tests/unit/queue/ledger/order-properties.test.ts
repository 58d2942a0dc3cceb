import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LedgerHand } from '../../../support/ledger-hand.ts';
import { rule, serveAll } from '../../../support/ledger-order.ts';

const TENANTS = ['a', 'b', 'c', 'd'];

test('tenants of one band are served by tokens in proportion to their weights, within one largest cost of each other', () => {
  const work = fc.array(fc.record({ tenant: fc.nat(2), cost: fc.integer({ min: 1, max: 5_000 }) }), {
    minLength: 90,
    maxLength: 150,
  });
  const property = fc.property(
    work,
    fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 3, maxLength: 3 }),
    (jobs, weights) => {
      const ledger = new LedgerHand();
      const waiting = new Map<string, number>();
      jobs.forEach(({ tenant, cost }, index) => {
        const fairnessId = TENANTS[tenant]!;
        waiting.set(fairnessId, (waiting.get(fairnessId) ?? 0) + 1);
        ledger.admit(`t${String(index).padStart(3, '0')}`, { fairnessId, weight: weights[tenant]!, costTokens: cost });
      });
      const served = new Map<string, number>();
      serveAll(ledger, (id) => {
        const { fairnessId, weight, costTokens } = ledger.ticket(id);
        served.set(fairnessId, (served.get(fairnessId) ?? 0) + costTokens / weight);
        waiting.set(fairnessId, waiting.get(fairnessId)! - 1);
        // While all of two tenants have something waiting, neither may be ahead of the other by more.
        const busy = [...waiting].filter(([, count]) => count > 0).map(([tenant]) => served.get(tenant) ?? 0);
        if (waiting.size === busy.length) expect(Math.max(...busy) - Math.min(...busy)).toBeLessThanOrEqual(5_000);
      });
    },
  );
  fc.assert(property, { numRuns: 60 });
});

test('a flow with one ticket waits for at most one ticket of each other flow that is not heavier than itself', () => {
  const property = fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 60 }), (others, depth) => {
    const ledger = new LedgerHand();
    for (let n = 0; n < depth * others; n += 1) {
      ledger.admit(`old${String(n).padStart(3, '0')}`, { fairnessId: `other-${n % others}`, costTokens: 100 });
    }
    ledger.admit('lone', { fairnessId: 'lone', costTokens: 100 });
    const order = serveAll(ledger);
    expect(order.indexOf('lone')).toBeLessThanOrEqual(others);
  });
  fc.assert(property);
});

test('a tenant with 20,000 rows delays a tenant with one job by one row besides the one that runs, and its position says so', () => {
  const ledger = new LedgerHand({ 'ep-1': 1 });
  ledger.admit('first', { fairnessId: 'big', kind: 'row' });
  for (let n = 0; n < 20_000; n += 1) ledger.admit(`row-${n}`, { fairnessId: 'big', kind: 'row', costTokens: 500 });
  const job = ledger.admit('job', { fairnessId: 'small', kind: 'stored', costTokens: 500 });
  expect(job).toMatchObject({ kind: 'queued' });
  expect((job as { position: number }).position).toBeLessThanOrEqual(2);
  const order = serveAll(ledger, () => undefined, 4);
  expect(order[0]).toBe('first');
  expect(order.indexOf('job')).toBeLessThanOrEqual(2);
});

test('a higher priority never waits longer: raising that of one ticket does not move it back', () => {
  const tickets = fc.array(
    fc.record({ priority: fc.constantFrom(-10, 0, 100), tenant: fc.nat(3), cost: fc.integer({ min: 1, max: 50 }) }),
    { minLength: 2, maxLength: 30 },
  );
  const property = fc.property(tickets, fc.nat(29), (specs, chosen) => {
    const picked = chosen % specs.length;
    const placeWith = (priority: number): number => {
      const ledger = new LedgerHand();
      specs.forEach((spec, index) => {
        const own = index === picked ? priority : spec.priority;
        ledger.admit(`t${String(index).padStart(2, '0')}`, {
          priority: own,
          fairnessId: TENANTS[spec.tenant]!,
          costTokens: spec.cost,
          objective: `p${own}`,
        });
      });
      return serveAll(ledger).indexOf(`t${String(picked).padStart(2, '0')}`);
    };
    const { priority } = specs[picked]!;
    expect(placeWith(priority + 1_000)).toBeLessThanOrEqual(placeWith(priority));
  });
  fc.assert(property, { numRuns: 60 });
});

test('a guaranteed share is kept over every stretch in which it has work, whatever stands above it', () => {
  const costs = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 120, maxLength: 200 });
  const property = fc.property(costs, fc.constantFrom(5, 10, 30, 60), (sizes, percent) => {
    const ledger = new LedgerHand();
    ledger.do('a', {
      op: 'setRules',
      rules: [rule('chat', 100), rule('batch', -10, { guaranteedSharePercent: percent })],
    });
    sizes.forEach((costTokens, index) => {
      const isChat = index % 2 === 0;
      ledger.admit(`t${String(index).padStart(3, '0')}`, {
        ...{ objective: isChat ? 'chat' : 'batch', priority: isChat ? 100 : -10, costTokens },
      });
    });
    const all = { chat: 0, batch: 0 };
    let left = sizes.filter((_, index) => index % 2 === 1).length;
    serveAll(ledger, (id) => {
      const { objective, costTokens } = ledger.ticket(id);
      all[objective as 'chat' | 'batch'] += costTokens;
      if (objective === 'batch') left -= 1;
      const granted = all.chat + all.batch;
      if (left > 0) expect(all.batch).toBeGreaterThanOrEqual((percent / 100) * granted - 1_000);
      // And the bands decide about the rest.
      if (left > 0 && ledger.state.books.get('chat')!.held.size > 0) {
        expect(all.batch).toBeLessThanOrEqual((percent / 100) * granted + 1_000);
      }
    });
  });
  fc.assert(property, { numRuns: 60 });
});

test('what a tenant used counts through an incarnation; what an idle one could have used does not', () => {
  const ledger = new LedgerHand();
  for (let n = 0; n < 20; n += 1)
    ledger.admit(`t${n}`, { fairnessId: n % 2 === 0 ? 'heavy' : 'light', costTokens: n % 2 === 0 ? 1_000 : 10 });
  serveAll(ledger, () => undefined, 6);
  ledger.endpoints({});
  const before = new Map(ledger.state.bands.get(100)!.flows);
  expect(before.get('heavy')).toBeGreaterThan(before.get('light')!);
  for (const owner of ['a', 'b']) ledger.join(owner, 'run-2', 'before');
  expect(ledger.state.tickets.size).toBe(0);
  expect(ledger.state.bands.get(100)!.flows).toEqual(before);
  for (const owner of ['a', 'b']) ledger.do(owner, { op: 'reassert', tickets: [], first: true, last: true });
  for (const id of ['h1', 'h2']) ledger.admit(id, { fairnessId: 'heavy', costTokens: 10 });
  ledger.admit('n1', { fairnessId: 'new', costTokens: 10 });
  expect(serveAll(ledger)[0]).toBe('n1');
});
