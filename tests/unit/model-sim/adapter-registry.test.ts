import { expect, test } from 'vitest';
import { AdapterInfo } from '../../../src/model-sim/policy/adapter-info.ts';
import { AdapterRegistry } from '../../../src/model-sim/policy/adapter-registry.ts';

test('loading, loading again, unloading and unloading again answer as vLLM does', () => {
  const registry = new AdapterRegistry(true, ['base']);
  expect(registry.load('a', '/adapters/a', 1)).toBeNull();
  expect(registry.load('a', '/adapters/a', 2)).toMatchObject({ status: 400 });
  expect(registry.list()).toEqual([{ name: 'a', path: '/adapters/a', loadedAtEpochS: 1 }]);
  expect(registry.unload('a')).toBeNull();
  expect(registry.unload('a')).toMatchObject({ status: 404 });
});

test.each([
  { name: 'a path where nothing is', args: ['b', '/adapters/missing-b'], status: 404 },
  { name: 'no name', args: ['', '/x'], status: 400 },
  { name: 'a path of the wrong type', args: ['b', 5], status: 400 },
  { name: 'the name of the base model', args: ['base', '/x'], status: 400 },
])('loading with $name is refused', ({ args: [name, path], status }) => {
  expect(new AdapterRegistry(true, ['base']).load(name, path, 0)).toMatchObject({ status });
});

test('a server started without adapters has no such routes', () => {
  const registry = new AdapterRegistry(false, ['base']);
  expect([registry.load('a', '/a', 0)?.status, registry.unload('a')?.status]).toEqual([404, 404]);
});

test('the adapter metric keeps old combinations, the newest with the highest value, and does not grow for ever', () => {
  const info = new AdapterInfo(2);
  for (let second = 0; second < 200; second += 1) info.note([`a${second}`], [], second * 1_000);
  info.note(['a190'], [], 200_000);
  const samples = info.samples();
  expect(samples).toHaveLength(64);
  const newest = samples.reduce((best, sample) => (sample.value > best.value ? sample : best));
  expect(newest.labels).toEqual({ max_lora: '2', running_lora_adapters: 'a190', waiting_lora_adapters: '' });
});
