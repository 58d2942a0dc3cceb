import type { WaitAdvisor } from '../../core/dispatch.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import { FlowError } from '../../core/flow-outcomes.ts';
import type { JobSpec, SubmitAnswer, SubmitOptions } from '../../core/jobs.ts';
import type { Reservation, StoredTicket } from '../../core/live-order.ts';
import type { Logger } from '../../core/logger.ts';
import type { CatalogSource } from '../../core/objects.ts';
import type { TenantDirectory } from '../../core/tenants.ts';
import { ARRIVAL_TAG } from '../policy/backlog/backlog-tag.ts';
import { unfinishedView } from '../policy/backlog/job-view.ts';
import { isJobId, storedTicketOf } from '../policy/backlog/stored-ticket.ts';
import { placeOf } from './job-place.ts';
import type { JobIndex, JobLane, JobStore, Lanes, RecordRef } from './ports.ts';

export interface SubmitDeps {
  readonly store: JobStore;
  readonly index: JobIndex;
  readonly lanes: Lanes;
  readonly catalog: CatalogSource;
  readonly advisor: Pick<WaitAdvisor, 'retryAfterMs'>;
  readonly log: Logger;
  /** Absent = all are equal, without quotas. */
  readonly tenants: TenantDirectory;
}

/** Room is kept this long for an accept that is under way: its sync and its add end well before. */
const RESERVATION_TTL_MS = 60_000;

/**
 * Accepts one job. What a crash between two steps leaves:
 *
 * | after                           | left behind                         | repaired by             |
 * | ------------------------------- | ----------------------------------- | ----------------------- |
 * | reserve                         | room held                           | the reservation's TTL   |
 * | accept record synced            | a job nobody was promised           | reconcile: it runs      |
 * | some of index, backlog, confirm | the same, known to a part of Redis  | reconcile does the rest |
 * | all of them                     | accepted, its caller saw no answer  | nothing to repair       |
 *
 * What is submitted again under its id (`isRepeated`) leaves the same behind when a step fails: taking back could hit the
 * job that is there already.
 */
export async function submitJob(
  deps: SubmitDeps,
  spec: JobSpec,
  body: Uint8Array,
  { isRepeated = false }: SubmitOptions = {},
): Promise<SubmitAnswer> {
  if (!isJobId(spec.id)) return rejected(new PilotlightError('internal_error', `"${spec.id}" cannot be a job's id.`));
  const lane = deps.lanes(spec.pool);
  const ticket = storedTicketOf(spec, body.byteLength, deps.catalog.current(), deps.tenants);
  if (!lane || !ticket) return rejected(new PilotlightError('no_capacity', `Pool ${spec.pool} is not served here.`));
  try {
    const reservation = await lane.ledger.reserve(ticket, RESERVATION_TTL_MS);
    if (reservation.kind === 'rejected') return rejected(refusal(deps, spec, reservation));
    return await acceptReserved(deps, lane, { spec, body, ticket, isRepeated });
  } catch (error) {
    if (error instanceof PilotlightError) return rejected(error);
    return rejected(queueUnavailable('Redis does not answer', error));
  }
}

interface Submission {
  readonly spec: JobSpec;
  readonly body: Uint8Array;
  readonly ticket: StoredTicket;
  readonly isRepeated: boolean;
}

async function acceptReserved(deps: SubmitDeps, lane: JobLane, submission: Submission): Promise<SubmitAnswer> {
  const { spec, body, ticket, isRepeated } = submission;
  const turning = turnOf(deps, lane, spec, ticket.costTokens);
  let acceptRef: RecordRef;
  try {
    acceptRef = await deps.store.append({ kind: 'accept', spec }, body);
  } catch (error) {
    if (!isRepeated) await forget(lane, spec);
    throw error;
  }
  const place = placeOf(spec, acceptRef, body.byteLength);
  const { costTokens } = ticket;
  const giveUp = (why: string): Promise<SubmitAnswer> | SubmitAnswer =>
    isRepeated ? rejected(queueUnavailable(why)) : takeBack(deps, lane, spec, { acceptRef, why });
  const turn = await turning;
  if ('why' in turn) return giveUp(turn.why);
  const item = { id: spec.id, objective: spec.objective, ...turn, acceptRef, costTokens };
  // The ledger has to know that its end is announced before it can end.
  const announced = spec.announce ? await succeeds(lane.ledger.confirm(ticket)) : null;
  if (announced?.ok === false) return giveUp(announced.why);
  // Sent together; only the answer about the backlog decides.
  const [indexed, added, confirmed] = await Promise.all([
    succeeds(deps.index.put(spec.id, place)),
    lane.backlog.add(item),
    announced ?? succeeds(lane.ledger.confirm(ticket)),
  ]);
  if (added.kind === 'refused') return giveUp(added.why);
  if (added.kind === 'unknown') return acceptUnknown(deps, spec, added.why);
  if (!indexed.ok) return acceptUnknown(deps, spec, indexed.why);
  // It runs all the same; only its demand may end with the reservation, until a reconcile.
  if (!confirmed.ok) deps.log.warn({ jobId: spec.id, problem: confirmed.why }, 'job.confirm_failed');
  return { kind: 'accepted', view: unfinishedView(spec, { isRunning: false }) };
}

/** Asked for while the accept record is synced. */
async function turnOf(
  { tenants }: SubmitDeps,
  lane: JobLane,
  { id, objective, tenant }: JobSpec,
  costTokens: number,
): Promise<{ readonly tag: number; readonly start?: number } | { readonly why: string }> {
  if (!lane.tags) return { tag: ARRIVAL_TAG };
  try {
    return await lane.tags.turn({ id, objective, tenant, costTokens, weight: tenants.termsOf(tenant).weight });
  } catch (error) {
    return { why: asError(error).message };
  }
}

async function succeeds(step: Promise<void>): Promise<{ ok: true } | { ok: false; why: string }> {
  try {
    await step;
    return { ok: true };
  } catch (error) {
    return { ok: false, why: asError(error).message };
  }
}

/** The job is certainly not in the backlog: a synced void record first, then the refusal. */
async function takeBack(
  deps: SubmitDeps,
  lane: JobLane,
  spec: JobSpec,
  { acceptRef, why }: { acceptRef: RecordRef; why: string },
): Promise<SubmitAnswer> {
  try {
    await deps.store.append({ kind: 'void', jobId: spec.id, acceptRef });
  } catch {
    return acceptUnknown(deps, spec, `${why}; and the file store could not take it back`);
  }
  // A reconcile may have added it between the accept record and the void one.
  await lane.backlog.remove(spec.id, spec.objective);
  await forget(lane, spec);
  return rejected(queueUnavailable(why));
}

function acceptUnknown(deps: SubmitDeps, spec: JobSpec, why: string): SubmitAnswer {
  deps.log.warn({ jobId: spec.id, problem: why }, 'job.accept_unknown');
  return rejected(
    new PilotlightError(
      'accept_unknown',
      `Job ${spec.id} may have been accepted: Redis was lost while it was added. Ask for /v1/jobs/${spec.id} before sending it again.`,
      { retryAfterMs: 2_000 },
    ),
  );
}

async function forget(lane: JobLane, spec: JobSpec): Promise<void> {
  // Else the reservation ends by its TTL.
  await lane.ledger.forget(spec.id, spec.objective).catch(() => undefined);
}

function refusal(
  deps: SubmitDeps,
  { pool, objective }: JobSpec,
  { reason, usedPercent, limit }: Extract<Reservation, { kind: 'rejected' }>,
): PilotlightError {
  const details = { retryAfterMs: deps.advisor.retryAfterMs(pool, objective) };
  const used = `${Math.floor(usedPercent)}% of ${limit}`;
  if (limit.startsWith('tenant')) {
    const text = `Your tenant has as many requests in pool ${pool} as it may: ${used} used.`;
    return new FlowError('rejected_tenant_full', text, details);
  }
  switch (reason) {
    case 'queue_full': {
      const flow = limit.startsWith('objective') ? 'rejected_objective_full' : 'rejected_pool_full';
      return new FlowError(flow, `Pool ${pool} takes no more jobs of "${objective}": ${used} used.`, details);
    }
    case 'queue_shed':
      return new FlowError(
        'rejected_shed',
        `Jobs of "${objective}" are shed while pool ${pool} is this full: ${used} used.`,
        details,
      );
    case 'paused':
      return new FlowError('rejected_paused', `Pool ${pool} is paused and takes no work.`, details);
  }
}

function queueUnavailable(why: string, cause?: unknown): PilotlightError {
  return new PilotlightError('queue_unavailable', `The job was not accepted: the backlog cannot be reached (${why}).`, {
    retryAfterMs: 2_000,
    ...(cause === undefined ? {} : { cause }),
  });
}

function rejected(error: PilotlightError): SubmitAnswer {
  return { kind: 'rejected', error };
}
