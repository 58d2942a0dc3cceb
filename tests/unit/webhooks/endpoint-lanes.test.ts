import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EndpointLanes } from '../../../src/webhooks/endpoint-lanes.ts';

const FINE = { isAway: false, retryAfterMs: null, tookMs: 100 };
const AWAY = { isAway: true, retryAfterMs: null, tookMs: 100 };

describe('the deliveries of one endpoint', () => {
  test('are eight at a time, the others come back one after the other', () => {
    const lanes = new EndpointLanes();
    const answers = Array.from({ length: 11 }, () => lanes.enter('a', 0, 0));
    expect(answers.slice(0, 8).every(({ kind }) => kind === 'go')).toBe(true);
    expect(answers.slice(8)).toEqual([50, 50, 50].map((delayMs) => ({ kind: 'wait', delayMs })));
    const later = Array.from({ length: 100 }, () => lanes.enter('a', 0, 0));
    // As fast as eight at a time of 100 ms each end.
    expect(later.at(-1)).toEqual({ kind: 'wait', delayMs: Math.ceil((103 * 100) / 8) });
    lanes.leave('a', 1, FINE);
    expect(lanes.enter('a', 1, 0)).toEqual({ kind: 'go' });
  });

  test('do not touch those of another', () => {
    const lanes = new EndpointLanes();
    for (let index = 0; index < 20; index += 1) lanes.enter('a', 0, 0);
    expect(lanes.enter('b', 0, 0)).toEqual({ kind: 'go' });
  });

  test('wait for a growing while once the receiver is away, then one finds out whether it is back', () => {
    const lanes = new EndpointLanes();
    let nowMs = 0;
    const holds: number[] = [];
    for (let failure = 0; failure < 9; failure += 1) {
      expect(lanes.enter('a', nowMs, 0)).toEqual({ kind: 'go' });
      lanes.leave('a', nowMs, AWAY);
      const held = lanes.enter('a', nowMs, 0);
      const holdMs = held.kind === 'wait' ? held.delayMs : 0;
      holds.push(holdMs);
      nowMs += holdMs;
    }
    expect(holds).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
    expect(lanes.enter('a', nowMs, 0)).toEqual({ kind: 'go' });
    expect(lanes.enter('a', nowMs, 0).kind).toBe('wait');
    lanes.leave('a', nowMs, FINE);
    expect(lanes.size).toBe(0);
  });

  test('wait as long as the receiver asks for, up to an hour', () => {
    const lanes = new EndpointLanes();
    lanes.enter('a', 0, 0);
    lanes.leave('a', 0, { ...AWAY, retryAfterMs: 600_000 });
    expect(lanes.enter('a', 0, 0)).toEqual({ kind: 'wait', delayMs: 600_000 });
    lanes.enter('b', 0, 0);
    lanes.leave('b', 0, { ...AWAY, retryAfterMs: 90_000_000 });
    expect(lanes.enter('b', 0, 0)).toEqual({ kind: 'wait', delayMs: 3_600_000 });
  });

  test('come back spread out, not all at once', () => {
    const lanes = new EndpointLanes();
    lanes.enter('a', 0, 0);
    lanes.leave('a', 0, AWAY);
    expect(lanes.enter('a', 0, 0.5)).toEqual({ kind: 'wait', delayMs: 1_250 });
  });

  test('are never more than eight, whatever happens, and memory ends', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ away: fc.boolean(), enters: fc.nat(12), leaves: fc.nat(12) })), (turns) => {
        const lanes = new EndpointLanes();
        let running = 0;
        let nowMs = 0;
        for (const { away, enters, leaves } of turns) {
          for (let index = 0; index < enters; index += 1) {
            const answer = lanes.enter('a', nowMs, 0);
            if (answer.kind === 'go') running += 1;
            else expect(answer.delayMs).toBeGreaterThan(0);
          }
          expect(running).toBeLessThanOrEqual(8);
          for (let index = 0; index < leaves && running > 0; index += 1) {
            running -= 1;
            lanes.leave('a', nowMs, away ? AWAY : FINE);
          }
          nowMs += 5_000;
        }
      }),
    );
    const many = new EndpointLanes();
    for (let index = 0; index < 12_000; index += 1) {
      many.enter(`e${index}`, 0, 0);
      many.leave(`e${index}`, 0, AWAY);
    }
    expect(many.size).toBeLessThanOrEqual(10_000);
  });
});
