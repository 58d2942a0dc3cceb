import { type Considered, consider } from './consider.ts';
import type { Decision } from './decision.ts';
import { hasDemand, type Snapshot, totalQueued } from './snapshot.ts';
import { countByTarget, noCapacity, up, type Verdict } from './verdict.ts';
import { whileUp } from './while-up.ts';

const ACTIVE_TICK_MS = 2_000;
const ASLEEP_TICK_MS = 10_000;
/** A time that has just come must not be waited for in a busy loop. */
const LEAST_REVIEW_MS = 20;

/**
 * How many replicas each target of a pool should have now, and why. Total and pure: the loop, the simulator and a
 * replay of the recorded snapshot get the same answer. Rules and defaults: docs/autoscaling.md.
 */
export function decide(snapshot: Snapshot): Decision {
  const considered = consider(snapshot);
  const { live, undrainable, excess, isShort } = considered.order;
  if (snapshot.scale.paused) return conclude(considered, paused(live.length));
  if (excess.length > 0) return conclude(considered, tooMany(live.length, excess.length));
  const isUp = live.length > 0 || (undrainable.length > 0 && (hasDemand(snapshot) || isShort));
  return conclude(considered, isUp ? whileUp(considered) : fromZero(considered));
}

function paused(live: number): Verdict {
  const sentence = `stays at ${live}: the policy is paused`;
  return { rule: 'paused', sentence, wouldChange: ['paused: false'] };
}

/** What is allowed again is looked at once the excess has been marked to drain. */
function tooMany(live: number, excess: number): Verdict {
  const sentence = `goes from ${live + excess} to ${live}: no target allows more`;
  return { rule: 'max', sentence, wouldChange: ['a higher maxReplicas, until the leaving replicas are told to end'] };
}

function fromZero(considered: Considered): Verdict {
  const { snapshot, order, activation, components } = considered;
  const { wake } = activation;
  if (wake === null && components.min === 0) {
    const queued = totalQueued(snapshot);
    const why = queued === 0 ? 'nothing is queued' : `${queued} queued requests are not yet worth a boot`;
    const { wouldWake, againInMs } = activation;
    return { rule: 'asleep', sentence: `stays at zero: ${why}`, wouldChange: wouldWake, reviewInMs: againInMs };
  }
  // A minimum is met by its own target only; work by whatever can start.
  if (order.orderable.length === 0 || (wake === null && order.lacking === 0)) return noCapacity(considered);
  const { rule, sentence } = wake ?? { rule: 'min' as const, sentence: `minReplicas asks for ${components.min}` };
  return up(considered, Math.max(1, components.wanted), rule, sentence);
}

function conclude({ snapshot, order, settings, components }: Considered, verdict: Verdict): Decision {
  const isAwake = order.live.length > 0 || hasDemand(snapshot);
  const untilIdleMs = settings.keepWarmMs - snapshot.idleMs;
  const waitsForIdle = order.live.length > 0 && !hasDemand(snapshot) && untilIdleMs > 0;
  const tickMs = isAwake ? ACTIVE_TICK_MS : ASLEEP_TICK_MS;
  const soonestMs = Math.min(tickMs, waitsForIdle ? untilIdleMs : tickMs, verdict.reviewInMs ?? tickMs);
  return {
    desired: countByTarget(order.live),
    toZero: false,
    abandon: [],
    components,
    ...verdict,
    reviewInMs: Math.max(LEAST_REVIEW_MS, soonestMs),
  };
}
