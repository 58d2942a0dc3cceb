import { asError } from '../core/errors.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolSpec } from '../core/objects.ts';
import type { IdleProof } from './idle-proof.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import type { Decision } from './policy/decision.ts';
import { isBlocked } from './policy/holds.ts';
import { plan } from './policy/plan.ts';
import { isBooting } from './policy/pod-order.ts';
import type { ReplicaView, Snapshot } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';
import type { ScaleTargetPort } from './ports.ts';

/** Intake opens for the slots of a boot when it should end within this time. */
const SOON_MS = 30_000;

export interface ActionDeps {
  readonly log: Logger;
  readonly ledger: SlotLedger;
  readonly target: ScaleTargetPort;
  readonly metrics: AutoscalerMetrics;
  readonly proof: IdleProof;
  /** Once it aborts nothing is written any more. */
  readonly signal: AbortSignal;
}

/** Everything one step acts on. */
export interface Step {
  readonly pool: PoolSpec;
  readonly decision: Decision;
  readonly snapshot: Snapshot;
  readonly ledger: LedgerSnapshot;
  readonly replicas: readonly TargetReplica[];
}

export interface Acted {
  /** Whether anything was done. */
  readonly done: boolean;
  /** Requests past Pilotlight that replicas were found to run; 0 = none, null = none was asked, or not all have answered. */
  readonly bypassRequests: number | null;
  /** They keep the whole pool from going to zero. */
  readonly keepsUp: boolean;
}

/**
 * Carries a decision out. Capacity comes first: nothing that ends replicas may delay a wake. Each part is tried on its
 * own, and what failed is planned again by the next look. A ready replica is ended only when its engine, asked itself,
 * runs nothing; what it runs past us is given the drain timeout too.
 */
export async function act(deps: ActionDeps, step: Step): Promise<Acted> {
  const todo = plan(step.decision, step.snapshot);
  const attempt = (what: string, work: () => Promise<void>): Promise<void> => attemptOne(deps, step, what, work);
  await attempt('start', () => startReplicas(deps, step, todo.start));
  await attempt('undrain', () => undrain(deps, step, todo.undrain));
  await attempt('drain', () => drain(deps, step, todo.drain));
  const { ready, bypassRequests } = proven(deps, step, todo.stop);
  await attempt('stop', () => stop(deps, step, ready));
  let acted: Acted = {
    done: todo.start.size + todo.undrain.length + todo.drain.length + ready.length > 0,
    bypassRequests,
    keepsUp: false,
  };
  await attempt('close', async () => {
    if (step.decision.toZero) acted = await closePool(deps, step);
  });
  await attempt('soon', () => deps.ledger.setSoonSlots(soonSlots(step)));
  return acted;
}

async function attemptOne(
  { log, signal }: ActionDeps,
  { pool }: Step,
  what: string,
  work: () => Promise<void>,
): Promise<void> {
  if (signal.aborted) return;
  try {
    await work();
  } catch (thrown) {
    log.warn({ pool: pool.key, action: what, error: asError(thrown).message }, 'autoscaler.action_failed');
  }
}

async function startReplicas(
  { target: port, signal }: ActionDeps,
  { pool }: Step,
  start: ReadonlyMap<string, number>,
): Promise<void> {
  for (const target of pool.targets) {
    const count = start.get(target.name) ?? 0;
    if (count > 0 && !signal.aborted) await port.start({ pool, target, count });
  }
}

/** Takes back, and opens the gate of any ready replica that it was shut for by a drain or a close that did not last. */
async function undrain(deps: ActionDeps, step: Step, uids: readonly string[]): Promise<void> {
  if (uids.length > 0) await deps.target.undrain(step.pool.key, uids);
  for (const uid of uids) await setGates(deps, step.replicas, uid, 'open');
  if (step.decision.toZero) return;
  for (const { uid } of step.snapshot.replicas.filter(isShutOut)) await setGates(deps, step.replicas, uid, 'open');
}

function isShutOut({ phase, terminating, gate }: ReplicaView): boolean {
  return phase === 'Ready' && !terminating && gate !== null && gate !== 'open';
}

/** Marks new victims, and shuts the gate of any draining replica whose endpoint the ledger still has open. */
async function drain(deps: ActionDeps, { pool, replicas, snapshot }: Step, uids: readonly string[]): Promise<void> {
  if (uids.length > 0) await deps.target.drain(pool.key, uids);
  for (const uid of uids) await setGates(deps, replicas, uid, 'draining');
  const reopened = snapshot.replicas.filter(({ phase, gate }) => phase === 'Draining' && gate === 'open');
  for (const { uid } of reopened) await setGates(deps, replicas, uid, 'draining');
}

async function setGates(
  { ledger, signal }: ActionDeps,
  replicas: readonly TargetReplica[],
  uid: string,
  gate: 'open' | 'draining',
): Promise<void> {
  const endpointIds = replicas.find((replica) => replica.uid === uid)?.endpointIds ?? [];
  for (const endpointId of endpointIds) if (!signal.aborted) await ledger.setGate(endpointId, gate);
}

/** Those that may be ended now: whatever was never ready, what has no time left, and what its engine says is idle. */
function proven(
  { proof }: ActionDeps,
  { snapshot, replicas }: Step,
  uids: readonly string[],
): { readonly ready: readonly string[]; readonly bypassRequests: number | null } {
  let found: number | null = null;
  const ready = uids.filter((uid) => {
    const view = snapshot.replicas.find((replica) => replica.uid === uid);
    if (view?.phase !== 'Draining' || view.inPhaseMs >= snapshot.scale.drainTimeoutMs) return true;
    const verdict = proof.verdict(replicas.filter((replica) => replica.uid === uid));
    if (verdict.kind === 'asking') return false;
    found = (found ?? 0) + (verdict.kind === 'busy' ? verdict.requests : 0);
    return verdict.kind === 'idle';
  });
  return { ready, bypassRequests: found };
}

async function stop(deps: ActionDeps, { pool, snapshot }: Step, uids: readonly string[]): Promise<void> {
  if (uids.length === 0) return;
  for (const uid of await deps.target.stop(pool.key, uids)) {
    const replica = snapshot.replicas.find((candidate) => candidate.uid === uid);
    if (replica?.phase === 'Draining') {
      deps.metrics.drainDurationSeconds.observe({ pool: pool.key }, replica.inPhaseMs / 1_000);
      const isOver = replica.inPhaseMs >= snapshot.scale.drainTimeoutMs;
      if (replica.usedSlots > 0 || (isOver && snapshot.bypass !== null))
        deps.metrics.drainsForcedTotal.inc({ pool: pool.key });
    }
  }
}

/** 1→0: the ledger closes the pool in one step unless anything came in since the snapshot; only then replicas end. */
async function closePool(deps: ActionDeps, { pool, ledger, replicas }: Step): Promise<Acted> {
  const verdict = deps.proof.verdict(replicas.filter(({ terminating }) => !terminating));
  if (verdict.kind === 'asking') return { done: false, bypassRequests: null, keepsUp: false };
  if (verdict.kind === 'busy') return { done: false, bypassRequests: verdict.requests, keepsUp: true };
  const nothing: Acted = { done: false, bypassRequests: 0, keepsUp: false };
  if (!(await deps.ledger.closeIfIdle(ledger.activityEpoch)) || deps.signal.aborted) return nothing;
  await deps.target.stop(
    pool.key,
    replicas.map(({ uid }) => uid),
  );
  return { ...nothing, done: true };
}

function soonSlots({ snapshot }: Step): number {
  const known = new Map(snapshot.targets.map((target) => [target.name, target]));
  return snapshot.replicas
    .filter((replica) => isBooting(replica) && !isBlocked(replica, known.get(replica.target)))
    .filter(({ remaining }) => (remaining?.p50Ms ?? 0) <= SOON_MS)
    .reduce((sum, { target }) => sum + (known.get(target)?.slots ?? 0), 0);
}
