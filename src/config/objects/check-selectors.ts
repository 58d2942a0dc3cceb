import type { PoolKey, PoolSpec } from '../../core/objects.ts';
import type { SourceObject } from './parse-objects.ts';
import { type Reporter, whichOf } from './report.ts';

type Policy = SourceObject<'ScalePolicy'>;

/**
 * Warns of a pool all of whose pods are another pool's too: each would count and drain them for itself. Told of the
 * newer of two policies. Compares labels, not pods, so it also sees pools that are asleep.
 */
export function checkSelectors(
  pools: ReadonlyMap<PoolKey, PoolSpec>,
  owners: ReadonlyMap<PoolKey, Policy>,
  report: Reporter,
): void {
  // One label of each pool is enough to find every pair in which one selector holds the other.
  const byLabel = new Map<string, PoolKey[]>();
  for (const key of owners.keys()) {
    const pool = pools.get(key);
    if (!pool?.pods) continue;
    const labels = Object.entries(pool.pods.matchLabels).map((label) => `${pool.namespace} ${label.join('=')}`);
    const others = new Set(labels.flatMap((label) => byLabel.get(label) ?? []));
    const other = [...others].find((one) => overlaps(pools.get(one), pool));
    const policy = owners.get(key);
    const older = other === undefined ? undefined : owners.get(other);
    if (policy && older) {
      const why = `its selector and that of the pool of ${whichOf(older)} find the same pods; give each pool a label of its own`;
      report.warn(policy, ['spec', policy.spec.pool ? 'pool' : 'poolRef'], why, 'SelectorOverlap');
    }
    for (const label of labels) byLabel.set(label, [...(byLabel.get(label) ?? []), key]);
  }
}

function overlaps(a: PoolSpec | undefined, b: PoolSpec): boolean {
  if (!a?.pods || !b.pods) return false;
  const [labelsA, labelsB] = [a.pods.matchLabels, b.pods.matchLabels];
  const within = (inner: typeof labelsA, outer: typeof labelsA) =>
    Object.entries(inner).every(([name, value]) => Object.hasOwn(outer, name) && outer[name] === value);
  return within(labelsA, labelsB) || within(labelsB, labelsA);
}
