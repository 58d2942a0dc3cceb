import { expect, test } from 'vitest';
import {
  EventGate,
  type EventObject,
  type EventSink,
} from '../../../../src/autoscaler/adapters/policy-status/events.ts';
import { policyEvents, policyMoment } from '../../../../src/autoscaler/policy/policy-events.ts';
import type { PolicyFacts } from '../../../../src/autoscaler/policy/policy-facts.ts';
import { policyStatus } from '../../../../src/autoscaler/policy/policy-status.ts';
import { NO_ORDER } from '../../../../src/core/pool-orders.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { NOW, policyFacts, poolFacts, poolStatusFacts, replica, targetFacts, troubled } from './facts.ts';

const moment = (facts: Partial<PolicyFacts>) => {
  const known = policyFacts(facts);
  return policyMoment(known, policyStatus(known, null, NOW));
};
const desired = (desiredReplicas: number, sentence: string): Partial<PolicyFacts> => ({
  pool: poolFacts({
    status: poolStatusFacts({ desiredReplicas }),
    decision: { atEpochMs: NOW, rule: 'backlog', sentence, wouldChange: [] },
  }),
});
const stalled: Partial<PolicyFacts> = {
  pool: poolFacts({ status: poolStatusFacts({ phase: 'Stalled', replicas: [], blockedWhy: 'three boots failed' }) }),
};
const breaker = { isOpen: true, failures: 3, message: 'exit code 1', retryInMs: 60_000 };
const open: Partial<PolicyFacts> = { pool: poolFacts({ targets: [targetFacts({ breaker })] }) };
const held: Partial<PolicyFacts> = { pool: poolFacts({ targets: [targetFacts({ heldWhy: 'no order (rollout)' })] }) };
const stuck: Partial<PolicyFacts> = {
  pool: poolFacts({ status: poolStatusFacts({ replicas: [replica('Ready'), troubled('ImagePull')] }) }),
};
const paused: Partial<PolicyFacts> = { pool: poolFacts({ order: { ...NO_ORDER, paused: true } }) };

test.each<{ name: string; from: Partial<PolicyFacts>; to: Partial<PolicyFacts>; told: string[] }>([
  { name: 'nothing', from: {}, to: {}, told: [] },
  {
    name: 'more replicas',
    from: {},
    to: desired(3, 'work for three'),
    told: ['Normal ScaleUp: from 1 to 3 replicas: work for three'],
  },
  {
    name: 'fewer replicas in mode Observe',
    from: {},
    to: { ...desired(0, 'idle'), observes: true },
    told: ['Normal WouldScaleDown: from 1 to 0 replicas: idle'],
  },
  {
    name: 'more replicas, and a decision after it that found them on their way',
    from: {},
    to: {
      pool: poolFacts({
        status: poolStatusFacts({ desiredReplicas: 3 }),
        lastStep: { sentence: 'goes from 1 to 3: work for three' },
      }),
    },
    told: ['Normal ScaleUp: goes from 1 to 3: work for three'],
  },
  { name: 'another sentence about the same number', from: {}, to: desired(1, 'still one'), told: [] },
  { name: 'trouble', from: {}, to: stuck, told: ['Warning ImagePull: 1 replica of gpu: says ImagePull; mend it.'] },
  {
    name: 'the end of trouble',
    from: stuck,
    to: {},
    told: ['Normal CapacityAvailable: Nothing keeps replicas from coming.'],
  },
  { name: 'a stall', from: {}, to: stalled, told: ['Warning Stalled: three boots failed.'] },
  {
    name: 'an open breaker',
    from: {},
    to: open,
    told: ['Warning BreakerOpen', 'Warning BreakerOpened: target gpu: 3 boots in a row failed: exit code 1'],
  },
  { name: 'a breaker that closes', from: open, to: {}, told: ['Normal CapacityAvailable', 'Normal BreakerClosed'] },
  { name: 'a hold', from: {}, to: held, told: ['Warning TargetHeld: target gpu: no order (rollout)'] },
  { name: 'the end of a hold', from: held, to: {}, told: ['Normal TargetReleased'] },
  { name: 'an order', from: {}, to: paused, told: ['Normal Ordered: paused'] },
  {
    name: 'the everyday wake and sleep',
    from: {},
    to: { pool: poolFacts({ status: poolStatusFacts({ phase: 'Asleep', replicas: [] }) }) },
    told: [],
  },
])('told of: $name', ({ from, to, told }) => {
  const events = policyEvents(moment(from), moment(to));
  expect(events).toHaveLength(told.length);
  for (const [index, { type, reason, message }] of events.entries()) {
    expect(`${type} ${reason}: ${message}`.startsWith(told[index]!), `${type} ${reason}: ${message}`).toBe(true);
  }
});

test('what a new leader finds is no news', () => {
  expect(policyEvents(null, moment(stalled))).toEqual([]);
});

const object: EventObject = { apiVersion: 'v1', kind: 'ScalePolicy', namespace: 'default', name: 'llama', uid: 'u' };
function gated() {
  const clock = new FakeClock();
  const told: string[] = [];
  const sink: EventSink = { emit: ({ reason, message }) => told.push(`${reason} ${message}`) };
  return { clock, told, gate: new EventGate(clock, sink) };
}

test('what flaps is told once in ten minutes, and in other words after five seconds', () => {
  const { clock, told, gate } = gated();
  const emit = (message: string) => gate.emit(object, { type: 'Warning', reason: 'ImagePull', message });
  emit('a');
  emit('a');
  emit('b');
  expect(told).toEqual(['ImagePull a']);
  clock.freeze(5_000);
  emit('a');
  emit('b');
  expect(told).toEqual(['ImagePull a', 'ImagePull b']);
  clock.freeze(600_000);
  emit('b');
  expect(told).toHaveLength(3);
});

test('each change of scale is told, and one object never tells more than twenty in a minute', () => {
  const { clock, told, gate } = gated();
  for (let step = 0; step < 100; step += 1)
    gate.emit(object, { type: 'Normal', reason: 'ScaleUp', message: `${step}` });
  expect(told).toHaveLength(20);
  gate.emit({ ...object, name: 'other' }, { type: 'Normal', reason: 'ScaleUp', message: '1' });
  expect(told).toHaveLength(21);
  clock.freeze(60_000);
  gate.emit(object, { type: 'Normal', reason: 'ScaleUp', message: 'later' });
  expect(told).toHaveLength(22);
});
