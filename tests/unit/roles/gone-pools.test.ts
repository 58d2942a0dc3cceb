import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { expect, test } from 'vitest';
import { forgetGonePools } from '../../../src/roles/gone-pools.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { FakeCatalog, poolSpec } from '../autoscaler/kube/support/builders.ts';

const MINUTE_MS = 60_000;

test('every kind of series of a pool goes ten minutes after it, and those of others stay', async () => {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  const labelNames = ['pool', 'kind'] as const;
  const counter = new Counter({ name: 'c', help: 'c', labelNames, registers });
  const gauge = new Gauge({ name: 'g', help: 'g', labelNames, registers });
  const histogram = new Histogram({ name: 'h', help: 'h', labelNames, registers, buckets: [1, 2] });
  const plain = new Gauge({ name: 'p', help: 'p', registers });
  plain.set(1);
  for (const pool of ['ml/llama', 'ml/other']) {
    counter.inc({ pool, kind: 'a' });
    gauge.set({ pool, kind: 'a' }, 1);
    histogram.observe({ pool, kind: 'b' }, 1.5);
  }
  const catalog = new FakeCatalog(poolSpec({ key: 'ml/llama' }), poolSpec({ key: 'ml/other' }));
  const clock = new FakeClock();
  const stop = new AbortController();
  const running = forgetGonePools(registry, catalog, clock, stop.signal);
  const linesOf = async (pool: string) => (await registry.metrics()).split('\n').filter((line) => line.includes(pool));
  catalog.replace(poolSpec({ key: 'ml/other' }));
  await clock.advance(9 * MINUTE_MS);
  expect(await linesOf('ml/llama')).not.toEqual([]);
  const others = await linesOf('ml/other');
  await clock.advance(3 * MINUTE_MS);
  expect(await linesOf('ml/llama')).toEqual([]);
  expect(await linesOf('ml/other')).toEqual(others);
  expect(await registry.metrics()).toContain('p 1');
  stop.abort();
  await running;
});

test('a pool that comes back in time keeps its series', async () => {
  const registry = new Registry();
  const gauge = new Gauge({ name: 'g', help: 'g', labelNames: ['pool'] as const, registers: [registry] });
  gauge.set({ pool: 'ml/llama' }, 1);
  const catalog = new FakeCatalog(poolSpec());
  const clock = new FakeClock();
  const stop = new AbortController();
  const running = forgetGonePools(registry, catalog, clock, stop.signal);
  catalog.replace();
  await clock.advance(5 * MINUTE_MS);
  catalog.replace(poolSpec());
  await clock.advance(20 * MINUTE_MS);
  expect(await registry.metrics()).toContain('ml/llama');
  stop.abort();
  await running;
});
