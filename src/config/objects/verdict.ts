import type { PolicyConditionType } from '../../core/policy-status.ts';
import type { Problem, ProblemReason } from '../problem.ts';
import type { AnyObject, ObjectKind } from './parse-objects.ts';
import type { ServedObject } from './served-object.ts';

/** Messages are cut here, as the CRD's schema demands. */
const MAX_MESSAGE_CHARS = 1_024;

/** Reasons that are about what an object names, and not about itself. */
const OF_REFERENCES: ReadonlySet<ProblemReason | undefined> = new Set<ProblemReason>([
  'PoolNotFound',
  'ObjectiveNotFound',
  'CrdMissing',
]);

export interface VerdictCondition {
  readonly type: Extract<PolicyConditionType, 'Accepted' | 'ResolvedRefs'>;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase: `Accepted`, `ResolvedRefs`, `Invalid`, `Conflicted`, `NotReady`, `SelectorOverlap`, `PoolNotFound`, … */
  readonly reason: string;
  /** One or two sentences with the remedy; at most 1,024 characters. */
  readonly message: string;
}

/** What is to be told about one object, in its status where it is ours. */
export interface ObjectVerdict {
  readonly kind: ObjectKind;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string | null;
  /** Of the version judged: `observedGeneration`. */
  readonly generation: number;
  /** Of the version that the catalog is made of; null = the object has no effect. */
  readonly inForceGeneration: number | null;
  /** Accepted and ResolvedRefs, in this order. */
  readonly conditions: readonly [VerdictCondition, VerdictCondition];
}

/** `inForce`: the version of the object that the catalog is made of. */
export function verdictOf(
  object: ServedObject,
  problems: readonly Problem[],
  inForce: AnyObject | undefined,
): ObjectVerdict {
  const { kind, namespace, name, uid, generation } = object;
  const effect = effectOf(object, inForce);
  const own = problems.filter(({ reason }) => !OF_REFERENCES.has(reason));
  const references = problems.filter(({ reason }) => OF_REFERENCES.has(reason));
  const accepted = acceptedOf(own, effect);
  const resolvedRefs = resolvedRefsOf(references, object, inForce, effect);
  const inForceGeneration = inForce ? (inForce.generation ?? generation) : null;
  return { kind, namespace, name, uid, generation, inForceGeneration, conditions: [accepted, resolvedRefs] };
}

function acceptedOf(problems: readonly Problem[], effect: string): VerdictCondition {
  const type = 'Accepted';
  const refusals = problems.filter(({ severity, reason }) => severity === 'error' || reason === 'Conflicted');
  const [first] = refusals;
  if (first) {
    const reason = refusals.some(isInvalid) ? 'Invalid' : 'Conflicted';
    const stays = refusals.some(({ severity, withoutEffect }) => severity === 'error' || withoutEffect) ? effect : '';
    return { type, status: 'False', reason, message: sentences(refusals, stays) };
  }
  const reason = problems.find((problem) => problem.reason !== undefined)?.reason ?? 'Accepted';
  return { type, status: 'True', reason, message: sentences(problems, effect) };
}

function isInvalid({ severity, reason }: Problem): boolean {
  return severity === 'error' && reason !== 'Conflicted';
}

function resolvedRefsOf(
  problems: readonly Problem[],
  { newest }: ServedObject,
  inForce: AnyObject | undefined,
  effect: string,
): VerdictCondition {
  const type = 'ResolvedRefs';
  const [first] = problems;
  if (first) {
    const stays = problems.some(({ severity }) => severity === 'error') ? effect : '';
    return { type, status: 'False', reason: first.reason ?? 'Invalid', message: sentences(problems, stays) };
  }
  if (!newest && !inForce) {
    return { type, status: 'Unknown', reason: 'Invalid', message: 'Not looked at before the object is accepted.' };
  }
  return { type, status: 'True', reason: 'ResolvedRefs', message: 'Everything it names was found.' };
}

function effectOf({ newest }: ServedObject, inForce: AnyObject | undefined): string {
  if (!inForce) return 'It has no effect.';
  if (inForce === newest) return 'It is in force.';
  return `Generation ${inForce.generation ?? '(unknown)'}, the last one that could be used, stays in force.`;
}

function sentences(problems: readonly Problem[], effect: string): string {
  const told = problems.map(({ path, message }) => `${path === '' ? '' : `${path}: `}${message}.`);
  const end = effect === '' ? '' : ` ${effect}`;
  const text = told.join(' ');
  const room = MAX_MESSAGE_CHARS - end.length;
  return `${text.length > room ? `${text.slice(0, room - 1)}…` : text}${end}`.trim();
}
