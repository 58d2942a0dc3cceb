import type { Clock } from '../../core/clock.ts';
import { KEY_KEPT_MS, type RequestKeys } from '../../core/idempotency.ts';
import type { StoredOutcome } from '../../core/live-order.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource, PoolKey } from '../../core/objects.ts';
import type { TenantDirectory } from '../../core/tenants.ts';
import { ARRIVAL_TAG } from '../policy/backlog/backlog-tag.ts';
import { type JobEnds, mayBeDead, mayBeOpen, mayCount, noJobEnds, noteJobEnd } from '../policy/backlog/job-ends.ts';
import { storedTicketOf } from '../policy/backlog/stored-ticket.ts';
import { deadEntry } from './dead-letter-note.ts';
import { placeOf } from './job-place.ts';
import type {
  AcceptRecord,
  JobIndex,
  JobLane,
  JobPlace,
  JobStore,
  Lanes,
  ResultRecord,
  ScannedRecord,
  ScanProgress,
} from './ports.ts';

export interface ReconcileDeps {
  readonly store: JobStore;
  readonly index: JobIndex;
  readonly lanes: Lanes;
  readonly catalog: CatalogSource;
  readonly clock: Clock;
  readonly log: Logger;
  readonly retentionMs: number;
  /** Absent = all are equal, without quotas. */
  readonly tenants: TenantDirectory;
  /** Absent = keys of submitters are not kept here. */
  readonly keys?: Pick<RequestKeys, 'restore'>;
}

export type ReconcileStage = 'ends' | 'outcomes' | 'jobs' | 'voids';

export interface ReconcileHooks {
  readonly onProgress?: (stage: ReconcileStage, progress: ScanProgress) => void;
  /** Every outcome in the store is in the ledger: executing jobs is safe again. */
  readonly onOutcomes?: () => void;
  readonly signal?: AbortSignal;
}

export interface ReconcileReport {
  /** Results whose outcome the ledger did not know. */
  readonly settled: number;
  /** Accepted jobs without an outcome, confirmed and in the backlog again. */
  readonly restored: number;
  /** Jobs of pools that are not served here. */
  readonly unserved: number;
}

const BATCH = 500;
/** Far longer than a submitter takes to find out that its job cannot be added, clocks that differ included. */
const SUBMITTING_MS = 600_000;

type Scanned<H> = Omit<ScannedRecord, 'header'> & { readonly header: H };

/**
 * Brings ledger, index and backlog in line with the store, which alone knows what was accepted and what came out.
 * Three or four passes over the headers, in batches, each repeatable and safe beside live traffic:
 *
 * 1. ends: what the exceptions are (voided, gone, orphans, decided without an execution);
 * 2. outcomes: results the ledger does not know are settled, before anything could run again, and what it knows the outcome
 *    of is no demand, also if another release told that; failures are listed as dead letters;
 * 3. jobs: accepted jobs without an outcome are indexed, added and confirmed (the backlog ignores ids it has); those
 *    with one are indexed if they are not; keys of submitters stand for their jobs again;
 * 4. voids, only if a job that was accepted a moment ago was added: its submitter may have taken it back since pass 1.
 *    It takes it out of the backlog after its void record, and this looks for that record after adding it: whoever
 *    comes last removes it.
 *
 * Throws when store or Redis do not answer; what was done stays and the next run goes on from there.
 */
export async function reconcile(deps: ReconcileDeps, hooks: ReconcileHooks = {}): Promise<ReconcileReport> {
  const startedEpochMs = deps.clock.epochMs();
  const ends = noJobEnds();
  for await (const record of scan(deps, hooks, 'ends')) noteJobEnd(ends, record.header);

  let settled = 0;
  for await (const batch of inBatches(results(scan(deps, hooks, 'outcomes'), ends)))
    settled += await settle(deps, batch, ends);
  hooks.onOutcomes?.();

  let restored = 0;
  let unserved = 0;
  const young = new Map<string, Added>();
  for await (const batch of inBatches(accepts(scan(deps, hooks, 'jobs'), ends))) {
    const done = await restore(deps, batch);
    for (const { spec, lane } of done.added) {
      if (spec.acceptedAtEpochMs >= startedEpochMs - SUBMITTING_MS) young.set(spec.id, { spec, lane });
    }
    restored += done.added.length;
    unserved += done.unserved;
  }
  if (young.size > 0) restored -= await takeBackVoided(young, scan(deps, hooks, 'voids'));
  return { settled, restored, unserved };
}

interface Added {
  readonly spec: Pick<AcceptRecord['spec'], 'id' | 'objective' | 'acceptedAtEpochMs'>;
  readonly lane: JobLane;
}

/** Returns how many of the jobs were not accepted after all. */
async function takeBackVoided(
  added: ReadonlyMap<string, Added>,
  records: AsyncIterable<ScannedRecord>,
): Promise<number> {
  let voided = 0;
  for await (const { header } of records) {
    const job = header.kind === 'void' ? added.get(header.jobId) : undefined;
    if (!job) continue;
    await job.lane.backlog.remove(job.spec.id, job.spec.objective);
    await job.lane.ledger.forget(job.spec.id, job.spec.objective);
    voided += 1;
  }
  return voided;
}

function scan({ store }: ReconcileDeps, hooks: ReconcileHooks, stage: ReconcileStage): AsyncIterable<ScannedRecord> {
  return store.scan((progress) => hooks.onProgress?.(stage, progress), hooks.signal);
}

async function settle(deps: ReconcileDeps, batch: readonly Scanned<ResultRecord>[], ends: JobEnds): Promise<number> {
  let settled = 0;
  for (const { lane, records } of byLane(deps, batch, ({ header }) => header.job.pool).served) {
    const known = await lane.ledger.outcomes(records.map(({ header }) => header.jobId));
    const unknown = records.filter((_, place) => !known[place]);
    await Promise.all(
      unknown.map(({ ref, header: { jobId, job, outcome, attempt } }) => {
        // An outcome that was decided without an execution has no answer to fetch.
        const recordRef = attempt === 0 ? null : ref;
        // Whether its end was told before the ledger was lost, nobody knows: it is told again.
        const announced = job.announced === true;
        return lane.ledger.settle(jobId, job.objective, outcome, recordRef, { announced });
      }),
    );
    settled += unknown.length;
    const ended = records.filter((_, place) => known[place]);
    await Promise.all(ended.map(({ header: { jobId, job } }) => lane.ledger.forget(jobId, job.objective)));
    const failed = records.filter(({ header }, place) => (known[place]?.outcome ?? header.outcome).kind === 'failed');
    await listDead(deps, lane, failed, ends);
  }
  return settled;
}

async function listDead(
  { clock, retentionMs }: ReconcileDeps,
  lane: JobLane,
  failed: readonly Scanned<ResultRecord>[],
  ends: JobEnds,
): Promise<void> {
  const oldestEpochMs = clock.epochMs() - retentionMs;
  const dead = failed.filter(
    ({ header }) => header.finishedAtEpochMs >= oldestEpochMs && mayBeDead(ends, header.jobId),
  );
  await lane.dead?.add(dead.map(({ header }) => deadEntry(header)));
}

async function restore(
  deps: ReconcileDeps,
  batch: readonly Scanned<AcceptRecord>[],
): Promise<{ readonly added: readonly Added[]; readonly unserved: number }> {
  const { served, unserved } = byLane(deps, batch, ({ header }) => header.spec.pool);
  await restoreKeys(deps, batch);
  const added: Added[] = [];
  for (const { lane, records } of served) {
    const known = await lane.ledger.outcomes(records.map(({ header }) => header.spec.id));
    const open = records.filter((_, place) => !known[place]);
    await Promise.all(open.map((record) => restoreOne(deps, lane, record)));
    await indexEnded(deps, records, known);
    for (const { header } of open) {
      const { id, objective, acceptedAtEpochMs } = header.spec;
      added.push({ spec: { id, objective, acceptedAtEpochMs }, lane });
    }
  }
  return { added, unserved };
}

/** Of ended jobs too: their keys stand for them as long as for others. */
async function restoreKeys({ keys, clock }: ReconcileDeps, batch: readonly Scanned<AcceptRecord>[]): Promise<void> {
  if (!keys) return;
  const oldestEpochMs = clock.epochMs() - KEY_KEPT_MS;
  const restored = batch.map(async ({ header: { spec } }) => {
    // The key of a job that an operator runs again stands for the first.
    if (!spec.idempotency || spec.retryOf !== undefined || spec.acceptedAtEpochMs <= oldestEpochMs) return;
    await keys.restore({ tenant: spec.tenant, ...spec.idempotency }, spec);
  });
  await Promise.all(restored);
}

/** Also when the ledger knew the outcome: a process that lived through the loss may have told it again by itself. */
async function indexEnded(
  { index, clock, retentionMs }: ReconcileDeps,
  records: readonly Scanned<AcceptRecord>[],
  known: readonly (StoredOutcome | null)[],
): Promise<void> {
  const missing = await index.missing(records.map(({ header }) => header.spec.id));
  const oldestEpochMs = clock.epochMs() - retentionMs;
  const puts = records.map(async (record, place) => {
    const { id } = record.header.spec;
    const leftMs = (known[place]?.atEpochMs ?? 0) - oldestEpochMs;
    if (leftMs > 0 && missing.has(id)) await index.put(id, indexed(record), leftMs);
  });
  await Promise.all(puts);
}

function indexed({ ref, header, bodyBytes }: Scanned<AcceptRecord>): JobPlace {
  return placeOf(header.spec, ref, bodyBytes);
}

async function restoreOne(
  { index, catalog, tenants }: ReconcileDeps,
  lane: JobLane,
  record: Scanned<AcceptRecord>,
): Promise<void> {
  const { id, objective, tenant } = record.header.spec;
  const ticket = storedTicketOf(record.header.spec, record.bodyBytes, catalog.current(), tenants);
  if (!ticket) return;
  await index.put(id, indexed(record));
  // Before it can run: an end is announced only if the ledger knew so by then.
  await lane.ledger.confirm(ticket);
  const { costTokens } = ticket;
  const { weight } = tenants.termsOf(tenant);
  const turn = (await lane.tags?.turn({ id, objective, tenant, costTokens, weight })) ?? { tag: ARRIVAL_TAG };
  const item = { id, objective, ...turn, acceptRef: record.ref, costTokens };
  const added = await lane.backlog.add(item);
  if (added.kind !== 'added') throw new Error(`job ${id} was not added to the backlog: ${added.why}`);
}

interface ByLane<R> {
  readonly served: readonly { readonly lane: JobLane; readonly records: readonly R[] }[];
  readonly unserved: number;
}

function byLane<R>({ lanes }: ReconcileDeps, batch: readonly R[], poolOf: (record: R) => PoolKey): ByLane<R> {
  const served: { lane: JobLane; records: R[] }[] = [];
  let unserved = 0;
  for (const [pool, records] of Map.groupBy(batch, poolOf)) {
    const lane = lanes(pool);
    if (lane) served.push({ lane, records });
    else unserved += records.length;
  }
  return { served, unserved };
}

async function* results(records: AsyncIterable<ScannedRecord>, ends: JobEnds): AsyncGenerator<Scanned<ResultRecord>> {
  for await (const { ref, header, bodyBytes } of records) {
    if (header.kind !== 'result') continue;
    if (mayCount(ends, { jobId: header.jobId, attempt: header.attempt, ref })) yield { ref, header, bodyBytes };
  }
}

async function* accepts(records: AsyncIterable<ScannedRecord>, ends: JobEnds): AsyncGenerator<Scanned<AcceptRecord>> {
  for await (const { ref, header, bodyBytes } of records) {
    if (header.kind === 'accept' && mayBeOpen(ends, header.spec.id)) yield { ref, header, bodyBytes };
  }
}

async function* inBatches<T>(items: AsyncIterable<T>): AsyncGenerator<readonly T[]> {
  let batch: T[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < BATCH) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
