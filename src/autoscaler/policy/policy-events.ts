import type { PolicyConditionType, ScalePolicyStatus } from '../../core/policy-status.ts';
import type { PolicyFacts } from './policy-facts.ts';

/** An Event about a policy. */
export interface PolicyEvent {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase. */
  readonly reason: string;
  readonly message: string;
}

/** What the next events are compared with. */
export interface PolicyMoment {
  readonly desired: number;
  readonly observes: boolean;
  readonly decision: string;
  /** Of the decision that changed the number last; null = not known. */
  readonly step: string | null;
  readonly conditions: ReadonlyMap<PolicyConditionType, { status: string; reason: string; message: string }>;
  /** Sentence of each target whose breaker is open. */
  readonly breakers: ReadonlyMap<string, string>;
  readonly holds: ReadonlyMap<string, string>;
  readonly orders: readonly string[];
}

export function policyMoment(facts: PolicyFacts, status: ScalePolicyStatus): PolicyMoment {
  const targets = facts.pool?.targets ?? [];
  return {
    desired: status.desiredReplicas,
    observes: facts.observes,
    decision: facts.pool?.decision?.sentence ?? '',
    step: facts.pool?.lastStep?.sentence ?? null,
    conditions: new Map(status.conditions.map((condition) => [condition.type, condition])),
    breakers: new Map(
      targets.flatMap(({ name, breaker }) =>
        breaker?.isOpen === true
          ? [[name, `${breaker.failures} boots in a row failed: ${breaker.message ?? '?'}`]]
          : [],
      ),
    ),
    holds: new Map(targets.flatMap(({ name, heldWhy }) => (heldWhy === null ? [] : [[name, heldWhy]]))),
    orders: status.orders,
  };
}

/** What people should hear of the step from one moment to the next; the first moment of a leader is no news. */
export function policyEvents(before: PolicyMoment | null, after: PolicyMoment): readonly PolicyEvent[] {
  if (before === null) return [];
  const ofConditions = [...after.conditions].flatMap(([type, now]) => conditionEvents(type, before, now));
  return [
    ...decisionEvents(before, after),
    ...ofConditions,
    ...breakerEvents(before, after),
    // A hold whose cause is a condition was told with it.
    ...(ofConditions.length > 0 ? [] : holdEvents(before, after)),
    ...after.orders
      .filter((order) => !before.orders.includes(order))
      .map((order): PolicyEvent => ({ type: 'Normal', reason: 'Ordered', message: order })),
  ];
}

function decisionEvents(before: PolicyMoment, after: PolicyMoment): readonly PolicyEvent[] {
  if (before.desired === after.desired) return [];
  const verb = after.desired > before.desired ? 'ScaleUp' : 'ScaleDown';
  // By now the latest decision may be another one, which found enough on its way.
  const message = after.step ?? `from ${before.desired} to ${after.desired} replicas: ${after.decision}`;
  return [{ type: 'Normal', reason: after.observes ? `Would${verb}` : verb, message }];
}

function conditionEvents(
  type: PolicyConditionType,
  { conditions }: PolicyMoment,
  now: { readonly status: string; readonly reason: string; readonly message: string },
): readonly PolicyEvent[] {
  const last = conditions.get(type);
  if (last === undefined || (last.status === now.status && last.reason === now.reason)) return [];
  // Waking and draining are everyday; decisions tell of them.
  if (type === 'Ready' && now.status !== 'True' && now.reason !== 'Stalled') return [];
  if (now.status === 'False') return [{ type: 'Warning', reason: now.reason, message: now.message }];
  const isRecovery = now.status === 'True' && last.status === 'False' && now.reason !== 'Asleep';
  return isRecovery ? [{ type: 'Normal', reason: type, message: now.message }] : [];
}

function breakerEvents(before: PolicyMoment, after: PolicyMoment): readonly PolicyEvent[] {
  const opened = [...after.breakers].filter(([name]) => !before.breakers.has(name));
  const closed = [...before.breakers.keys()].filter((name) => !after.breakers.has(name));
  return [
    ...opened.map(
      ([name, why]): PolicyEvent => ({
        type: 'Warning',
        reason: 'BreakerOpened',
        message: `target ${name}: ${why}`,
      }),
    ),
    ...closed.map(
      (name): PolicyEvent => ({
        type: 'Normal',
        reason: 'BreakerClosed',
        message: `target ${name} is tried again without limits: a boot succeeded or its template changed`,
      }),
    ),
  ];
}

function holdEvents(before: PolicyMoment, after: PolicyMoment): readonly PolicyEvent[] {
  const begun = [...after.holds].filter(([name]) => !before.holds.has(name));
  const ended = [...before.holds.keys()].filter((name) => !after.holds.has(name));
  return [
    ...begun.map(
      ([name, why]): PolicyEvent => ({ type: 'Warning', reason: 'TargetHeld', message: `target ${name}: ${why}` }),
    ),
    ...ended.map(
      (name): PolicyEvent => ({
        type: 'Normal',
        reason: 'TargetReleased',
        message: `target ${name}: nothing holds it any more`,
      }),
    ),
  ];
}
