import { formatDuration } from '../../core/units.ts';
import type { Considered } from './consider.ts';
import type { Decision, Rule } from './decision.ts';
import { noOrderWhy } from './holds.ts';
import { limitOrders } from './step-limits.ts';

/** What one rule says; `decide` fills in the rest: stay as it is, look again at the next tick. */
export type Verdict = Pick<Decision, 'rule' | 'sentence' | 'wouldChange'> & Partial<Decision>;

const LIMIT_WORDS = {
  probe: '; the first boot of a command is tried alone',
  'max-boots': '; boot.maxInFlight replicas boot already',
};

/** Towards `wanted` replicas, as far as breakers, probes and boots in flight allow now. */
export function up({ snapshot, order }: Considered, wanted: number, rule: Rule, why: string): Verdict {
  const live = order.live.length;
  const existing = [...order.live, ...order.undrainable].slice(0, Math.max(wanted, live));
  const orders = limitOrders(snapshot, order, wanted - existing.length);
  const desired = countByTarget(existing);
  for (const [target, added] of orders.byTarget) desired[target] = (desired[target] ?? 0) + added;
  const total = Object.values(desired).reduce((sum, replicas) => sum + replicas, 0);
  const note = orders.limit === null ? '' : LIMIT_WORDS[orders.limit];
  const change = total === live ? `stays at ${live}` : `goes from ${live} to ${total}`;
  const sentence = `${change}${total === wanted ? '' : ` of ${wanted} wanted`}: ${why}${note}`;
  return { rule, sentence, desired, wouldChange: ['less queued work', 'a boot that ends or fails'] };
}

/** Keeps the first `keep` replicas. */
export function down({ order }: Considered, keep: number, rule: Rule, why: string): Verdict {
  const sentence = `goes from ${order.live.length} to ${keep}: ${why}`;
  const desired = countByTarget(order.live.slice(0, keep));
  return { rule, sentence, desired, wouldChange: ['more queued work, until the leaving replica is told to end'] };
}

/** Why a wanted replica cannot be ordered at all. */
export function noCapacity({ snapshot }: Considered): Verdict {
  const broken = snapshot.targets.find(
    ({ breaker }) => breaker.retryAtMs !== null && breaker.retryAtMs > snapshot.nowMs,
  );
  if (broken === undefined) {
    if (snapshot.targets.some((target) => noOrderWhy(target, snapshot.replicas) !== null)) {
      const sentence = 'waits: no target may start another replica now';
      return { rule: 'no-capacity', sentence, wouldChange: ['what holds its targets'] };
    }
    const sentence = 'cannot start a replica: maxReplicas exist already, those that are ending included';
    return { rule: 'no-capacity', sentence, wouldChange: ['a replica that has ended', 'a higher maxReplicas'] };
  }
  const { failures, message, retryAtMs } = broken.breaker;
  const retryInMs = Math.max(0, (retryAtMs ?? 0) - snapshot.nowMs);
  const last = message === null ? '' : ` (${message})`;
  return {
    rule: 'no-capacity',
    sentence: `waits: ${failures} boots of target ${broken.name} failed in a row${last}; tries one in ${formatDuration(retryInMs)}`,
    wouldChange: ['a changed command', 'the next try'],
    reviewInMs: retryInMs,
  };
}

export function countByTarget(replicas: readonly { readonly target: string }[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { target } of replicas) counts[target] = (counts[target] ?? 0) + 1;
  return counts;
}
