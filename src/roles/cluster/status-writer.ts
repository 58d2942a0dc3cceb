import type { EventSink } from '../../autoscaler/adapters/policy-status/events.ts';
import { PolicyStatusWriter } from '../../autoscaler/adapters/policy-status/policy-status-writer.ts';
import { objectivePolicyKind, scalePolicyKind } from '../../autoscaler/adapters/policy-status/status-kinds.ts';
import type { FeedFacts, PolicyFacts, Verdict, Verdicts } from '../../autoscaler/policy/policy-facts.ts';
import type { ObjectVerdict, VerdictCondition } from '../../config/objects/verdict.ts';
import type { KubeObject, Leadership, ObjectFeed } from '../../core/kubernetes.ts';
import type { Catalog, PoolSpec } from '../../core/objects.ts';
import { systemClock } from '../../platform/clock.ts';
import type { ClusterProcess } from './process.ts';
import type { Terms } from './terms.ts';

export interface StatusSources {
  readonly leadership: Leadership;
  readonly terms: Terms;
  readonly events: EventSink;
}

/** Joins what the parts know of each policy into its status. */
export function openStatusWriter(cluster: ClusterProcess, sources: StatusSources): PolicyStatusWriter {
  const { link, catalog, policies, objectivePolicies, options } = cluster;
  const verdictsOf = (kind: 'ScalePolicy' | 'ObjectivePolicy', { metadata }: KubeObject): Verdicts | null => {
    const verdict = catalog.verdict(kind, metadata.namespace ?? '', metadata.name);
    return verdict === undefined ? null : verdictsFrom(verdict);
  };
  return new PolicyStatusWriter({
    api: link.api,
    kinds: [
      scalePolicyKind(policies, (policy) => {
        const verdicts = verdictsOf('ScalePolicy', policy);
        return verdicts === null ? null : policyFacts(cluster, sources, policy, verdicts);
      }),
      objectivePolicyKind(objectivePolicies, (policy) => verdictsOf('ObjectivePolicy', policy)),
    ],
    leadership: sources.leadership,
    events: sources.events,
    clock: systemClock,
    log: options.log,
  });
}

function policyFacts(
  cluster: ClusterProcess,
  { terms }: StatusSources,
  policy: KubeObject,
  verdicts: Verdicts,
): PolicyFacts {
  const { options, podFeed, policies, inferencePools, rights, catalog } = cluster;
  const pool = poolOf(catalog.current(), policy);
  return {
    ...verdicts,
    observes: pool?.scale.mode === 'Observe',
    pool: pool === undefined ? null : (terms.current?.view(pool.key) ?? null),
    feeds: [podFeed, policies, ...(needsPools(policy) ? [inferencePools] : [])].map(feedFacts),
    redisWhy: options.redis.command.status === 'ready' ? null : 'Redis does not answer',
    missingRights: rights.missing()?.filter(({ namespace }) => namespace === policy.metadata.namespace) ?? null,
    remarks: pool === undefined ? [] : cluster.orderProblems(pool.key),
  };
}

/** Pools by their policy, of the catalogs that are in use: every policy is asked for at each look. */
const poolsByPolicy = new WeakMap<Catalog, ReadonlyMap<string, PoolSpec>>();

/** The pool that this policy scales, if it is the one that does. */
export function poolOf(catalog: Catalog, { metadata }: KubeObject): PoolSpec | undefined {
  let pools = poolsByPolicy.get(catalog);
  if (pools === undefined) {
    pools = new Map([...catalog.pools.values()].map((pool) => [`${pool.namespace}/${pool.policyName ?? ''}`, pool]));
    poolsByPolicy.set(catalog, pools);
  }
  return pools.get(`${metadata.namespace ?? ''}/${metadata.name}`);
}

/** A policy with a pool of its own works where InferencePool is not installed. */
function needsPools({ spec }: KubeObject): boolean {
  return (spec as { poolRef?: unknown } | undefined)?.poolRef !== undefined;
}

function feedFacts(feed: ObjectFeed): FeedFacts {
  const { group, plural } = feed.resource;
  return { resource: group === '' ? plural : `${plural}.${group}`, freshness: feed.freshness() };
}

function verdictsFrom({ generation, conditions: [accepted, resolvedRefs] }: ObjectVerdict): Verdicts {
  return { generation, accepted: verdictFrom(accepted), resolvedRefs: verdictFrom(resolvedRefs) };
}

function verdictFrom({ status, reason, message }: VerdictCondition): Verdict {
  return { status: status === 'Unknown' ? null : status === 'True', reason, message };
}
