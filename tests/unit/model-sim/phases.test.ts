import { expect, test } from 'vitest';
import { healthStatus, inferenceRefusal, PHASES } from '../../../src/model-sim/policy/phases.ts';

test('only a ready server serves; a draining one refuses with 500 but stays healthy, a dead one is neither', () => {
  const table = PHASES.map((phase) => [phase, inferenceRefusal(phase)?.status ?? 200, healthStatus(phase, 200)]);
  expect(table).toEqual([
    ['starting', 503, 503],
    ['loading', 503, 503],
    ['ready', 200, 200],
    ['draining', 500, 200],
    ['dead', 500, 503],
    ['crashed', 500, 503],
    ['stopped', 500, 503],
  ]);
});

test('a fault changes the health of a healthy server only', () => {
  expect([healthStatus('ready', 429), healthStatus('dead', 429)]).toEqual([429, 503]);
});
