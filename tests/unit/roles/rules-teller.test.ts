import { expect, test } from 'vitest';
import type { ObjectiveRules } from '../../../src/core/live-order.ts';
import { RulesTeller } from '../../../src/roles/rules-teller.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';

const rule = (objective: string): ObjectiveRules => ({
  ...{ objective, priority: 0, guaranteedSharePercent: 0, agingMs: null },
  ...{ reservedSlotsPercent: 0, reservedLapseMs: 0, paused: false },
});

/** An order that is away for the first `failures` calls. */
function order(failures = 0) {
  const heard: (readonly string[])[] = [];
  let calls = 0;
  return {
    pool: 'default/chat',
    heard,
    setRules(rules: readonly ObjectiveRules[]) {
      calls += 1;
      if (calls <= failures) return Promise.reject(new Error('Redis is away'));
      heard.push(rules.map(({ objective }) => objective));
      return Promise.resolve();
    },
  };
}

test('rules are told when they change, and not again', async () => {
  const teller = new RulesTeller(new FakeClock(), silentLogger);
  const told = order();
  teller.tell(told, [rule('a')]);
  teller.tell(told, [rule('a')]);
  teller.tell(told, [rule('a'), rule('b')]);
  await Promise.resolve();
  expect(told.heard).toEqual([['a'], ['a', 'b']]);
});

test('an order that is away is told again until it hears, and only the newest', async () => {
  const clock = new FakeClock();
  const teller = new RulesTeller(clock, silentLogger);
  const told = order(2);
  teller.tell(told, [rule('a')]);
  teller.tell(told, [rule('b')]);
  await clock.advance(3_000);
  expect(told.heard).toEqual([['b']]);
});

test('closed, it gives up', async () => {
  const clock = new FakeClock();
  const teller = new RulesTeller(clock, silentLogger);
  const told = order(1);
  teller.tell(told, [rule('a')]);
  teller.close();
  await clock.advance(3_000);
  expect(told.heard).toEqual([]);
});
