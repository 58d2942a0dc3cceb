import { formatDuration } from '../../core/units.ts';
import type { Considered } from './consider.ts';
import { deadlineWords } from './deadline.ts';
import type { Rule } from './decision.ts';
import { pausedWords } from './guests.ts';
import { heldFromFalling } from './holds.ts';
import { abandonableBoots, isIdle } from './keep-warm.ts';
import { wokenWords } from './people-orders.ts';
import { isBooting } from './pod-order.ts';
import { hasDemand, totalQueued } from './snapshot.ts';
import { stepDown } from './step-limits.ts';
import { countByTarget, down, up, type Verdict } from './verdict.ts';

/** The decision for a pool that has replicas: more at once, fewer slowly, none after the idle time. */
export function whileUp(considered: Considered): Verdict {
  const { snapshot, order, settings, components } = considered;
  const { live, min, manual, wanted } = components;
  if (wanted > live) return goUp(considered);
  const abandon = abandonableBoots(considered, order.live.slice(Math.max(order.held, manual)));
  if (abandon.length > 0) return abandonBoots(considered, abandon);
  const boots = snapshot.replicas.filter((one) => isBooting(one) && !order.blocked.includes(one)).length;
  const mayClose = min === 0 && manual === 0 && boots === 0 && !isHeld(considered);
  if (mayClose && isIdle(snapshot, settings.keepWarmMs)) return toZero(considered);
  return stepDownOrStay(considered, boots);
}

/** Zero is for the whole pool: nothing of it may belong to a target from which nothing may be taken away. */
function isHeld({ snapshot }: Considered): boolean {
  const fixed = heldFromFalling(snapshot.targets);
  return snapshot.replicas.some(({ target, terminating }) => !terminating && fixed.has(target));
}

function goUp(considered: Considered): Verdict {
  const { snapshot, components, lateWork } = considered;
  const { wanted, deadline, backlog, rate, manual } = components;
  const rules: readonly (readonly [Rule, number, string])[] = [
    [
      'deadline',
      deadline,
      lateWork === null ? 'a deadline would be missed' : `${deadlineWords(lateWork)}, and would be late with fewer`,
    ],
    ['backlog', backlog, `${totalQueued(snapshot)} queued requests would take too long`],
    ['rate', rate, 'arrivals keep more slots busy'],
    ['manual', manual, wokenWords(snapshot.orders, snapshot.orders.wakeLeftMs ?? 0)],
  ];
  const [rule, , why] = rules.find(([, count]) => count >= wanted) ?? ['min', wanted, 'minReplicas asks for them'];
  return up(considered, wanted, rule, why);
}

function toZero(considered: Considered): Verdict {
  const { snapshot, uncounted, paused, settings } = considered;
  const idle = formatDuration(snapshot.idleMs);
  if (uncounted + paused.requests > 0) return leaveWork(considered, idle, settings.keepWarmMs);
  return {
    rule: 'idle',
    sentence: `goes to zero: idle for ${idle}, kept warm for ${formatDuration(settings.keepWarmMs)}`,
    desired: {},
    toZero: true,
    wouldChange: ['any request that comes before the pool is closed'],
  };
}

/** Not at one stroke, for there is work: through a drain, in which what runs ends and nothing new begins. */
function leaveWork({ uncounted, paused }: Considered, idle: string, keepWarmMs: number): Verdict {
  const rest = [
    ...(uncounted > 0 ? [`${uncounted} requests that may not keep it up wait for their own activation`] : []),
    ...pausedWords(paused),
  ];
  return {
    rule: 'idle',
    sentence: `goes to zero: idle for ${idle}, kept warm for ${formatDuration(keepWarmMs)}; ${rest.join('; ')}`,
    desired: {},
    wouldChange: [
      'a request of an objective that may extend keep-warm',
      ...(uncounted > 0 ? ['their age, number or deadline'] : []),
      ...paused.objectives.map((name) => `the end of the pause of ${name}`),
    ],
  };
}

function abandonBoots({ order, snapshot }: Considered, abandon: readonly string[]): Verdict {
  const since = formatDuration(snapshot.noDemandMs);
  return {
    rule: 'abandoned-boot',
    sentence: `gives up ${abandon.length} of ${order.live.length} replicas: nothing has wanted them for ${since}`,
    desired: countByTarget(order.live.filter(({ uid }) => !abandon.includes(uid))),
    abandon,
    wouldChange: ['any request'],
  };
}

function stepDownOrStay(considered: Considered, boots: number): Verdict {
  const { snapshot, settings, components } = considered;
  const { live, wantedToFall } = components;
  const { windowMaxPods, sinceUpMs, sinceDownMs } = snapshot.history;
  // The last replica stays for as long as the pool is kept warm: only the idle rule goes to zero.
  const lowest = Math.max(1, wantedToFall);
  if (lowest >= live) return hasDemand(snapshot) ? enough(considered) : warm(considered);
  const windowMax = Math.max(lowest, windowMaxPods ?? live);
  const window = formatDuration(settings.scaleDownAfterMs);
  if (windowMax >= live) return stay(considered, `${lowest} would be enough, but not for ${window} yet`);
  if (boots > 0) return stay(considered, `${lowest} would be enough, but one still boots`);
  const sinceStepMs = Math.min(sinceUpMs, sinceDownMs);
  if (sinceStepMs < settings.stepMs) {
    return stay(considered, `${lowest} would be enough, but the last step was ${formatDuration(sinceStepMs)} ago`);
  }
  const was = windowMax === 1 ? 'was' : 'were';
  return down(considered, stepDown(live, windowMax), 'scale-down', `${windowMax} ${was} enough for ${window}`);
}

function stay({ components }: Considered, why: string, wouldChange = 'more queued work'): Verdict {
  return { rule: 'steady', sentence: `stays at ${components.live}: ${why}`, wouldChange: [wouldChange] };
}

function enough(considered: Considered): Verdict {
  const { components, order } = considered;
  if (components.live >= components.max) return stay(considered, 'maxReplicas', 'a higher maxReplicas');
  if (order.orderable.length === 0) return stay(considered, 'no target can start another one now', 'a boot that works');
  return stay(considered, 'the load needs no other number', 'more or less queued work');
}

function warm(considered: Considered): Verdict {
  const { snapshot, settings, components } = considered;
  const { wakeLeftMs } = snapshot.orders;
  if (components.manual > 0 && wakeLeftMs !== null) {
    return stay(considered, wokenWords(snapshot.orders, wakeLeftMs), 'the end of the wake order');
  }
  const leftMs = Math.max(0, settings.keepWarmMs - snapshot.idleMs);
  const warmFor = formatDuration(settings.keepWarmMs);
  const why = `idle for ${formatDuration(snapshot.idleMs)} of the ${warmFor} that it is kept warm`;
  return stay(considered, why, `no request for ${formatDuration(leftMs)} more`);
}
