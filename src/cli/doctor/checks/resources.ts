import { type ClusterFacts, type Finding, fail, ok, skip, warn } from '../facts.ts';

/** CRDs that Pilotlight cannot work without, and those that it reads when they are there. */
export function checkResources({ resources }: ClusterFacts): readonly Finding[] {
  return resources.map(({ name, kind, need, served }) => {
    if (served) return ok('CRDs', `${name} is served`);
    if (need === 'optional') return skip('CRDs', `${name} is not installed; it is only needed to use ${kind}`);
    return fail('CRDs', `${name} is not installed`, 'kubectl apply -f infra/crds, or install the chart');
  });
}

/** A namespace that was forgotten lacks dozens. */
const MOST_NAMED = 5;

export function checkRights({ rights }: ClusterFacts): readonly Finding[] {
  return rights.map(({ who, missing, problem }) => {
    if (problem !== null) return skip('rights', `${who}: ${problem}`);
    if (missing.length === 0) return ok('rights', `${who} may do all that is needed here`);
    const change =
      'add these verbs to its Role; the chart does so for the namespaces and workloads that its `namespaces` lists';
    const named = missing.slice(0, MOST_NAMED).join('; ');
    const more = missing.length > MOST_NAMED ? `; and ${missing.length - MOST_NAMED} more` : '';
    return (who === 'you' ? warn : fail)('rights', `${who} ${named}${more}`, change);
  });
}
