import { formatDuration } from '../../core/units.ts';
import { type Activation, activation } from './activation.ts';
import { backlogPods, dueWork } from './backlog.ts';
import { deadlinePods, deadlineWork } from './deadline.ts';
import type { Components, Decision, Rule } from './decision.ts';
import { abandonableBoots, isIdle } from './keep-warm.ts';
import { isBooting, type PodOrder, podOrder } from './pod-order.ts';
import { ratePods, rateNeed } from './rate.ts';
import { type ResolvedSettings, resolveSettings } from './settings.ts';
import { hasDemand, type Snapshot, totalQueued } from './snapshot.ts';
import { limitOrders, stepDown } from './step-limits.ts';

const ACTIVE_TICK_MS = 2_000;
const ASLEEP_TICK_MS = 10_000;

/** What every part of a decision works on. */
interface Case {
  readonly snapshot: Snapshot;
  readonly order: PodOrder;
  readonly settings: ResolvedSettings;
  readonly activation: Activation;
  readonly components: Components;
}

type Verdict = Pick<Decision, 'rule' | 'sentence'> & Partial<Decision>;

/**
 * How many replicas each target of a pool should have now, and why. Total and pure: the loop, the simulator and a
 * replay of the recorded snapshot get the same answer. Rules and defaults: docs/autoscaling.md.
 */
export function decide(snapshot: Snapshot): Decision {
  const considered = consider(snapshot);
  if (snapshot.scale.paused) return conclude(considered, paused());
  const { live, undrainable } = considered.order;
  if (live.length > 0) return conclude(considered, whileUp(considered));
  if (undrainable.length > 0 && hasDemand(snapshot)) return conclude(considered, whileUp(considered));
  return conclude(considered, fromZero(considered));
}

function consider(snapshot: Snapshot): Case {
  const order = podOrder(snapshot);
  const first = snapshot.targets[0];
  const coldStart = (order.orderable[0] ?? first)?.coldStart ?? { p50Ms: 0, p90Ms: 0, boots: 0 };
  const settings = resolveSettings(snapshot.scale, coldStart);
  const deadlines = deadlineWork(snapshot.objectives);
  const podRate = Math.max(1, (order.orderable[0] ?? first)?.slots ?? 1) * snapshot.slotUseRatio;
  const { objectives, scale } = snapshot;
  const wake = activation({ objectives, deadlines, scale, coldStart, keepWarmMs: settings.keepWarmMs, podRate });
  const components = componentsOf(snapshot, order, settings, wake, coldStart);
  return { snapshot, order, settings, activation: wake, components };
}

function componentsOf(
  snapshot: Snapshot,
  order: PodOrder,
  settings: ResolvedSettings,
  wake: Activation,
  coldStart: { readonly p50Ms: number; readonly p90Ms: number },
): Components {
  const { objectives, targets } = snapshot;
  const pods = order.supply;
  const existing = order.live.length + order.undrainable.length;
  const need = rateNeed(objectives);
  const due = dueWork(objectives, coldStart.p90Ms, settings.drainTargetMs, need.risingSlots);
  const backlog = backlogPods({ pods, existing, due, coldStartP50Ms: coldStart.p50Ms });
  const deadline = deadlinePods(pods, existing, deadlineWork(objectives));
  // A pool that is not full and has no queue carries its arrivals: a high estimate alone must not add pods.
  const isCarried = totalQueued(snapshot) === 0 && snapshot.usedRatio < 1;
  const risingPods = ratePods(pods, need.risingSlots);
  const rate = isCarried ? Math.min(risingPods, existing) : risingPods;
  const rateToFall = ratePods(pods, need.fallingSlots);
  const min = targets.reduce((sum, target) => sum + target.minReplicas, 0);
  const max = targets.reduce((sum, target) => sum + target.maxReplicas, 0);
  const bound = (count: number): number => Math.min(max, Math.max(min, count));
  return {
    live: order.live.length,
    rate,
    rateToFall,
    backlog,
    deadline: deadline.pods,
    infeasibleDeadlines: deadline.infeasible,
    min,
    max,
    wanted: bound(Math.max(rate, backlog, deadline.pods)),
    wantedToFall: bound(Math.max(rateToFall, backlog, deadline.pods)),
    keepWarmMs: settings.keepWarmMs,
    drainTargetMs: settings.drainTargetMs,
    scaleDownAfterMs: settings.scaleDownAfterMs,
    breakEvenRequests: wake.batched.breakEven,
  };
}

function paused(): Verdict {
  return {
    rule: 'paused',
    sentence: 'the policy is paused: replicas stay as they are',
    wouldChange: ['paused: false'],
  };
}

function fromZero({ snapshot, order, activation: wake, components }: Case): Verdict {
  const min = components.min;
  if (wake.wake === null && min === 0) {
    const queued = totalQueued(snapshot);
    const why = queued === 0 ? 'nothing is queued' : `${queued} queued requests are not yet worth a boot`;
    const reviewInMs = Math.max(0, Math.min(ASLEEP_TICK_MS, wake.againInMs));
    return { rule: 'asleep', sentence: `stays at zero: ${why}`, wouldChange: wake.wouldWake, reviewInMs };
  }
  const wanted = Math.max(1, components.wanted);
  if (order.orderable.length === 0) return noCapacity(snapshot);
  if (wake.wake === null) return up({ snapshot, order }, wanted, 'min', `minReplicas asks for ${min}`);
  return up({ snapshot, order }, wanted, wake.wake.rule, wake.wake.sentence);
}

function whileUp(considered: Case): Verdict {
  const { snapshot, settings, components } = considered;
  const { live, max, min, wanted } = components;
  if (live > max) return down(considered, max, 'max', `maxReplicas is ${max}`);
  if (wanted > live) return goUp(considered);
  const abandon = abandonableBoots(snapshot, settings.keepWarmMs).slice(0, live - min);
  if (abandon.length > 0) return abandonBoots(considered, abandon);
  const boots = snapshot.replicas.filter(isBooting).length;
  if (min === 0 && boots === 0 && isIdle(snapshot, settings.keepWarmMs)) {
    const idle = `idle for ${formatDuration(snapshot.idleMs)}, kept warm for ${formatDuration(settings.keepWarmMs)}`;
    return {
      rule: 'idle',
      sentence: `to zero: ${idle}`,
      desired: {},
      toZero: true,
      wouldChange: ['any request'],
    };
  }
  return stepOrStay(considered, boots);
}

function goUp({ snapshot, order, components }: Case): Verdict {
  const { wanted, deadline, backlog, rate, min } = components;
  const rules: readonly (readonly [Rule, number, string])[] = [
    ['deadline', deadline, 'or a deadline would be missed'],
    ['backlog', backlog, `${totalQueued(snapshot)} queued requests would take too long`],
    ['rate', rate, 'arrivals need them'],
    ['min', min, 'minReplicas asks for them'],
  ];
  const [rule, , why] = rules.find(([, count]) => count >= wanted) ?? ['max', wanted, 'as many as are allowed'];
  return up({ snapshot, order }, wanted, rule, why);
}

function up(considered: Pick<Case, 'snapshot' | 'order'>, wanted: number, rule: Rule, why: string): Verdict {
  const { snapshot, order } = considered;
  const existing = [...order.live, ...order.undrainable].slice(0, Math.max(wanted, order.live.length));
  const orders = limitOrders(snapshot, order, wanted - existing.length);
  const desired = count(existing.map(({ target }) => target));
  for (const [target, added] of orders.byTarget) desired[target] = (desired[target] ?? 0) + added;
  const total = Object.values(desired).reduce((sum, replicas) => sum + replicas, 0);
  const limits = {
    probe: '; the first boot of this command is tried alone',
    'max-boots': '; maxBootsInFlight are booting',
  };
  const note = orders.limit === null ? '' : limits[orders.limit];
  const sentence = `wants ${wanted}, goes from ${order.live.length} to ${total}: ${why}${note}`;
  return { rule, sentence, desired, wouldChange: ['fewer queued requests', 'a boot that ends'] };
}

function noCapacity(snapshot: Snapshot): Verdict {
  const broken = snapshot.targets.find(({ breaker }) => breaker.retryAtMs !== null);
  const retryInMs = (broken?.breaker.retryAtMs ?? snapshot.nowMs) - snapshot.nowMs;
  const reviewInMs = Math.max(0, Math.min(ASLEEP_TICK_MS, broken === undefined ? ACTIVE_TICK_MS : retryInMs));
  const sentence =
    broken === undefined
      ? 'no target can take another replica: maxReplicas are reached or still ending'
      : `the last ${broken.breaker.failures} boots of target ${broken.name} failed; next try in ${formatDuration(Math.max(0, retryInMs))}: ${broken.breaker.message ?? ''}`;
  return { rule: 'no-capacity', sentence, wouldChange: ['a changed command', 'the next try'], reviewInMs };
}

function abandonBoots({ order, snapshot }: Case, abandon: readonly string[]): Verdict {
  const kept = order.live.filter(({ uid }) => !abandon.includes(uid));
  const since = formatDuration(snapshot.noDemandMs);
  return {
    rule: 'abandoned-boot',
    sentence: `gives up ${abandon.length} of ${order.live.length} replicas: nothing wanted them for ${since}`,
    desired: count(kept.map(({ target }) => target)),
    abandon,
  };
}

function stepOrStay(considered: Case, boots: number): Verdict {
  const { snapshot, settings, components } = considered;
  const { live } = components;
  const { windowMaxPods, sinceUpMs, sinceDownMs } = snapshot.history;
  const stay = (why: string): Verdict => ({ rule: 'steady', sentence: `stays at ${live}: ${why}` });
  // One replica stays for as long as the pool is kept warm; only the idle rule goes to zero.
  const lowest = Math.max(1, components.wantedToFall);
  if (lowest >= live) return stay(hasDemand(snapshot) ? 'it is what the load needs' : keepWarmWhy(considered));
  const windowMax = windowMaxPods === null ? live : Math.max(windowMaxPods, lowest);
  if (windowMax >= live) return stay(`fewer were not enough throughout ${formatDuration(settings.scaleDownAfterMs)}`);
  if (boots > 0) return stay('a replica still boots');
  if (Math.min(sinceUpMs, sinceDownMs) < settings.stepMs) return stay('the last step was just now');
  const window = formatDuration(settings.scaleDownAfterMs);
  return down(considered, stepDown(live, windowMax), 'scale-down', `${windowMax} were enough for ${window}`);
}

function keepWarmWhy({ snapshot, settings }: Case): string {
  return `idle for ${formatDuration(snapshot.idleMs)} of ${formatDuration(settings.keepWarmMs)} that it is kept warm`;
}

function down({ order }: Case, keep: number, rule: Rule, why: string): Verdict {
  const kept = order.live.slice(0, keep);
  const sentence = `goes from ${order.live.length} to ${keep}: ${why}`;
  return { rule, sentence, desired: count(kept.map(({ target }) => target)) };
}

function conclude({ snapshot, order, settings, components }: Case, verdict: Verdict): Decision {
  const isUp = order.live.length > 0 || hasDemand(snapshot);
  const untilIdleMs = Math.max(0, settings.keepWarmMs - snapshot.idleMs);
  const tickMs = isUp ? ACTIVE_TICK_MS : ASLEEP_TICK_MS;
  const waitsForIdle = order.live.length > 0 && !hasDemand(snapshot) && untilIdleMs > 0;
  return {
    desired: count(order.live.map(({ target }) => target)),
    toZero: false,
    abandon: [],
    wouldChange: ['more or fewer requests'],
    reviewInMs: waitsForIdle ? Math.min(tickMs, untilIdleMs) : tickMs,
    components,
    ...verdict,
  };
}

function count(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
