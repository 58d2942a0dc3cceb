import type { Clock } from '../../core/clock.ts';
import { PilotlightError } from '../../core/errors.ts';
import type {
  CancelAnswer,
  JobResult,
  JobService,
  JobSpec,
  JobView,
  SubmitAnswer,
  SubmitOptions,
} from '../../core/jobs.ts';
import type { StoredOutcome } from '../../core/live-order.ts';
import { CANCELLED, finishedView, unfinishedView } from '../policy/backlog/job-view.ts';
import { retryIdOf } from '../policy/backlog/dead-letter.ts';
import { isJobId } from '../policy/backlog/stored-ticket.ts';
import { decideOutcome } from './decided-outcome.ts';
import type { JobMeter } from './job-meter.ts';
import type { JobHints, JobLane, JobPlace, Lanes } from './ports.ts';
import { reached } from './reached.ts';
import type { RunningJobs } from './running-jobs.ts';
import type { Settlements } from './settlements.ts';
import { type SubmitDeps, submitJob } from './submit-job.ts';

export interface StoredJobsDeps extends SubmitDeps {
  /** Also of pools that are served no more. */
  readonly lanesEver: Lanes;
  readonly running: RunningJobs;
  readonly settlements: Settlements;
  readonly hints: JobHints;
  readonly clock: Clock;
  readonly meter: JobMeter;
  readonly retentionMs: number;
  /** While the index is being rebuilt, an id it does not know may still exist. */
  readonly isReconciling: () => boolean;
}

/** Poll of a waiting caller, for outcomes of other processes whose hint was lost. */
const WAIT_POLL_MS = 1_000;

interface Found {
  readonly place: JobPlace;
  readonly lane: JobLane;
}

/** A pool that is not there now: objects come back rarely sooner. */
const NO_POOL_RETRY_MS = 30_000;

/**
 * The jobs of one installation. Every method but `submit` throws `queue_unavailable` when Redis does not answer, and
 * `no_capacity` for a job whose pool is not there.
 */
export class StoredJobs implements JobService {
  readonly #deps: StoredJobsDeps;

  constructor(deps: StoredJobsDeps) {
    this.#deps = deps;
  }

  async submit(spec: JobSpec, body: Uint8Array, options: SubmitOptions = {}): Promise<SubmitAnswer> {
    const answer = await submitJob(this.#deps, spec, body, options);
    this.#deps.meter.submitted(spec.pool, answer.kind === 'accepted' ? 'accepted' : answer.error.code);
    return answer;
  }

  async get(id: string, tenant: string): Promise<JobView | null> {
    const found = await this.#find(id, tenant);
    return found ? this.#view(id, found) : null;
  }

  async result(id: string, tenant: string): Promise<JobResult | null> {
    const found = await this.#find(id, tenant);
    if (!found) return null;
    const recordRef = (await outcomeOf(found.lane, id))?.recordRef;
    if (!recordRef) return null;
    const record = await this.#deps.store.read(recordRef);
    if (record.kind === 'gone') return null;
    if (record.kind === 'corrupt' || record.header.kind !== 'result') {
      throw new PilotlightError('internal_error', `The result of job ${id} is damaged in the file store.`);
    }
    const { outcome, contentType } = record.header;
    return { httpStatus: outcome.httpStatus, contentType, body: record.body };
  }

  async request(id: string, tenant: string): Promise<Uint8Array | null> {
    const found = await this.#find(id, tenant);
    const record = found && (await this.#deps.store.read(found.place.acceptRef));
    if (!record || record.kind === 'gone') return null;
    if (record.kind === 'corrupt') {
      throw new PilotlightError('internal_error', `The request of job ${id} is damaged in the file store.`);
    }
    return record.body;
  }

  async delete(id: string, tenant: string): Promise<boolean> {
    const { index, store } = this.#deps;
    const found = await this.#find(id, tenant);
    if (!found || (await this.cancel(id, tenant)).kind === 'unknown') return false;
    // The store first: it alone would bring the job back.
    await store.append({ kind: 'void', jobId: id, acceptRef: found.place.acceptRef });
    await reached(() => index.expire([id], 0));
    await reached(async () => found.lane.dead?.remove([{ id, objective: found.place.objective }]));
    return true;
  }

  async cancel(id: string, tenant: string): Promise<CancelAnswer> {
    const found = await this.#find(id, tenant);
    const spec = found && (await this.#specOf(found.place));
    if (!found || !spec) return { kind: 'unknown' };
    const { place, lane } = found;
    const answer = await reached(() =>
      decideOutcome(this.#deps, lane, { id, objective: place.objective, place }, CANCELLED),
    );
    if (answer.kind === 'already') {
      return { kind: 'finished', view: finishedView(spec, answer.stored, this.#deps.retentionMs) };
    }
    this.#deps.running.abort(id, new PilotlightError('request_cancelled', `Job ${id} was cancelled.`));
    this.#deps.hints.publish({ kind: 'cancelled', ids: [id] });
    const stored: StoredOutcome = { outcome: CANCELLED, recordRef: null, atEpochMs: this.#deps.clock.epochMs() };
    return { kind: 'cancelled', view: finishedView(spec, stored, this.#deps.retentionMs) };
  }

  async wait(id: string, tenant: string, timeoutMs: number, signal: AbortSignal): Promise<JobView | null> {
    const { clock, settlements } = this.#deps;
    const untilMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const wake = new AbortController();
      const stop = settlements.onEnd(id, () => wake.abort());
      try {
        const view = await this.get(id, tenant);
        const leftMs = untilMs - clock.monotonicMs();
        if (!view || view.outcome || leftMs <= 0 || signal.aborted) return view;
        const either = AbortSignal.any([wake.signal, signal]);
        await clock.sleep(Math.min(leftMs, WAIT_POLL_MS), either).catch(() => undefined);
      } finally {
        stop();
      }
    }
  }

  async #find(id: string, tenant: string): Promise<Found | null> {
    if (!isJobId(id)) return null;
    const place = await reached(() => this.#deps.index.get(id));
    if (!place && this.#deps.isReconciling()) {
      throw new PilotlightError(
        'queue_unavailable',
        `Job ${id} is not found yet: the index of jobs is being rebuilt.`,
        {
          retryAfterMs: 2_000,
        },
      );
    }
    if (place?.tenant !== tenant) return null;
    const lane = this.#deps.lanesEver(place.pool);
    if (lane) return { place, lane };
    // Never "not found": who hears that sends the job again.
    const why = `Job ${id} is stored, but its pool ${place.pool} is not there now: it goes on when a ScalePolicy is about that pool again.`;
    throw new PilotlightError('no_capacity', why, { retryAfterMs: NO_POOL_RETRY_MS });
  }

  async #view(id: string, { place, lane }: Found): Promise<JobView | null> {
    const spec = await this.#specOf(place);
    if (!spec) return null;
    const stored = await outcomeOf(lane, id);
    if (stored) return this.#finished(spec, stored);
    const ticket = await reached(async () => lane.order?.find(id));
    if (ticket) {
      const isRunning = ticket.state === 'running' || ticket.state === 'recording';
      return { ...unfinishedView(spec, { isRunning }), ...(ticket.position !== null && { position: ticket.position }) };
    }
    if (this.#deps.running.isWaiting(id)) return unfinishedView(spec, { isRunning: false });
    // In another process: held, which there may still mean waiting for a slot.
    const isRunning = await reached(() => lane.backlog.isHeld(id, place.objective));
    return unfinishedView(spec, { isRunning });
  }

  async #finished(spec: JobSpec, stored: StoredOutcome): Promise<JobView> {
    const view = finishedView(spec, stored, this.#deps.retentionMs);
    if (stored.outcome.kind !== 'failed') return view;
    const retriedAs = retryIdOf(spec.id);
    const retry = await reached(() => this.#deps.index.get(retriedAs));
    return retry?.tenant === spec.tenant ? { ...view, retriedAs } : view;
  }

  async #specOf({ acceptRef }: JobPlace): Promise<JobSpec | null> {
    const header = await this.#deps.store.readHeader(acceptRef);
    return header?.kind === 'accept' ? header.spec : null;
  }
}

async function outcomeOf(lane: JobLane, id: string): Promise<StoredOutcome | null> {
  const [stored] = await reached(() => lane.ledger.outcomes([id]));
  return stored ?? null;
}
