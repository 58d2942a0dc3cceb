import type { FeedFreshness, ObjectFeed } from '../../core/kubernetes.ts';
import type { Problem } from '../problem.ts';
import type { ObjectKind } from './parse-objects.ts';
import { SERVED_SOURCE } from './served-object.ts';

const OWN = "install Pilotlight's CRDs (the chart's crds.install, or infra/crds)";
const REMEDIES: Readonly<Record<ObjectKind, string>> = {
  ScalePolicy: OWN,
  ObjectivePolicy: OWN,
  InferencePool: 'install the CRDs of the Gateway API Inference Extension where policies use poolRef',
  InferenceObjective: 'install the CRDs of the llm-d router where calls name objectives',
  InferenceModelRewrite: 'install the CRDs of the llm-d router where models are rewritten',
};

/** How each kind stands. */
export type FeedStates = ReadonlyMap<ObjectKind, { readonly feed: ObjectFeed; readonly freshness: FeedFreshness }>;

/** Kinds of which there are no objects because they cannot be read, and why. */
export function missingKinds(kinds: FeedStates): ReadonlyMap<ObjectKind, string> {
  const missing = new Map<ObjectKind, string>();
  for (const [kind, { freshness }] of kinds) {
    if (freshness.state === 'absent') missing.set(kind, `it is not installed; ${REMEDIES[kind]}`);
    // Not stale: what was listed once is still there.
    if (freshness.state === 'syncing') missing.set(kind, freshness.why ?? 'it was not listed yet');
  }
  return missing;
}

/** What is wrong with the feeds themselves. */
export function feedProblems(kinds: FeedStates): Problem[] {
  return [...kinds].flatMap(([kind, { feed, freshness }]): Problem[] => {
    const { group, version } = feed.resource;
    const problem = (severity: Problem['severity'], message: string): Problem[] => [
      { severity, source: SERVED_SOURCE, object: null, path: '', message: `${kind} (${group}/${version}) ${message}` },
    ];
    switch (freshness.state) {
      case 'live':
        return [];
      case 'absent':
        return problem(kind === 'ScalePolicy' ? 'error' : 'warning', `is not installed; ${REMEDIES[kind]}`);
      case 'syncing':
        return problem('warning', `was not listed yet${freshness.why === null ? '' : `: ${freshness.why}`}`);
      case 'stale':
        return problem('warning', `is old: ${freshness.why ?? 'the server is silent'}; what was heard last holds`);
    }
  });
}
