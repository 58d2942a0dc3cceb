import { expect, test } from 'vitest';
import { NO_QUOTAS } from '../../../../src/core/tenants.ts';
import { MemoryRateStore } from '../../../../src/queue/adapters/quotas/memory-rate-store.ts';
import { LeasedQuotas } from '../../../../src/queue/quotas/leased-quotas.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { type RowProcessOptions, startRowProcess } from '../../../support/row-process.ts';
import { RowWorld } from '../../../support/row-world.ts';

const STEP_MS = 250;

function open(requestsPerMinute: number, options: RowProcessOptions & { readonly rowMs?: number } = {}) {
  const clock = new FakeClock();
  const world = new RowWorld({ clock });
  const starts: { readonly id: string; readonly atMs: number }[] = [];
  const limited = { weight: 1, quotas: { ...NO_QUOTAS, requestsPerMinute } };
  const termsOf = (tenant: string) => (tenant.startsWith('limited') ? limited : { weight: 1, quotas: NO_QUOTAS });
  const quotas = new LeasedQuotas({ store: new MemoryRateStore(clock), tenants: { termsOf }, clock });
  const engine: RowProcessOptions['engine'] = async ({ id }) => {
    starts.push({ id, atMs: clock.monotonicMs() });
    await clock.sleep(options.rowMs ?? 1_000);
    return { status: 200 };
  };
  const process = startRowProcess(world, { ...options, engine, quotas });
  const pending = async (id: string) => (await world.states.totals(id)).pending;
  /** Milliseconds until the batch is done. */
  const untilDone = async (id: string, withinMs: number): Promise<number> => {
    const startMs = clock.monotonicMs();
    while ((await pending(id)) > 0) {
      if (clock.monotonicMs() - startMs > withinMs) throw new Error(`${await pending(id)} rows are left`);
      await clock.advance(STEP_MS);
    }
    return clock.monotonicMs() - startMs;
  };
  return { world, process, clock, starts, untilDone, quotas };
}

test('rows start no faster than the rate of their tenant, use no attempt, and lose no time', async () => {
  const { world, process, starts, untilDone } = open(60, { chunkRows: 40, window: 80 });
  const doc = await world.addBatch({ rows: 150, tenant: 'limited' });
  await process.rows.supply(doc);
  const tookMs = await untilDone(doc.id, 200_000);
  expect(tookMs).toBeGreaterThan(120_000);
  expect(tookMs).toBeLessThan(140_000);
  for (const { atMs } of starts) {
    expect(starts.filter((start) => start.atMs >= atMs && start.atMs < atMs + 60_000).length).toBeLessThanOrEqual(61);
  }
  expect([...world.tries.values()].every((tries) => tries === 1)).toBe(true);
});

test('tenants over their rate, however slow their rows are, do not keep others waiting', async () => {
  const { world, process, untilDone } = open(1, { chunkRows: 10, window: 2, rowMs: 5_000 });
  for (const tenant of ['limited-1', 'limited-2', 'limited-3']) {
    await process.rows.supply(await world.addBatch({ rows: 40, tenant }));
  }
  const other = await world.addBatch({ rows: 20, tenant: 'other' });
  await process.rows.supply(other);
  expect(await untilDone(other.id, 300_000)).toBeLessThan(120_000);
});
