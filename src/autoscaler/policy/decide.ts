import { type Considered, consider } from './consider.ts';
import type { Decision } from './decision.ts';
import { pausedWords } from './guests.ts';
import { heldFromFalling, holdNotes } from './holds.ts';
import { drainedWords, wokenWords } from './people-orders.ts';
import { hasDemand, isPaused, type Snapshot, totalQueued } from './snapshot.ts';
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
  const { live, excess } = considered.order;
  if (isPaused(snapshot)) return conclude(considered, paused(considered));
  if (snapshot.orders.drainLeftMs !== null)
    return conclude(considered, drained(considered, snapshot.orders.drainLeftMs));
  if (excess.length > 0) return conclude(considered, tooMany(live.length, excess.length));
  return conclude(considered, isUp(considered) ? whileUp(considered) : fromZero(considered));
}

/** Something serves or is coming. Boots that are blocked count only while nothing asks for more than them. */
function isUp({ snapshot, order, activation }: Considered): boolean {
  const { live, blocked, undrainable, isShort } = order;
  if (live.length > blocked.length) return true;
  const isWanted = hasDemand(snapshot) || isShort || snapshot.orders.wakeReplicas > 0;
  if (undrainable.length > 0 && isWanted) return true;
  return live.length > 0 && activation.wake === null;
}

function paused({ snapshot, order }: Considered): Verdict {
  const { orders, scale } = snapshot;
  const who = orders.paused ? `paused${orders.by === null ? '' : ` by ${orders.by}`}` : 'the policy is paused';
  const wouldChange = [...(orders.paused ? ['resume'] : []), ...(scale.paused ? ['paused: false'] : [])];
  return { rule: 'paused', sentence: `stays at ${order.live.length}: ${who}`, wouldChange };
}

/** People empty the pool, whatever is queued and whatever minReplicas says. */
function drained({ snapshot, order }: Considered, leftMs: number): Verdict {
  const fixed = heldFromFalling(snapshot.targets);
  const kept = order.live.filter(({ target }) => fixed.has(target));
  const live = order.live.length + order.excess.length;
  const change = live === kept.length ? `stays at ${live}` : `goes from ${live} to ${kept.length}`;
  return {
    rule: 'drained',
    sentence: `${change}: ${drainedWords(snapshot.orders, leftMs)}`,
    desired: countByTarget(kept),
    wouldChange: ['a wake order', 'the end of the drain order'],
    reviewInMs: leftMs,
  };
}

/** What is allowed again is looked at once the excess has been marked to drain. */
function tooMany(live: number, excess: number): Verdict {
  const sentence = `goes from ${live + excess} to ${live}: no target allows more`;
  return { rule: 'max', sentence, wouldChange: ['a higher maxReplicas, until the leaving replicas are told to end'] };
}

function fromZero(considered: Considered): Verdict {
  const { snapshot, uncounted, paused, order, activation, components } = considered;
  const { wake } = activation;
  const { wakeLeftMs } = snapshot.orders;
  if (wake === null && components.min === 0 && components.manual === 0) {
    const queued = totalQueued(snapshot) + uncounted;
    const why = [
      ...(queued === 0
        ? []
        : [`${queued} queued ${queued === 1 ? 'request is' : 'requests are'} not yet worth a boot`]),
      ...pausedWords(paused),
    ];
    const { wouldWake, againInMs } = activation;
    const wouldChange = [...wouldWake, ...paused.objectives.map((name) => `the end of the pause of ${name}`)];
    const sentence = `stays at zero: ${why.join('; ') || 'nothing is queued'}`;
    return { rule: 'asleep', sentence, wouldChange, reviewInMs: againInMs };
  }
  // A minimum is met by its own target only; work, and people, by whatever can start.
  const isMinOnly = wake === null && components.manual === 0;
  if (order.orderable.length === 0 || (isMinOnly && order.lacking === 0)) return noCapacity(considered);
  const byPeople = { rule: 'manual' as const, sentence: wokenWords(snapshot.orders, wakeLeftMs ?? 0) };
  const byMinimum = { rule: 'min' as const, sentence: `minReplicas asks for ${components.min}` };
  const { rule, sentence } = wake ?? (isMinOnly ? byMinimum : byPeople);
  return up(considered, Math.max(order.live.length + 1, components.wanted), rule, sentence);
}

function conclude({ snapshot, guestsOwed, order, settings, components }: Considered, verdict: Verdict): Decision {
  const isAwake = order.live.length > 0 || hasDemand(snapshot);
  const untilIdleMs = settings.keepWarmMs - snapshot.idleMs;
  const waitsForIdle = order.live.length > 0 && !hasDemand(snapshot) && untilIdleMs > 0;
  const tickMs = isAwake ? ACTIVE_TICK_MS : ASLEEP_TICK_MS;
  const orderEndsInMs = snapshot.orders.wakeLeftMs ?? tickMs;
  const soonestMs = Math.min(tickMs, waitsForIdle ? untilIdleMs : tickMs, verdict.reviewInMs ?? tickMs, orderEndsInMs);
  const { bypass } = snapshot;
  const past = bypass === null ? '' : `; ${bypass.requests} requests came past Pilotlight`;
  return {
    desired: countByTarget(order.live),
    toZero: false,
    abandon: [],
    guestsOwed,
    components,
    ...verdict,
    sentence: `${verdict.sentence}${past}${holdNotes(snapshot)}`,
    reviewInMs: Math.max(LEAST_REVIEW_MS, soonestMs),
  };
}
