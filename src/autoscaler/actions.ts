import { asError } from '../core/errors.ts';
import type { LedgerSnapshot, SlotLedger } from '../core/live-order.ts';
import type { Logger } from '../core/logger.ts';
import type { PoolSpec } from '../core/objects.ts';
import type { AutoscalerMetrics } from './metrics.ts';
import type { Decision } from './policy/decision.ts';
import { plan } from './policy/plan.ts';
import { isBooting } from './policy/pod-order.ts';
import type { Snapshot } from './policy/snapshot.ts';
import type { TargetReplica } from './policy/target-replica.ts';
import type { ScaleTargetPort } from './ports.ts';

/** Intake opens for the slots of a boot when it should end within this time. */
const SOON_MS = 30_000;

export interface ActionDeps {
  readonly log: Logger;
  readonly ledger: SlotLedger;
  readonly target: ScaleTargetPort;
  readonly metrics: AutoscalerMetrics;
}

/** Everything one step acts on. */
export interface Step {
  readonly pool: PoolSpec;
  readonly decision: Decision;
  readonly snapshot: Snapshot;
  readonly ledger: LedgerSnapshot;
  readonly replicas: readonly TargetReplica[];
}

/**
 * Carries a decision out. Capacity comes first: nothing that ends replicas may delay a wake. Each part is tried on its
 * own, and what failed is planned again by the next look. Returns whether anything was done.
 */
export async function act(deps: ActionDeps, step: Step): Promise<boolean> {
  const todo = plan(step.decision, step.snapshot);
  const attempt = (what: string, work: () => Promise<void>): Promise<void> => attemptOne(deps, step, what, work);
  await attempt('start', () => startReplicas(deps, step, todo.start));
  await attempt('undrain', () => undrain(deps, step, todo.undrain));
  await attempt('drain', () => drain(deps, step, todo.drain));
  await attempt('stop', () => stop(deps, step, todo.stop));
  let done = todo.start.size + todo.undrain.length + todo.drain.length + todo.stop.length > 0;
  await attempt('close', async () => {
    if (step.decision.toZero && (await closePool(deps, step))) done = true;
  });
  await attempt('soon', () => deps.ledger.setSoonSlots(soonSlots(step)));
  return done;
}

async function attemptOne(deps: ActionDeps, { pool }: Step, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    deps.log.warn({ pool: pool.key, action: what, error: asError(thrown).message }, 'autoscaler.action_failed');
  }
}

async function startReplicas(deps: ActionDeps, { pool }: Step, start: ReadonlyMap<string, number>): Promise<void> {
  for (const target of pool.targets) {
    const count = start.get(target.name) ?? 0;
    if (count > 0) await deps.target.start({ pool, target, count });
  }
}

async function undrain(deps: ActionDeps, { pool, replicas }: Step, uids: readonly string[]): Promise<void> {
  if (uids.length > 0) await deps.target.undrain(pool.key, uids);
  for (const uid of uids) await setGates(deps, replicas, uid, 'open');
}

/** Marks new victims, and shuts the gate of any draining replica whose endpoint the ledger still has open. */
async function drain(deps: ActionDeps, { pool, replicas, snapshot }: Step, uids: readonly string[]): Promise<void> {
  if (uids.length > 0) await deps.target.drain(pool.key, uids);
  for (const uid of uids) await setGates(deps, replicas, uid, 'draining');
  const reopened = snapshot.replicas.filter(({ phase, gate }) => phase === 'Draining' && gate === 'open');
  for (const { uid } of reopened) await setGates(deps, replicas, uid, 'draining');
}

async function setGates(
  deps: ActionDeps,
  replicas: readonly TargetReplica[],
  uid: string,
  gate: 'open' | 'draining',
): Promise<void> {
  const endpointIds = replicas.find((replica) => replica.uid === uid)?.endpointIds ?? [];
  for (const endpointId of endpointIds) await deps.ledger.setGate(endpointId, gate);
}

async function stop(deps: ActionDeps, { pool, snapshot }: Step, uids: readonly string[]): Promise<void> {
  if (uids.length === 0) return;
  for (const uid of await deps.target.stop(pool.key, uids)) {
    const replica = snapshot.replicas.find((candidate) => candidate.uid === uid);
    if (replica?.phase === 'Draining') {
      deps.metrics.drainDurationSeconds.observe({ pool: pool.key }, replica.inPhaseMs / 1_000);
      if (replica.usedSlots > 0) deps.metrics.drainsForcedTotal.inc({ pool: pool.key });
    }
  }
}

/** 1→0: the ledger closes the pool in one step unless anything came in since the snapshot; only then replicas end. */
async function closePool(deps: ActionDeps, { pool, ledger, replicas }: Step): Promise<boolean> {
  if (!(await deps.ledger.closeIfIdle(ledger.activityEpoch))) return false;
  await deps.target.stop(
    pool.key,
    replicas.map(({ uid }) => uid),
  );
  return true;
}

function soonSlots({ snapshot }: Step): number {
  const slots = new Map(snapshot.targets.map((target) => [target.name, target.slots]));
  return snapshot.replicas
    .filter((replica) => isBooting(replica) && (replica.remaining?.p50Ms ?? 0) <= SOON_MS)
    .reduce((sum, { target }) => sum + (slots.get(target) ?? 0), 0);
}
