import type { BatchUsage } from '../../core/batches.ts';
import type { Usage } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import type { CallRunner, DispatchResult } from '../../core/dispatch.ts';
import { asError, type ErrorCode, PilotlightError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Outcome } from '../../core/outcome.ts';
import type { Random } from '../../core/random.ts';
import { answeredLine, failedLine, type LineMeta, rowId } from '../policy/lines.ts';
import type { PlanEntry } from '../policy/plan-entry.ts';
import { rowLineParts } from '../policy/rows/row-line.ts';
import { isCrash, judgeRow, type RowEnding, type RowVerdict, SUSPECT_CRASHES } from '../policy/rows/row-verdict.ts';
import type { BatchDoc, RowGroup, RowRecord, RowStates, ToRowRequest } from '../ports.ts';
import type { BatchRun } from './batch-run.ts';
import type { Recorder } from './recorder.ts';
import { CollectedAnswer } from '../../core/collected-answer.ts';

export interface RowExecutionDeps {
  readonly runner: CallRunner;
  readonly toRequest: ToRowRequest;
  readonly recorder: Pick<Recorder, 'record' | 'pendingBytes'>;
  readonly states: Pick<RowStates, 'crashes'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Tries of a row whose batch and line name none. */
  readonly rowAttempts: number;
  readonly maxResultBytes: number;
}

/** One row while its chunk is held. */
export interface RowTask {
  readonly place: number;
  readonly entry: PlanEntry;
  /** Runs that used an attempt. */
  attempts: number;
  /** Runs when nothing else does. */
  alone: boolean;
  /** The processes that held its chunk kept dying: it is marked before it runs. */
  readonly isSuspect: boolean;
  lastError: string | null;
  hasSlot: boolean;
  stop: AbortController | null;
}

export interface RowContext {
  readonly batch: BatchRun;
  readonly doc: BatchDoc;
  readonly group: RowGroup;
}

export type RowResult =
  /** Terminal: recorded, or another end was first. */
  | { readonly kind: 'ended' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly alone: boolean }
  /** Nothing was tried: once more after a moment. */
  | { readonly kind: 'again'; readonly delayMs: number }
  /** Stays pending; whoever ends the batch ends it. */
  | { readonly kind: 'left' }
  /** Its tenant is over its rate: neither this row nor a later one of the chunk before that. */
  | { readonly kind: 'over_rate'; readonly delayMs: number }
  /** No row of this chunk can run now. */
  | { readonly kind: 'hand_back'; readonly delayMs: number };

type Meta = { readonly line: LineMeta | null };

/** Lines that wait for their sync beyond this keep their rows' places in the window. */
const FREE_RECORDING_BYTES = 16_777_216;
/** Longer than the states are trusted: they are looked at before the row is tried again. */
const ELSEWHERE_DELAY_MS = 2_500;
const UNTRIED_DELAY_MS = 1_000;
const NO_POOL_DELAY_MS = 30_000;
const NO_CAPACITY_DELAY_MS = 5_000;
const STORE_RETRY_MS = 1_000;

/** One run of one row: through the dispatcher, then its line recorded, unless it is to be tried again. */
export class RowExecution {
  readonly #deps: RowExecutionDeps;
  readonly #context: RowContext;
  readonly #task: RowTask;
  readonly #freePlace: () => void;
  readonly #id: string;
  #customId = '';
  #sink: CollectedAnswer;
  /** What `persist` decided about an answer. */
  #answered: { readonly verdict: RowVerdict; readonly httpStatus: number } | null = null;

  /** `freePlace` is called once the row needs its place in the window no more. */
  constructor(deps: RowExecutionDeps, context: RowContext, task: RowTask, freePlace: () => void) {
    this.#deps = deps;
    this.#context = context;
    this.#task = task;
    this.#freePlace = freePlace;
    this.#id = rowId(context.doc.id, task.entry.line);
    this.#sink = new CollectedAnswer(deps.maxResultBytes, () => this.#tooLarge());
  }

  /** Resolves when the row is out of the live order. Throws what the states throw. */
  async run(line: Uint8Array, stop: AbortController): Promise<RowResult> {
    const { doc, group } = this.#context;
    const parts = rowLineParts(line);
    if (!parts) {
      const text = 'The line of this row is not what was validated; the input file was changed or damaged.';
      return await this.#fail('invalid_file', text, stop.signal);
    }
    this.#customId = parts.customId;
    if (this.#task.isSuspect && (await this.#crashed()) > SUSPECT_CRASHES) return await this.#quarantine(stop.signal);
    const spec = {
      id: this.#id,
      tenant: doc.identity.tenant,
      group,
      acceptedAtEpochMs: doc.createdAtEpochMs,
      deadlineEpochMs: doc.expiresAtEpochMs,
      inputTokens: this.#task.entry.inputTokens,
      maxOutputTokens: this.#task.entry.maxOutputTokens,
    };
    const request = this.#deps.toRequest(spec, parts.body);
    if (request instanceof PilotlightError) return { kind: 'hand_back', delayMs: NO_POOL_DELAY_MS };
    const result = await this.#deps.runner.run(request, this.#sink, {
      signal: stop.signal,
      persist: (outcome) => this.#persist(outcome),
      onSlot: () => {
        this.#task.hasSlot = true;
      },
    });
    return await this.#conclude(result, stop.signal);
  }

  /** The slot is free now, and the answer whole. A failure is judged when its error is known. */
  async #persist(outcome: Outcome): Promise<string> {
    if (this.#deps.recorder.pendingBytes < FREE_RECORDING_BYTES) this.#freePlace();
    if (outcome.kind !== 'completed') return '';
    const verdict = this.#judge({ kind: 'answered', httpStatus: outcome.httpStatus }, 0);
    if (verdict.kind === 'end') {
      const { httpStatus, usage } = outcome;
      const answer = { statusCode: httpStatus, requestId: this.#id, body: this.#sink.body() };
      const text = answeredLine({ id: this.#id, customId: this.#customId }, answer, this.#meta().line);
      await this.#record(verdict.state, text, usage, httpStatus);
    }
    this.#answered = { verdict, httpStatus: outcome.httpStatus };
    return '';
  }

  async #conclude(result: DispatchResult, signal: AbortSignal): Promise<RowResult> {
    if (this.#answered) {
      const { verdict, httpStatus } = this.#answered;
      return await this.#follow(verdict, `The model server answered with status ${httpStatus}.`, signal);
    }
    if (this.#sink.isTooLarge) {
      const text = `The model server's answer has more than ${this.#deps.maxResultBytes} bytes (limit maxResultBytes).`;
      return await this.#fail('upstream_response_too_large', text, signal);
    }
    switch (result.kind) {
      case 'completed':
        return { kind: 'again', delayMs: UNTRIED_DELAY_MS };
      case 'failed':
        return await this.#failed(result.error, result.outcome, signal);
      case 'superseded':
        return { kind: 'again', delayMs: ELSEWHERE_DELAY_MS };
      case 'rejected':
        return {
          kind: result.error.code === 'rate_limit_exceeded' ? 'over_rate' : 'hand_back',
          delayMs: result.error.retryAfterMs ?? NO_CAPACITY_DELAY_MS,
        };
      case 'handed_back':
        if (result.reason === 'no_capacity') return { kind: 'hand_back', delayMs: NO_CAPACITY_DELAY_MS };
        return { kind: 'again', delayMs: UNTRIED_DELAY_MS };
    }
  }

  async #failed(error: PilotlightError, outcome: Outcome, signal: AbortSignal): Promise<RowResult> {
    if (outcome.kind === 'cancelled' || outcome.kind === 'expired') return { kind: 'left' };
    const ending: RowEnding = { kind: 'failed', code: error.code, retryAfterMs: error.retryAfterMs };
    const crashes = isCrash(ending) ? await this.#crashed() : 0;
    return await this.#follow(this.#judge(ending, crashes), error.message, signal, error.code);
  }

  async #follow(
    verdict: RowVerdict,
    message: string,
    signal: AbortSignal,
    code: ErrorCode = 'upstream_error',
  ): Promise<RowResult> {
    this.#task.attempts += 1;
    this.#task.lastError = message;
    switch (verdict.kind) {
      case 'end':
        if (!this.#answered) return await this.#fail(code, message, signal);
        return { kind: 'ended' };
      case 'retry':
        return verdict;
      case 'quarantine':
        return await this.#quarantine(signal);
      case 'leave':
        return { kind: 'left' };
    }
  }

  #judge(ending: RowEnding, crashes: number): RowVerdict {
    const { entry, attempts, alone } = this.#task;
    const { doc } = this.#context;
    return judgeRow(ending, {
      attempts: attempts + 1,
      maxAttempts: entry.maxAttempts ?? doc.wishes.maxAttempts ?? this.#deps.rowAttempts,
      crashes,
      ranAlone: alone,
      nowEpochMs: this.#deps.clock.epochMs(),
      deadlineEpochMs: doc.expiresAtEpochMs,
      jitter: this.#deps.random.next(),
    });
  }

  #crashed(): Promise<number> {
    return this.#deps.states.crashes(this.#context.doc.id, this.#task.place, true);
  }

  #quarantine(signal: AbortSignal): Promise<RowResult> {
    this.#deps.log.warn({ batchId: this.#context.doc.id, line: this.#task.entry.line + 1 }, 'row.quarantined');
    const text =
      'Model servers or gateways kept breaking down while they ran this row, at last alone. It is not run again.';
    return this.#fail('row_quarantined', text, signal);
  }

  /** Ends the row without an answer. The store being away is waited for until the row is stopped. */
  async #fail(code: ErrorCode, message: string, signal: AbortSignal): Promise<RowResult> {
    const line = failedLine({ id: this.#id, customId: this.#customId }, { code, message }, this.#meta().line);
    for (;;) {
      try {
        await this.#record('failed', line, null, null);
        return { kind: 'ended' };
      } catch (error) {
        this.#deps.log.warn({ row: this.#id, problem: asError(error).message }, 'row.record_failed');
      }
      await this.#deps.clock.sleep(STORE_RETRY_MS, signal).catch(() => undefined);
      if (signal.aborted) return { kind: 'again', delayMs: UNTRIED_DELAY_MS };
    }
  }

  async #record(
    state: RowRecord['state'],
    line: Uint8Array,
    usage: Usage | null,
    httpStatus: number | null,
  ): Promise<void> {
    const { batch, doc } = this.#context;
    const { place, attempts } = this.#task;
    const record = { batchId: doc.id, place, attempt: attempts + 1, state, usage: usage && usageOf(usage) };
    if (await this.#deps.recorder.record(record, line)) batch.ended(httpStatus);
  }

  #meta(): Meta {
    if (!this.#context.doc.wishes.includeRowMeta) return { line: null };
    const { attempts, lastError } = this.#task;
    return { line: { attempts: attempts + 1, waitedMs: this.#sink.waitedMs, lastError } };
  }

  /** As a hand-back: the ticket leaves the live order, and the row is ended here. */
  #tooLarge(): void {
    this.#task.stop?.abort(new PilotlightError('draining', 'The answer is too large.'));
  }
}

function usageOf({ promptTokens, completionTokens, cachedTokens = 0, reasoningTokens = 0 }: Usage): BatchUsage {
  return { inputTokens: promptTokens, cachedTokens, outputTokens: completionTokens, reasoningTokens };
}
