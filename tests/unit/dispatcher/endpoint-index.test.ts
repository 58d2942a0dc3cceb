import { expect, test } from 'vitest';
import { EndpointIndex } from '../../../src/dispatcher/endpoint-index.ts';
import { endpoint, FakeDirectory, POOL } from './support.ts';

test('an endpoint leaves while it drains and after it was drained; one that just vanishes does not', () => {
  const directory = new FakeDirectory([endpoint('drained'), endpoint('crashed')]);
  const index = new EndpointIndex(directory, () => undefined);
  const leaving = () => ['drained', 'crashed', 'unknown'].map((id) => index.isLeaving(POOL, id));
  expect(leaving()).toEqual([false, false, false]);
  directory.set([endpoint('drained', { draining: true }), endpoint('crashed')]);
  expect(leaving()).toEqual([true, false, false]);
  directory.set([]);
  expect(leaving()).toEqual([true, false, false]);
  directory.set([endpoint('drained')]);
  expect(leaving()).toEqual([false, false, false]);
  index.close();
});

test('of endpoints that have left, the last 256 are remembered', () => {
  const directory = new FakeDirectory([]);
  const index = new EndpointIndex(directory, () => undefined);
  for (let count = 0; count < 300; count += 1) directory.set([endpoint(`e${count}`, { draining: true })]);
  expect([0, 42, 43, 298].map((count) => index.isLeaving(POOL, `e${count}`))).toEqual([false, false, true, true]);
  index.close();
});
