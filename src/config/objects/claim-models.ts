import type { ModelRoute } from '../../core/objects.ts';
import type { SourceObject } from './parse-objects.ts';
import { type Reporter, whichOf } from './report.ts';

type Policy = SourceObject<'ScalePolicy'>;

/** Who has which model name; filled from the older policies to the newer ones. */
export type ModelClaims = Map<string, Policy>;

/**
 * The routes that a policy may have: a name that an older policy has stays there, and this one is `Conflicted`.
 * A name twice within one policy is an error: it cannot be told which route was meant.
 */
export function claimModels(policy: Policy, claims: ModelClaims, report: Reporter): ModelRoute[] {
  const { models } = policy.spec;
  if (models.length === 0) {
    report.warn(policy, ['spec'], 'no models: no call leads to this pool; add spec.models', 'NotReady');
  }
  return models.flatMap((model, index): ModelRoute[] => {
    const at = ['spec', 'models', index];
    if (!claim(policy, model.name, [...at, 'name'], claims, report)) return [];
    const aliases = model.aliases.filter((alias, place) =>
      claim(policy, alias, [...at, 'aliases', place], claims, report),
    );
    return [{ name: model.name, aliases, ...(model.adapter === undefined ? {} : { adapter: model.adapter }) }];
  });
}

function claim(
  policy: Policy,
  name: string,
  at: readonly PropertyKey[],
  claims: ModelClaims,
  report: Reporter,
): boolean {
  const owner = claims.get(name);
  if (owner === undefined) {
    claims.set(name, policy);
    return true;
  }
  if (owner === policy) {
    report.error(policy, at, `the name "${name}" is used twice in this policy; remove one`);
  } else {
    const why = `"${name}" already leads to ${whichOf(owner)}, which keeps it; use another name`;
    report.warn(policy, at, why, 'Conflicted');
  }
  return false;
}
