import type { ServerResponse } from 'node:http';
import { type ApiError, serverError } from '../policy/api-error.ts';
import type { StepReport } from '../policy/engine.ts';
import type { CallFault } from '../policy/faults.ts';
import type { Sequence } from '../policy/sequence.ts';
import type { VllmMetrics } from '../policy/vllm-metrics.ts';
import type { CallJournal } from './call-journal.ts';
import type { EngineLoop } from './engine-loop.ts';
import type { Reply, ReplySource } from './reply.ts';

interface OpenCall extends ReplySource {
  readonly reply: Reply;
  readonly fault: CallFault | null;
}

interface Place {
  readonly call: OpenCall;
  readonly choice: number;
}

/** The calls that the engine works on, and those that a fault keeps waiting for ever. */
export class OpenCalls {
  readonly #loop: EngineLoop;
  readonly #metrics: VllmMetrics;
  readonly #journal: CallJournal | null;
  readonly #calls = new Set<OpenCall>();
  readonly #places = new Map<Sequence, Place>();
  readonly #hanging = new Set<ServerResponse>();
  #onEmpty: () => void = () => undefined;

  constructor(loop: EngineLoop, metrics: VllmMetrics, journal: CallJournal | null) {
    this.#loop = loop;
    this.#metrics = metrics;
    this.#journal = journal;
  }

  get size(): number {
    return this.#calls.size + this.#hanging.size;
  }

  get hanging(): number {
    return this.#hanging.size;
  }

  /** `listener` runs whenever the last open call has ended. */
  onEmpty(listener: () => void): void {
    this.#onEmpty = listener;
  }

  /** Answers the call from now on: with each step, and until its caller leaves. */
  open(call: OpenCall): void {
    this.#calls.add(call);
    this.#journal?.began(call);
    call.sequences.forEach((sequence, choice) => this.#places.set(sequence, { call, choice }));
    call.response.on('close', () => this.#leave(call));
    call.reply.start();
    this.#trip(call);
  }

  /** Never answers. */
  hang(response: ServerResponse): void {
    this.#hanging.add(response);
    response.on('close', () => {
      this.#hanging.delete(response);
      this.#tellIfEmpty();
    });
  }

  stepDone(report: StepReport): void {
    this.#metrics.stepDone(report.computedTokens);
    for (const sequence of report.emitted) {
      this.#metrics.tokenEmitted(sequence);
      const place = this.#places.get(sequence);
      if (place === undefined) continue;
      this.#journal?.spoke(place.call);
      if (sequence.state !== 'finished') place.call.reply.grown(place.choice);
      if (place.call.fault !== null) this.#trip(place.call);
    }
    for (const sequence of report.finished) this.#ended(sequence);
  }

  /** Ends every call as a stopping vLLM does: 200, the text so far, finish_reason "abort". Hanging ones are cut. */
  abortAll(): void {
    for (const call of this.#calls) this.#abort(call);
    for (const response of this.#hanging) response.destroy();
  }

  /** Ends every call with the error. */
  failAll(error: ApiError): void {
    for (const call of this.#calls) this.#fail(call, error);
  }

  #ended(sequence: Sequence): void {
    const place = this.#places.get(sequence);
    if (place === undefined) return;
    const { call, choice } = place;
    this.#places.delete(sequence);
    this.#metrics.sequenceFinished(sequence, call.request.maxTokens, call.request.choices);
    if (call.sequences.every(({ state }) => state === 'finished'))
      this.#journal?.ended(call, sequence.finishReason ?? 'abort');
    call.reply.ended(choice);
  }

  /** Applies the fault of the call if it is due. */
  #trip(call: OpenCall): void {
    const { fault } = call;
    if (fault === null || generatedTokens(call) < fault.afterTokens) return;
    if (fault.kind === 'disconnect') call.response.destroy();
    else if (fault.kind === 'error')
      this.#fail(call, serverError('The simulated engine failed, as a fault told it to.'));
    else if (fault.kind === 'abort') this.#abort(call);
  }

  #abort(call: OpenCall): void {
    for (const sequence of call.sequences) {
      this.#loop.abort(sequence);
      this.#ended(sequence);
    }
  }

  #fail(call: OpenCall, error: ApiError): void {
    this.#forget(call);
    this.#journal?.ended(call, 'failed');
    call.reply.fail(error);
  }

  /** The answer is out, or its caller has gone: then the engine stops working on it. */
  #leave(call: OpenCall): void {
    this.#forget(call);
    this.#journal?.ended(call, 'left');
    this.#calls.delete(call);
    this.#tellIfEmpty();
  }

  #forget(call: OpenCall): void {
    for (const sequence of call.sequences) {
      this.#loop.abort(sequence);
      this.#places.delete(sequence);
    }
  }

  #tellIfEmpty(): void {
    if (this.size === 0) this.#onEmpty();
  }
}

function generatedTokens(call: OpenCall): number {
  return call.sequences.reduce((tokens, sequence) => tokens + sequence.generatedTokens, 0);
}
