import type { Clock } from '../../core/clock.ts';
import type { CallRunner, DispatchResult, ResponseSink } from '../../core/dispatch.ts';
import { asError, errorEnvelope, PilotlightError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/jobs.ts';
import type { Logger } from '../../core/logger.ts';
import type { Outcome } from '../../core/outcome.ts';
import { CollectedAnswer } from '../../core/collected-answer.ts';
import { noteDeadLetter } from './dead-letter-note.ts';
import type { JobEventLog } from './event-log.ts';
import type {
  Execute,
  ExecutionVerdict,
  JobStore,
  Lanes,
  RecordRef,
  ResultRecord,
  StoredRun,
  ToRequest,
} from './ports.ts';
import { StreamedResponse } from './streamed-response.ts';

export interface StoredExecutionDeps {
  readonly runner: CallRunner;
  readonly toRequest: ToRequest;
  readonly store: JobStore;
  readonly lanes: Lanes;
  readonly clock: Clock;
  readonly log: Logger;
  /** A larger answer fails with `upstream_response_too_large`. */
  readonly maxResultBytes: number;
  /** Where streamed jobs show what comes; absent = nobody looks on. */
  readonly events?: JobEventLog;
}

/** Between two tries to tell the ledger of a result that is already synced. */
const SETTLE_RETRY_MS = 1_000;
/** The result of a streamed job waits this long for its last events to be written. */
const MAX_SHOW_MS = 1_000;

interface Persisted {
  readonly ref: RecordRef;
  readonly outcome: Outcome;
}

/**
 * Executes stored jobs through the dispatcher: builds the call, collects the answer, makes it durable between the
 * engine's last byte and the outcome.
 */
export class StoredExecution {
  readonly #deps: StoredExecutionDeps;

  constructor(deps: StoredExecutionDeps) {
    this.#deps = deps;
  }

  readonly execute: Execute = async (run, signal) => {
    const request = this.#deps.toRequest(run.spec, run.body);
    // Its pool left the configuration meanwhile, and may come back.
    if (request instanceof PilotlightError) return { kind: 'handed_back', reason: request.code };
    const collected = new CollectedAnswer(this.#deps.maxResultBytes, () => {
      // As a hand-back: the ticket leaves the live order without an outcome, which is then decided here.
      run.abort(new PilotlightError('draining', 'The answer is too large.'));
    });
    const streamed = this.#streamed(run.spec, collected);
    let persisted: Persisted | null = null;
    const persist = async (outcome: Outcome): Promise<string> => {
      await this.#shown(streamed, signal);
      const ref = await this.#record(run, outcome, collected);
      persisted = { ref, outcome };
      return ref;
    };
    const sink: ResponseSink = streamed ?? collected;
    const result = await this.#deps.runner.run(request, sink, { signal, persist, onSlot: run.onSlot });
    const verdict =
      collected.isTooLarge && result.kind === 'handed_back'
        ? await this.#failTooLarge(run, signal)
        : await this.#conclude(run, result, persisted, signal);
    if (verdict.kind !== 'handed_back') void streamed?.settled();
    return verdict;
  };

  #streamed({ id, streamed }: JobSpec, collected: CollectedAnswer): StreamedResponse | null {
    const { events, clock, log } = this.#deps;
    return streamed === true && events ? new StreamedResponse({ events, clock, log }, id, collected) : null;
  }

  /** Readers should have what came before they hear that the job is over; but its result does not wait for them long. */
  async #shown(streamed: StreamedResponse | null, signal: AbortSignal): Promise<void> {
    if (!streamed) return;
    const shown = new AbortController();
    const patience = this.#deps.clock.sleep(MAX_SHOW_MS, AbortSignal.any([shown.signal, signal]));
    await Promise.race([streamed.flushed(), patience.catch(() => undefined)]);
    shown.abort();
  }

  #failTooLarge(run: StoredRun, signal: AbortSignal): Promise<ExecutionVerdict> {
    const limit = `more than ${this.#deps.maxResultBytes} bytes (limit maxResultBytes)`;
    return this.#fail(run, 'upstream_response_too_large', `The model server's answer has ${limit}.`, signal);
  }

  async #conclude(
    run: StoredRun,
    result: DispatchResult,
    persisted: Persisted | null,
    signal: AbortSignal,
  ): Promise<ExecutionVerdict> {
    switch (result.kind) {
      case 'completed':
        return { kind: 'settled', outcome: result.outcome };
      case 'failed':
        if (persisted) return { kind: 'settled', outcome: result.outcome };
        return this.#settleUnrun(run, result.outcome, result.error, signal);
      case 'superseded':
        if (persisted && result.outcome) this.#markOrphan(run.spec, persisted.ref);
        return result;
      case 'rejected':
        return { kind: 'handed_back', reason: result.error.code, ...parkedFor(result.error) };
      case 'handed_back':
        // The result is durable, only the ledger was not told: running it again would be waste.
        return persisted ? this.#settle(run, persisted, signal) : result;
    }
  }

  /** It ended before it ran, so nothing was persisted: cancelled or expired in the live order, or refused for good. */
  #settleUnrun(
    run: StoredRun,
    outcome: Outcome,
    error: PilotlightError,
    signal: AbortSignal,
  ): Promise<ExecutionVerdict> {
    if (outcome.kind === 'cancelled' || outcome.kind === 'expired') {
      return Promise.resolve({ kind: 'decided', outcome });
    }
    return this.#fail(run, error.code, error.message, signal);
  }

  async #fail(
    run: StoredRun,
    code: PilotlightError['code'],
    message: string,
    signal: AbortSignal,
  ): Promise<ExecutionVerdict> {
    const error = new PilotlightError(code, message);
    const outcome: Outcome = { kind: 'failed', httpStatus: error.httpStatus, code, attempts: run.attempt, usage: null };
    const ref = await this.#append(run, outcome, 'application/json', Buffer.from(JSON.stringify(errorEnvelope(error))));
    return this.#settle(run, { ref, outcome }, signal);
  }

  async #settle(run: StoredRun, { ref, outcome }: Persisted, signal: AbortSignal): Promise<ExecutionVerdict> {
    const { spec } = run;
    const announced = spec.announce !== undefined;
    const lane = this.#deps.lanes(spec.pool);
    for (;;) {
      try {
        if (!lane) break;
        const answer = await lane.ledger.settle(spec.id, spec.objective, outcome, ref, { announced });
        if (answer.kind === 'settled') return { kind: 'settled', outcome };
        if (answer.stored.recordRef !== ref) this.#markOrphan(spec, ref);
        return { kind: 'superseded', outcome: answer.stored.outcome };
      } catch (error) {
        this.#deps.log.warn({ jobId: spec.id, problem: asError(error).message }, 'job.settle_failed');
      }
      await this.#deps.clock.sleep(SETTLE_RETRY_MS, signal).catch(() => undefined);
      if (signal.aborted) break;
    }
    // The next process's reconcile settles it from the record.
    return { kind: 'handed_back', reason: 'queue_unavailable' };
  }

  #record(run: StoredRun, outcome: Outcome, sink: CollectedAnswer): Promise<RecordRef> {
    if (outcome.kind === 'completed') return this.#append(run, outcome, sink.contentType, sink.body());
    const error = new PilotlightError(
      outcome.code ?? 'internal_error',
      `Job ${run.spec.id} ${outcome.kind} after ${outcome.attempts} attempts.`,
    );
    return this.#append(run, outcome, 'application/json', Buffer.from(JSON.stringify(errorEnvelope(error))));
  }

  async #append(run: StoredRun, outcome: Outcome, contentType: string, body: Uint8Array): Promise<RecordRef> {
    const header: ResultRecord = {
      kind: 'result',
      jobId: run.spec.id,
      attempt: run.attempt,
      outcome,
      contentType,
      finishedAtEpochMs: this.#deps.clock.epochMs(),
      job: run.place,
    };
    const ref = await this.#deps.store.append(header, body);
    await noteDeadLetter(this.#deps.lanes(run.spec.pool), header, this.#deps.log);
    return ref;
  }

  #markOrphan({ id }: JobSpec, resultRef: RecordRef): void {
    this.#deps.store.append({ kind: 'orphan', jobId: id, resultRef }).catch((error: unknown) => {
      // Only a lost Redis could now take this record for the outcome.
      this.#deps.log.warn({ jobId: id, problem: asError(error).message }, 'job.orphan_not_marked');
    });
  }
}

/** Its tenant is over its rate, and it is known when it may run; others go on. */
function parkedFor({ code, retryAfterMs }: PilotlightError): { delayMs?: number } {
  return code === 'rate_limit_exceeded' && retryAfterMs !== null ? { delayMs: retryAfterMs } : {};
}
