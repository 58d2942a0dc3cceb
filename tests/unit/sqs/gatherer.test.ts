import { expect, test } from 'vitest';
import { Gatherer } from '../../../src/sqs/gatherer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

function rig(options: { maxWeight?: number } = {}) {
  const clock = new FakeClock();
  const calls: string[][] = [];
  const call = (items: readonly string[]): Promise<readonly string[]> => {
    calls.push([...items]);
    return items.includes('bad') ? Promise.reject(new Error('away')) : Promise.resolve(items.map((item) => `${item}!`));
  };
  return { clock, calls, gatherer: new Gatherer(call, { clock, weigh: (item) => item.length, ...options }) };
}

test('what comes together goes together, and each hears its own answer', async () => {
  const { clock, calls, gatherer } = rig();
  const answers = Promise.all(['a', 'b', 'c'].map((item) => gatherer.add(item)));
  await clock.advance(20);
  expect(await answers).toEqual(['a!', 'b!', 'c!']);
  expect(calls).toEqual([['a', 'b', 'c']]);
});

test('ten go at once', async () => {
  const { calls, gatherer } = rig();
  await Promise.all(Array.from({ length: 20 }, (_, index) => gatherer.add(String(index))));
  expect(calls.map(({ length }) => length)).toEqual([10, 10]);
});

test('a call carries no more than it may, and what is heavier goes alone', async () => {
  const { clock, calls, gatherer } = rig({ maxWeight: 4 });
  const answers = Promise.all(['aaa', 'bb', 'cc', 'dddddd', 'e'].map((item) => gatherer.add(item)));
  await clock.advance(20);
  await answers;
  expect(calls).toEqual([['aaa'], ['bb', 'cc'], ['dddddd'], ['e']]);
});

test('a call that fails fails all of its items, and none of the next', async () => {
  const { clock, gatherer } = rig();
  const failed = Promise.allSettled(['a', 'bad'].map((item) => gatherer.add(item)));
  await clock.advance(20);
  expect((await failed).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  const next = gatherer.add('c');
  await clock.advance(20);
  expect(await next).toBe('c!');
});
