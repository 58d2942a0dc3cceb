import type { ObjectKind, ObjectSet, SourceObject } from './parse-objects.ts';
import { type Reporter, titleOf } from './report.ts';
import { OBJECTIVE_VERSIONS } from './schema/inference-objective.ts';

/** The set with one object a name. A second one is an error, except that a current objective replaces its older form. */
export function withoutDuplicates(objects: ObjectSet, report: Reporter): ObjectSet {
  return {
    ...objects,
    pools: firstOfEach(objects.pools, report),
    objectives: firstOfEach(currentOfEach(objects.objectives, report), report),
    rewrites: firstOfEach(currentOfEach(objects.rewrites, report), report),
    scalePolicies: firstOfEach(objects.scalePolicies, report),
    objectivePolicies: firstOfEach(objects.objectivePolicies, report),
  };
}

function firstOfEach<Kind extends ObjectKind>(
  objects: readonly SourceObject<Kind>[],
  report: Reporter,
): SourceObject<Kind>[] {
  const byKey = new Map<string, SourceObject<Kind>>();
  for (const object of objects) {
    const first = byKey.get(object.key);
    if (first === undefined) byKey.set(object.key, object);
    else {
      const why = `${titleOf(object)} is already at ${first.origin}; delete one of the two, or rename it`;
      report.error(object, ['metadata', 'name'], why);
    }
  }
  return [...byKey.values()];
}

/** What each kind with two groups is called in a message. */
const NOUNS = { InferenceObjective: 'objective', InferenceModelRewrite: 'rewrite' } as const;

function currentOfEach<Kind extends keyof typeof NOUNS>(
  objects: readonly SourceObject<Kind>[],
  report: Reporter,
): SourceObject<Kind>[] {
  const [current] = OBJECTIVE_VERSIONS;
  const currentKeys = new Set(objects.filter((one) => one.apiVersion === current).map((one) => one.key));
  return objects.filter((one) => {
    if (one.apiVersion === current || !currentKeys.has(one.key)) return true;
    report.warn(
      one,
      ['apiVersion'],
      `the same ${NOUNS[one.kind]} exists under ${current}, which wins; delete this one`,
      'Conflicted',
    );
    return false;
  });
}
