import type { PoolKey, PoolSpec } from '../../core/objects.ts';
import type { ObjectSet, SourceObject } from './parse-objects.ts';
import type { Reporter } from './report.ts';

type Rewrite = SourceObject<'InferenceModelRewrite'>;
type Rule = Rewrite['spec']['rules'][number];

/** Names that may replace a model's, and how often: `shares` grow to 1, the last entry. */
export interface RewriteChoice {
  readonly names: readonly string[];
  readonly shares: readonly number[];
}

/** What becomes of model names in one pool. */
export interface PoolRewrites {
  readonly exact: ReadonlyMap<string, RewriteChoice>;
  /** Of names that no rule mentions; null = they stay. */
  readonly others: RewriteChoice | null;
}

/**
 * The rules of each pool in the order of the InferenceModelRewrite API: a rule that names the model comes before one
 * for all, then the older object, then the earlier rule.
 */
export function compileRewrites(
  objects: ObjectSet,
  pools: ReadonlyMap<PoolKey, PoolSpec>,
  report: Reporter,
): Map<PoolKey, PoolRewrites> {
  const written = new Set(objects.pools.map((pool) => pool.key));
  const byPool = new Map<PoolKey, { exact: Map<string, RewriteChoice>; others: RewriteChoice | null }>();
  for (const rewrite of objects.rewrites) {
    const key = `${rewrite.namespace}/${rewrite.spec.poolRef.name}`;
    const pool = pools.get(key);
    if (!pool) {
      if (!written.has(key)) reportNoPool(rewrite, key, objects, report);
      continue;
    }
    const known = new Set(pool.models.flatMap(({ name, aliases }) => [name, ...aliases]));
    const rules = byPool.get(key) ?? { exact: new Map(), others: null };
    byPool.set(key, rules);
    for (const [index, rule] of rewrite.spec.rules.entries()) {
      const at = ['spec', 'rules', index];
      const choice = choiceOf(rewrite, rule, at, report);
      if (rule.matches.length === 0) rules.others ??= choice;
      for (const [place, { model }] of rule.matches.entries()) {
        if (!rules.exact.has(model.value)) rules.exact.set(model.value, choice);
        if (known.has(model.value)) continue;
        const why = `no call for "${model.value}" comes to the pool; add it to models of the pool's ScalePolicy, as a name or an alias`;
        report.warn(rewrite, [...at, 'matches', place, 'model', 'value'], why, 'NotReady');
      }
    }
  }
  return byPool;
}

/** Targets without a weight beside some with one are never chosen, as in the API's reference implementation. */
function choiceOf(rewrite: Rewrite, { targets }: Rule, at: readonly PropertyKey[], report: Reporter): RewriteChoice {
  const weighted = targets.filter((target) => target.weight !== undefined);
  if (weighted.length > 0 && weighted.length < targets.length) {
    const bare = targets.findIndex((target) => target.weight === undefined);
    const why = 'has no weight while others have one, so it is never chosen; give every target a weight, or none';
    report.warn(rewrite, [...at, 'targets', bare], why);
  }
  const chosen = weighted.length > 0 ? weighted : targets;
  const total = chosen.reduce((sum, { weight }) => sum + (weight ?? 1), 0);
  let sum = 0;
  return {
    names: chosen.map(({ modelRewrite }) => modelRewrite),
    shares: chosen.map(({ weight }) => {
      sum += weight ?? 1;
      return sum / total;
    }),
  };
}

function reportNoPool(rewrite: Rewrite, key: PoolKey, objects: ObjectSet, report: Reporter): void {
  if (objects.broken.has(`InferencePool ${key}`) || objects.broken.has(`ScalePolicy ${key}`)) return;
  const { name } = rewrite.spec.poolRef;
  const why = `there is no pool "${name}" in namespace "${rewrite.namespace}"; add it or correct the name`;
  report.error(rewrite, ['spec', 'poolRef', 'name'], why, 'PoolNotFound');
}

/** The name that a call for `model` goes on with; `random` is in [0, 1). */
export function rewrittenName(rewrites: PoolRewrites | undefined, model: string, random: number): string {
  const choice = rewrites?.exact.get(model) ?? rewrites?.others;
  if (!choice) return model;
  const place = choice.shares.findIndex((share) => random < share);
  return choice.names.at(place) ?? model;
}
