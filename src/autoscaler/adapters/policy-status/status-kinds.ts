import type { KubeObject, ObjectFeed } from '../../../core/kubernetes.ts';
import type { ScalePolicyStatus } from '../../../core/policy-status.ts';
import { type PolicyEvent, type PolicyMoment, policyEvents, policyMoment } from '../../policy/policy-events.ts';
import type { PolicyFacts, Verdicts } from '../../policy/policy-facts.ts';
import {
  type ConditionedStatus,
  objectivePolicyStatus,
  policyStatus,
  type StatusChange,
  statusChange,
  statusPatch,
} from '../../policy/policy-status.ts';

/** What one object's status should be. */
export interface WantedStatus {
  readonly change: StatusChange;
  /** The status as a merge patch. */
  readonly patch: unknown;
  /** Since `moment` of the look before. */
  readonly events: readonly PolicyEvent[];
  readonly moment: PolicyMoment | null;
}

/** One kind of object whose status we write. */
export interface StatusKind {
  readonly feed: ObjectFeed;
  /** Null = the object is another installation's: it is left alone. `before` is its status, unchecked. */
  want(object: KubeObject, before: unknown, moment: PolicyMoment | null, nowEpochMs: number): WantedStatus | null;
}

/** `facts` answers null for a policy of another installation. */
export function scalePolicyKind(feed: ObjectFeed, facts: (policy: KubeObject) => PolicyFacts | null): StatusKind {
  return {
    feed,
    want(object, before, moment, nowEpochMs) {
      const known = facts(object);
      if (known === null) return null;
      const last = isConditioned(before) ? (before as ScalePolicyStatus) : null;
      const status = policyStatus(known, last, nowEpochMs);
      const now = policyMoment(known, status);
      const events = policyEvents(moment, now);
      return { change: statusChange(last, status), patch: statusPatch(status), events, moment: now };
    },
  };
}

/** `verdicts` answers null for a policy of another installation. */
export function objectivePolicyKind(feed: ObjectFeed, verdicts: (policy: KubeObject) => Verdicts | null): StatusKind {
  return {
    feed,
    want(object, before, _moment, nowEpochMs) {
      const known = verdicts(object);
      if (known === null) return null;
      const last = isConditioned(before) ? before : null;
      const status = objectivePolicyStatus(known, last, nowEpochMs);
      return { change: statusChange(last, status), patch: status, events: [], moment: null };
    },
  };
}

function isConditioned(value: unknown): value is ConditionedStatus {
  return (
    typeof value === 'object' &&
    value !== null &&
    Array.isArray((value as Partial<ConditionedStatus>).conditions) &&
    typeof (value as Partial<ConditionedStatus>).observedGeneration === 'number'
  );
}
