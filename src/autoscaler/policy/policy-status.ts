import type {
  PolicyCondition,
  PolicyDecision,
  PolicyTargetStatus,
  ScalePolicyStatus,
} from '../../core/policy-status.ts';
import { type Replica, WARM_UP_PHASES, type WarmUpPhase } from '../../core/replicas.ts';
import { differInDurationsOnly, lastingWords } from './lasting-words.ts';
import { describeOrders } from './order-rules.ts';
import { conditions, findings, rfc3339, verdictFindings } from './policy-conditions.ts';
import type { PolicyFacts, PoolFacts, TargetFacts, Verdicts } from './policy-facts.ts';

const MOST_CHANGES = 8;
/** An expectation that moves by less is the same one. */
const SAME_EXPECTATION_MS = 5_000;
/** An arrival is computed from its age, in another process' clock. */
const SAME_ARRIVAL_MS = 2_000;

/**
 * The status of a ScalePolicy. `before` is what the object says now; what means the same is taken over from it, so that
 * equal facts give an equal status.
 */
export function policyStatus(
  facts: PolicyFacts,
  before: ScalePolicyStatus | null,
  nowEpochMs: number,
): ScalePolicyStatus {
  const { pool } = facts;
  const replicas = pool?.status.replicas ?? [];
  const oldest = oldestQueuedAt(pool, before);
  const next = nextReadyAt(pool, before, nowEpochMs);
  const decision = lastDecision(facts, before);
  return {
    observedGeneration: facts.generation,
    phase: pool?.status.phase ?? (facts.accepted.status === false ? 'Stalled' : (before?.phase ?? 'Asleep')),
    readyReplicas: replicas.filter(({ phase }) => phase === 'Ready').length,
    bootingReplicas: replicas.filter(isBooting).length,
    desiredReplicas: pool?.status.desiredReplicas ?? 0,
    replicasByPhase: byPhase(replicas),
    queued: pool?.demand?.queued ?? 0,
    running: pool?.demand?.running ?? 0,
    ...(oldest === null ? {} : { oldestQueuedAt: oldest }),
    ...(next === null ? {} : { nextReadyAt: next }),
    ...(decision === null ? {} : { lastDecision: decision }),
    targets: (pool?.targets ?? []).map((target) => targetStatus(target, before)),
    orders: [...(pool === null ? [] : describeOrders(pool.order, nowEpochMs)), ...facts.remarks],
    conditions: conditions(findings(facts, nowEpochMs), before?.conditions ?? [], {
      generation: facts.generation,
      nowEpochMs,
    }),
  };
}

/** The status of an ObjectivePolicy: what reading it came to. */
export function objectivePolicyStatus(
  verdicts: Verdicts,
  before: ConditionedStatus | null,
  nowEpochMs: number,
): ConditionedStatus {
  const { generation } = verdicts;
  const found = conditions(verdictFindings(verdicts), before?.conditions ?? [], { generation, nowEpochMs });
  return { observedGeneration: generation, conditions: found };
}

/**
 * none: equal · words: the same said otherwise, such as another time in a sentence · drift: counters or expectations moved ·
 * material: another phase, or another status or reason of a condition, or another generation: people and tools wait for it.
 */
export type StatusChange = 'none' | 'words' | 'drift' | 'material';

export interface ConditionedStatus {
  readonly observedGeneration: number;
  readonly conditions: readonly PolicyCondition[];
}

export function statusChange<S extends ConditionedStatus & { readonly phase?: string }>(
  before: S | null,
  after: S,
): StatusChange {
  if (before === null) return 'material';
  const essence = ({ observedGeneration, phase, conditions: all }: S): string =>
    JSON.stringify([observedGeneration, phase, all.map(({ type, status, reason }) => [type, status, reason])]);
  if (essence(before) !== essence(after)) return 'material';
  if (canonical(before) === canonical(after)) return 'none';
  return canonical(before, WORDS) === canonical(after, WORDS) ? 'words' : 'drift';
}

/** A merge patch of `status` that leaves nothing of an earlier one. */
export function statusPatch(status: ScalePolicyStatus): Readonly<Record<string, unknown>> {
  const noPhases = Object.fromEntries(WARM_UP_PHASES.map((phase) => [phase, null]));
  return {
    ...{ oldestQueuedAt: null, nextReadyAt: null, lastDecision: null },
    ...status,
    replicasByPhase: { ...noPhases, ...status.replicasByPhase },
  };
}

function oldestQueuedAt(pool: PoolFacts | null, before: ScalePolicyStatus | null): string | null {
  const atEpochMs = pool?.demand?.oldestQueuedAtEpochMs ?? null;
  return atEpochMs === null ? null : kept(before?.oldestQueuedAt, atEpochMs, SAME_ARRIVAL_MS);
}

/** While a replica boots: what an order would take is no time that anything is expected at. */
function nextReadyAt(pool: PoolFacts | null, before: ScalePolicyStatus | null, nowEpochMs: number): string | null {
  const inMs = pool?.status.nextReadyMs?.p50 ?? null;
  if (pool === null || inMs === null || !pool.status.replicas.some(isBooting)) return null;
  return kept(before?.nextReadyAt, nowEpochMs + inMs, SAME_EXPECTATION_MS);
}

function kept(before: string | undefined, atEpochMs: number, toleranceMs: number): string {
  if (before !== undefined && Math.abs(Date.parse(before) - atEpochMs) < toleranceMs) return before;
  return rfc3339(atEpochMs);
}

/** The same decision made again is told as it was the first time: its durations are those of that time. */
function lastDecision({ pool, generation }: PolicyFacts, before: ScalePolicyStatus | null): PolicyDecision | null {
  if (pool === null || pool.decision === null) return before?.lastDecision ?? null;
  const { atEpochMs, rule, sentence, wouldChange } = pool.decision;
  const last = before?.lastDecision;
  const changes = wouldChange.slice(0, MOST_CHANGES);
  const words = (decision: PolicyDecision): string => [decision.message, ...decision.wouldChange].join('\n');
  const now = { at: rfc3339(atEpochMs), rule, message: sentence, wouldChange: changes };
  const isSame = last?.rule === rule && before?.observedGeneration === generation;
  return isSame && differInDurationsOnly(words(last), words(now)) ? last : now;
}

function targetStatus(target: TargetFacts, before: ScalePolicyStatus | null): PolicyTargetStatus {
  const { name, readyReplicas, bootingReplicas, state, heldWhy } = target;
  const last = before?.targets.find((one) => one.name === name)?.message;
  return {
    name,
    ...(state === null || state.specReplicas === null ? {} : { specReplicas: state.specReplicas }),
    readyReplicas,
    bootingReplicas,
    ...(state === null || state.templateHash === '' ? {} : { templateHash: state.templateHash }),
    ...(heldWhy === null ? {} : { message: lastingWords(last, heldWhy) }),
  };
}

function byPhase(replicas: readonly Replica[]): Partial<Record<WarmUpPhase, number>> {
  const counts = WARM_UP_PHASES.map((phase) => [phase, replicas.filter((replica) => replica.phase === phase).length]);
  return Object.fromEntries(counts.filter(([, number]) => number !== 0)) as Partial<Record<WarmUpPhase, number>>;
}

function isBooting({ phase }: Replica): boolean {
  return phase !== 'Ready' && phase !== 'Draining' && phase !== 'Stuck';
}

/** Fields that hold sentences, and the time of the last decision, which is that of its sentence. */
const WORDS: ReadonlySet<string> = new Set(['message', 'wouldChange', 'at', 'lastTransitionTime']);

/** JSON with sorted keys: the API server gives them in an order of its own. */
function canonical(value: unknown, without: ReadonlySet<string> = new Set()): string {
  return JSON.stringify(value, (_key, item: unknown) =>
    typeof item === 'object' && item !== null && !Array.isArray(item)
      ? Object.fromEntries(
          Object.entries(item)
            .filter(([key]) => !without.has(key))
            .sort(([a], [b]) => (a < b ? -1 : 1)),
        )
      : item,
  );
}
