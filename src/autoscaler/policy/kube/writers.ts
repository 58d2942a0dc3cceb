import type { KubeManagedFields } from '../../../core/kubernetes.ts';
import { epochMs } from './pod.ts';

/** Field manager of every write of ours. */
export const FIELD_MANAGER = 'pilotlight';

/** How long a scale by hand is respected. */
export const MANUAL_HOLD_MS = 600_000;
/** So often a tool that reverts our number is overruled; then it holds. */
export const MAX_FIGHTS = 2;
/** Reverts further apart than this are not one fight. */
const FIGHT_WINDOW_MS = 3_600_000;

/** Who wrote `spec.replicas` last. */
export interface ReplicasWriter {
  readonly manager: string;
  readonly kind: 'own' | 'person' | 'tool' | 'unknown';
  /** Through the /scale subresource, as `kubectl scale` and autoscalers do. */
  readonly viaScale: boolean;
  readonly atEpochMs: number | null;
}

/** Managers that revert what they did not write, and what to tell their users. */
const TOOLS: readonly (readonly [RegExp, string])[] = [
  [/^argocd/, 'let Argo CD ignore /spec/replicas (ignoreDifferences with RespectIgnoreDifferences=true)'],
  [/^(kustomize|helm)-controller$|^flux/, 'remove spec.replicas from what Flux applies'],
  [/^helm$|^Helm$/, 'remove replicas from the chart, or set it to null in the values'],
  [/^(Terraform|HashiCorp|pulumi)/i, 'ignore changes of spec.replicas there'],
  [/^keda/, 'remove the ScaledObject, or its target'],
  [/^kube-controller-manager$/, 'a HorizontalPodAutoscaler scales it: remove it'],
];
const PEOPLE = /^(kubectl|oc$|k9s|Lens|OpenLens|node-fetch|Mozilla|headlamp|dashboard|rancher)/i;

/** The newest owner of spec.replicas; null when nobody is recorded. */
export function replicasWriter(fields: readonly KubeManagedFields[]): ReplicasWriter | null {
  const owners = fields.filter(({ fieldsV1 }) => ownsReplicas(fieldsV1));
  const newest = owners.reduce<KubeManagedFields | undefined>(
    (best, one) => (best && (epochMs(best.time) ?? 0) > (epochMs(one.time) ?? 0) ? best : one),
    undefined,
  );
  if (newest === undefined) return null;
  const manager = newest.manager ?? 'unknown';
  return {
    manager,
    kind: kindOf(manager),
    viaScale: newest.subresource === 'scale',
    atEpochMs: epochMs(newest.time),
  };
}

export function remedyFor(manager: string): string {
  return TOOLS.find(([pattern]) => pattern.test(manager))?.[1] ?? `let ${manager} leave spec.replicas alone`;
}

function kindOf(manager: string): ReplicasWriter['kind'] {
  if (manager === FIELD_MANAGER) return 'own';
  if (TOOLS.some(([pattern]) => pattern.test(manager))) return 'tool';
  return PEOPLE.test(manager) ? 'person' : 'unknown';
}

function ownsReplicas(fields: Readonly<Record<string, unknown>> | undefined): boolean {
  const spec = fields?.['f:spec'];
  return typeof spec === 'object' && spec !== null && 'f:replicas' in spec;
}

/** What is remembered of one workload's number of replicas. */
export interface WriterMemory {
  /** As last seen; null = never. */
  readonly replicas: number | null;
  readonly hold: WriterHold | null;
  /** Tool that reverts us, how often in a row, and when last; null = none. */
  readonly fight: { readonly manager: string; readonly times: number; readonly atMs: number } | null;
}

export interface WriterHold {
  readonly reason: 'ManualScale' | 'ForeignWriter';
  readonly manager: string;
  readonly replicas: number;
  /** Null = until it or the policy changes. */
  readonly leftMs: number | null;
  /** Own clock. */
  readonly sinceMs: number;
  /** For people; null as `leftMs`. */
  readonly untilEpochMs: number | null;
}

export const noWriter: WriterMemory = { replicas: null, hold: null, fight: null };

export interface SeenReplicas {
  readonly replicas: number;
  readonly writer: ReplicasWriter | null;
  /** Our own clocks: durations by the one, the age of what another clock stamped by the other. */
  readonly nowMs: number;
  readonly nowEpochMs: number;
}

/**
 * What to make of the number that was read. A change that we did not write is a person's wish (held 10 minutes) or a
 * tool that reverts us (overruled twice, then held until it or the policy changes). On the first sight only a number
 * that was set through /scale by another one, less than 10 minutes ago, is such a wish: a restart of ours hides none.
 */
export function seeReplicas(memory: WriterMemory, seen: SeenReplicas): WriterMemory {
  const { replicas, writer, nowMs } = seen;
  const kept = { ...memory, hold: isOver(memory.hold, nowMs) ? null : memory.hold };
  if (memory.replicas === replicas) return kept;
  const now = { ...kept, replicas };
  if (writer === null || writer.kind === 'own') return { ...now, hold: null };
  const agoMs = Math.max(0, seen.nowEpochMs - (writer.atEpochMs ?? seen.nowEpochMs));
  if (memory.replicas === null) {
    const isFresh = writer.viaScale && writer.kind !== 'tool' && agoMs < MANUAL_HOLD_MS;
    return isFresh ? { ...now, hold: manualHold(writer.manager, seen, agoMs) } : now;
  }
  // Another clock's stamp counts only while it is plausible: the change itself was seen just now.
  if (writer.kind !== 'tool') return { ...now, hold: manualHold(writer.manager, seen, 0) };
  return fight(now, writer.manager, seen);
}

/** Our own write: its number is no surprise, and ends a hold of its own accord. */
export function wroteReplicas(memory: WriterMemory, replicas: number): WriterMemory {
  return { ...memory, replicas };
}

/** The policy changed: tools get a new chance. */
export function forgiveTools(memory: WriterMemory): WriterMemory {
  return memory.hold?.reason === 'ManualScale' ? memory : { ...memory, hold: null, fight: null };
}

function fight(memory: WriterMemory, manager: string, { replicas, nowMs }: SeenReplicas): WriterMemory {
  const before = memory.fight;
  const goesOn = before?.manager === manager && nowMs - before.atMs <= FIGHT_WINDOW_MS;
  const times = goesOn ? before.times + 1 : 1;
  const hold: WriterHold | null =
    times > MAX_FIGHTS
      ? { reason: 'ForeignWriter', manager, replicas, leftMs: null, untilEpochMs: null, sinceMs: nowMs }
      : memory.hold;
  return { ...memory, hold, fight: { manager, times, atMs: nowMs } };
}

function manualHold(manager: string, { replicas, nowMs, nowEpochMs }: SeenReplicas, agoMs: number): WriterHold {
  const leftMs = MANUAL_HOLD_MS - agoMs;
  return { reason: 'ManualScale', manager, replicas, leftMs, sinceMs: nowMs, untilEpochMs: nowEpochMs + leftMs };
}

function isOver(hold: WriterHold | null, nowMs: number): boolean {
  return hold?.leftMs != null && nowMs - hold.sinceMs >= hold.leftMs;
}
