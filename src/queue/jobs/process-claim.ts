import type { Clock } from '../../core/clock.ts';
import { asError, errorEnvelope, PilotlightError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/jobs.ts';
import type { Logger } from '../../core/logger.ts';
import type { Claim, ClaimVerdict } from '../backlog/ports.ts';
import { decideClaim, handBackDelayMs, MAX_CRASHES } from '../policy/backlog/claim.ts';
import { EXPIRED, failedOutcome } from '../policy/backlog/job-view.ts';
import { decideOutcome } from './decided-outcome.ts';
import { noteDeadLetter } from './dead-letter-note.ts';
import type { JobMeter } from './job-meter.ts';
import { placeOf } from './job-place.ts';
import type { Execute, ExecutionVerdict, JobIndex, JobLane, JobPlace, JobStore, ResultRecord } from './ports.ts';
import type { RunningJobs } from './running-jobs.ts';
import type { Settlements } from './settlements.ts';

export interface ProcessDeps {
  readonly store: JobStore;
  readonly index: JobIndex;
  readonly running: RunningJobs;
  readonly settlements: Settlements;
  readonly execute: Execute;
  readonly clock: Clock;
  readonly log: Logger;
  readonly meter: JobMeter;
}

/** Another process has the ticket: look again after its heartbeat would have run out. */
const ELSEWHERE_DELAY_MS = 2_000;

interface ClaimContext {
  readonly lane: JobLane;
  readonly isIntakeOpen: () => boolean;
}

const FINISHED: ClaimVerdict = { kind: 'finished' };

/**
 * What becomes of one claimed job.
 *
 * | found                                   | done                                                      |
 * | --------------------------------------- | --------------------------------------------------------- |
 * | intake closed meanwhile                 | returned                                                  |
 * | three crashes                           | outcome `attempts_exhausted`, finished                    |
 * | no readable accept record               | outcome `internal_error`, finished                        |
 * | an entry made by hand, of no known job  | finished                                                  |
 * | executed, or outcome already there      | finished                                                  |
 * | runs in another process                 | delayed, looked at again                                  |
 * | handed back, store or Redis away, defect | returned when the intake is closed, else delayed          |
 * | its tenant is over its rate             | the same, delayed until it may run                        |
 *
 * Never throws and never loses a job: what it cannot decide goes back.
 */
export async function processClaim(deps: ProcessDeps, context: ClaimContext, claim: Claim): Promise<ClaimVerdict> {
  const decision = decideClaim({
    crashes: claim.crashes,
    suspectsRunning: deps.running.suspects,
    isIntakeOpen: context.isIntakeOpen(),
  });
  if (decision.kind === 'return') return { kind: 'returned' };
  if (decision.kind === 'delay') return { kind: 'delayed', delayMs: decision.delayMs };
  if (claim.start !== undefined) context.lane.tags?.opened(claim.objective, claim.start);
  const key = {
    id: claim.id,
    pool: context.lane.ledger.pool,
    objective: claim.objective,
    isSuspect: decision.kind === 'run' && decision.isSuspect,
  };
  return deps.running.run(key, async (stop, onSlot) => {
    try {
      if (decision.kind === 'quarantine') return await quarantine(deps, context.lane, claim);
      return await execute(deps, context, claim, { stop, onSlot });
    } catch (error) {
      const known = error instanceof PilotlightError ? error.code : 'internal_error';
      if (known === 'internal_error') deps.log.error({ jobId: claim.id, ...defectOf(error) }, 'job.processing_failed');
      return handBack(deps, context, claim, known);
    }
  });
}

async function execute(
  deps: ProcessDeps,
  context: ClaimContext,
  claim: Claim,
  { stop, onSlot }: { stop: AbortController; onSlot: () => void },
): Promise<ClaimVerdict> {
  const accepted = await acceptedAs(deps, claim);
  if (accepted.kind === 'never') {
    deps.log.warn({ jobId: claim.id }, 'job.never_accepted');
    return FINISHED;
  }
  if (accepted.kind === 'lost') {
    deps.log.error({ jobId: claim.id, why: accepted.why }, 'job.accept_record_lost');
    return endUnrun(deps, context.lane, claim, 'internal_error', 'The accepted request is damaged in the file store.');
  }
  const { spec, record, acceptRef } = accepted;
  const place = placeOf(spec, acceptRef, record.body.byteLength);
  const abort = (reason: Error): void => stop.abort(reason);
  const run = { spec, body: record.body, attempt: claim.claims, place, onSlot, abort };
  return conclude(deps, context, claim, place, await deps.execute(run, stop.signal));
}

type Accepted =
  | {
      readonly kind: 'found';
      readonly spec: JobSpec;
      readonly acceptRef: string;
      readonly record: { readonly body: Uint8Array };
    }
  | { readonly kind: 'lost'; readonly why: string }
  /** As far as anybody knows no request was accepted under this id: somebody added the entry to the queue by hand. */
  | { readonly kind: 'never' };

/**
 * The accepted request of a claimed entry. Tools that edit queues can copy an entry, or change what it points to: then the
 * index knows where the request is. An entry that points nowhere, of a job that the index does not know, is dropped: if it
 * was accepted, a reconcile brings it back.
 */
async function acceptedAs({ store, index }: ProcessDeps, claim: Claim): Promise<Accepted> {
  const pointed = await readAccept(store, claim.id, claim.acceptRef);
  if (pointed.kind === 'found') return pointed;
  const place = await index.get(claim.id);
  if (place && place.acceptRef !== claim.acceptRef) return readAccept(store, claim.id, place.acceptRef);
  return place === null && pointed.isForeign ? { kind: 'never' } : pointed;
}

type Pointed = Extract<Accepted, { kind: 'found' }> | (Extract<Accepted, { kind: 'lost' }> & { isForeign: boolean });

async function readAccept(store: JobStore, id: string, acceptRef: string): Promise<Pointed> {
  if (acceptRef === '') return { kind: 'lost', why: 'its entry is damaged', isForeign: true };
  const record = await store.read(acceptRef);
  if (record.kind !== 'found' || record.header.kind !== 'accept') {
    return { kind: 'lost', why: record.kind === 'corrupt' ? record.why : 'it is gone', isForeign: false };
  }
  const { spec } = record.header;
  if (spec.id !== id) return { kind: 'lost', why: `its entry points to job ${spec.id}`, isForeign: true };
  return { kind: 'found', spec, acceptRef, record };
}

async function conclude(
  deps: ProcessDeps,
  context: ClaimContext,
  claim: Claim,
  place: JobPlace,
  verdict: ExecutionVerdict,
): Promise<ClaimVerdict> {
  switch (verdict.kind) {
    case 'settled':
      deps.settlements.ended(claim.id);
      deps.meter.ended(context.lane.ledger.pool, verdict.outcome.kind);
      return FINISHED;
    case 'decided': {
      const job = { id: claim.id, objective: claim.objective, place };
      await decideOutcome(deps, context.lane, job, verdict.outcome.kind === 'expired' ? EXPIRED : verdict.outcome);
      return FINISHED;
    }
    case 'superseded':
      if (verdict.outcome) {
        deps.settlements.ended(claim.id);
        return FINISHED;
      }
      return { kind: 'delayed', delayMs: ELSEWHERE_DELAY_MS };
    case 'handed_back':
      return handBack(deps, context, claim, verdict.reason, verdict.delayMs);
  }
}

function handBack(
  deps: ProcessDeps,
  context: ClaimContext,
  claim: Claim,
  reason: string,
  delayMs = handBackDelayMs(claim.claims),
): ClaimVerdict {
  deps.meter.handedBack(context.lane.ledger.pool, reason);
  deps.log.debug({ jobId: claim.id, reason }, 'job.handed_back');
  // An open intake would claim it again at once, hundreds of times a second.
  return context.isIntakeOpen() ? { kind: 'delayed', delayMs } : { kind: 'returned' };
}

function quarantine(deps: ProcessDeps, lane: JobLane, claim: Claim): Promise<ClaimVerdict> {
  deps.log.warn({ jobId: claim.id, crashes: claim.crashes }, 'job.quarantined');
  const message = `Job ${claim.id} was given up: ${MAX_CRASHES} processes ended while they held it.`;
  return endUnrun(deps, lane, claim, 'attempts_exhausted', message);
}

/** Result record first, then the compare-and-set, as after an execution. */
async function endUnrun(
  deps: ProcessDeps,
  lane: JobLane,
  claim: Claim,
  code: 'attempts_exhausted' | 'internal_error',
  message: string,
): Promise<ClaimVerdict> {
  const [known] = await lane.ledger.outcomes([claim.id]);
  if (!known) {
    const outcome = failedOutcome(code, claim.claims);
    const place = await deps.index.get(claim.id);
    const ref =
      place && (await recordEnd(deps, lane, claim, { outcome, place, error: new PilotlightError(code, message) }));
    const announced = place?.announced === true;
    const answer = await lane.ledger.settle(claim.id, claim.objective, outcome, ref, { announced });
    if (answer.kind === 'settled') deps.meter.ended(lane.ledger.pool, outcome.kind);
  }
  deps.settlements.ended(claim.id);
  return FINISHED;
}

interface UnrunEnd {
  readonly outcome: ReturnType<typeof failedOutcome>;
  readonly place: JobPlace;
  readonly error: PilotlightError;
}

async function recordEnd(
  deps: ProcessDeps,
  lane: JobLane,
  claim: Claim,
  { outcome, place, error }: UnrunEnd,
): Promise<string> {
  const header: ResultRecord = {
    kind: 'result',
    jobId: claim.id,
    attempt: claim.claims,
    outcome,
    contentType: 'application/json',
    finishedAtEpochMs: deps.clock.epochMs(),
    job: place,
  };
  const ref = await deps.store.append(header, Buffer.from(JSON.stringify(errorEnvelope(error))));
  await noteDeadLetter(lane, header, deps.log);
  return ref;
}

/** Without the message: that of a parser quotes the request. */
function defectOf(thrown: unknown): { error: string; at: string[] } {
  const { name, stack = '' } = asError(thrown);
  return { error: name, at: stack.split('\n').filter((line) => line.startsWith('    at ')) };
}
