import { afterEach, expect, test } from 'vitest';
import { poolSpec, scaleTarget } from './support/builders.ts';
import { KEY, start, stopAll } from './support/running.ts';

afterEach(stopAll);

const spot = scaleTarget({ name: 'spot' });

test('gauges of a target go with it, and those of the pool stay', async () => {
  const { world, catalog, registry } = await start({ targets: [scaleTarget(), spot] });
  await world.pass(12_000);
  expect(await registry.metrics()).toContain('target="spot"');
  catalog.change([poolSpec({ targets: [scaleTarget()] })]);
  await world.pass(12_000);
  const text = await registry.metrics();
  expect(text).not.toContain('target="spot"');
  expect(text).toContain(`pilotlight_autoscaler_target_available{pool="${KEY}",target="gpu",direction="up"} 1`);
});

test.each(['the pool is deleted', 'the term ends'])('no gauge is left when %s; what was counted stays', async (how) => {
  const { world, catalog, registry, autoscaler } = await start();
  await world.pass(12_000);
  if (how === 'the term ends') await autoscaler.stop();
  else catalog.change([]);
  await world.pass(12_000);
  const text = await registry.metrics();
  const left = text.split('\n').filter((line) => line.includes(KEY));
  expect(left.length).toBeGreaterThan(0);
  expect(left.filter((line) => !/_total|_seconds_/.test(line))).toEqual([]);
});
