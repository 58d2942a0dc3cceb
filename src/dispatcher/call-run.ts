import type { DispatchRequest, DispatchResult, ResponseSink, RunOptions } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import type { Entry, Lease } from '../core/live-order.ts';
import type { Outcome, OutcomeKind } from '../core/outcome.ts';
import { Attempt, type AttemptEnd } from './attempt.ts';
import { recordEnd } from './call-metrics.ts';
import { CallTimer } from './call-timer.ts';
import { attemptError, cancelled, drained, leaseLost, noCapacity } from './policy/call-errors.ts';
import { failureRule } from './policy/failure.ts';
import { planRetry, type RetryPlan } from './policy/retry-plan.ts';
import { type StopReason, unserved } from './policy/unserved.ts';
import type { EndpointHealth, PoolRuntime } from './ports.ts';
import type { RunnerShared } from './runner-deps.ts';
import { settle } from './settlement.ts';
import type { Watched } from './watchdog.ts';

type Answered = Extract<AttemptEnd, { kind: 'answered' }>;
type Failed = Extract<AttemptEnd, { kind: 'failed' }>;

/**
 * One call from the queue to its outcome.
 *
 * | step     | what happens                                   | next                                                      |
 * | -------- | ---------------------------------------------- | --------------------------------------------------------- |
 * | waiting  | in the live order; the sink hears the position | lease → running · refused, evicted, stopped → over        |
 * | running  | one attempt on the lease's endpoint            | answered → settling · failed → waiting again or settling  |
 * | settling | slot given back, stored results made durable   | over                                                      |
 */
export class CallRun implements Watched {
  readonly #shared: RunnerShared;
  readonly #request: DispatchRequest;
  readonly #sink: ResponseSink;
  readonly #options: RunOptions;
  readonly #stored: boolean;
  readonly #timer: CallTimer;
  readonly #abort = new AbortController();
  readonly #triedIds: string[] = [];
  #stop: StopReason | null = null;
  #attempt: Attempt | null = null;
  #lease: Lease | null = null;
  #attempts = 0;
  /** Of the last attempt. */
  #seenTokens = 0;
  #position: number | null = null;
  #reportedMs = 0;
  #reentered = false;

  constructor(shared: RunnerShared, request: DispatchRequest, sink: ResponseSink, options: RunOptions) {
    this.#shared = shared;
    this.#request = request;
    this.#sink = sink;
    this.#options = options;
    this.#stored = request.ticket.kind !== 'held';
    this.#timer = new CallTimer(shared.clock);
  }

  async execute(): Promise<DispatchResult> {
    const { signal } = this.#options;
    const onAbort = (): void => this.#stopFor(isDraining(signal.reason) ? 'draining' : 'client');
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    this.#shared.watchdog.watch(this);
    try {
      const result = await this.#run();
      recordEnd(this.#shared.metrics, this.#request, result);
      return result;
    } catch (defect) {
      // The slot must not outlive the call, whatever went wrong: aborted and released, the ticket leaves the order.
      this.#abort.abort();
      this.#lease?.release();
      throw defect;
    } finally {
      signal.removeEventListener('abort', onAbort);
      this.#shared.watchdog.unwatch(this);
    }
  }

  sweep(nowMs: number): void {
    this.#attempt?.sweep(nowMs);
    if (!this.#timer.isWaiting) return;
    const { maxWaitMs } = this.#request.timeouts;
    if (maxWaitMs !== null && this.#timer.waitedMs(nowMs) >= maxWaitMs) this.#stopFor('max_hold');
    else if (nowMs - this.#reportedMs >= this.#shared.options.reportWaitingEveryMs) this.#report(nowMs);
  }

  async #run(): Promise<DispatchResult> {
    const { pool } = this.#request.call;
    const runtime = this.#shared.poolRuntimes(pool);
    if (!runtime) {
      if (this.#stored) return { kind: 'handed_back', reason: 'no_capacity' };
      return this.#rejected(noCapacity(`The pool ${pool} is not served here any more.`, this.#retryAfterMs()));
    }
    const refusal = this.#noCapacity();
    if (refusal) return refusal;
    let entry = await this.#wait(() => this.#enter(runtime));
    for (;;) {
      if ('error' in entry) return this.#orderFailed(entry.error);
      if (entry.kind !== 'run') return this.#notRun(entry);
      const { lease } = entry;
      this.#lease = lease;
      this.#timer.gotSlot();
      const end = await this.#tryOn(lease, runtime);
      if (end.kind === 'answered') return await this.#answered(lease, end);
      if (end.kind === 'failed') {
        const plan = this.#planRetry(lease, runtime.health, end);
        if (plan.kind === 'fail') {
          const error = attemptError(end.failure, plan.code, this.#attempts, this.#retryAfterMs());
          return await this.#settleFailure(lease, error, end.begun);
        }
        entry = await this.#wait(() => this.#again(lease, plan.exclude, plan.backoffMs));
        continue;
      }
      if (this.#mayReenter(end.begun)) {
        entry = await this.#wait(() => this.#enter(runtime));
        continue;
      }
      return await this.#stopped(lease, end.begun);
    }
  }

  /** 503 at once when nothing can ever come: no endpoint, and the autoscaler says why there will be none. */
  #noCapacity(): DispatchResult | null {
    const { pool } = this.#request.call;
    if (!this.#shared.endpoints.isEmpty(pool)) return null;
    const capacity = this.#shared.advisor.capacity(pool);
    if (capacity.canCome) return null;
    if (this.#stored) return { kind: 'handed_back', reason: 'no_capacity' };
    return this.#rejected(noCapacity(capacity.why, this.#retryAfterMs()));
  }

  #enter(runtime: PoolRuntime): Promise<Entry> {
    const { call, ticket } = this.#request;
    return runtime.order.enter(ticket, {
      rank: () => runtime.ranker.rank(call),
      signal: this.#abort.signal,
      onWaiting: (position) => {
        this.#position = position;
        this.#report(this.#shared.clock.monotonicMs());
      },
    });
  }

  async #again(lease: Lease, exclude: boolean, backoffMs: number): Promise<Entry> {
    if (backoffMs > 0) {
      await this.#shared.clock.sleep(backoffMs, this.#abort.signal).catch(() => undefined);
    }
    return await lease.requeue(exclude ? lease.endpointId : '');
  }

  /** Runs a step that may wait for a slot; a failure of the ledger is a value here. */
  async #wait(step: () => Promise<Entry>): Promise<Entry | { readonly error: PilotlightError }> {
    this.#timer.startWait();
    try {
      return await step();
    } catch (thrown) {
      if (this.#abort.signal.aborted) return { kind: 'evicted', reason: 'withdrawn' };
      if (thrown instanceof PilotlightError) return { error: thrown };
      throw thrown;
    } finally {
      this.#timer.endWait();
      this.#position = null;
    }
  }

  async #tryOn(lease: Lease, runtime: PoolRuntime): Promise<AttemptEnd> {
    const { call, timeouts } = this.#request;
    const endpoint = this.#shared.endpoints.get(call.pool, lease.endpointId);
    if (!endpoint) {
      // Nothing was tried, so no attempt is used.
      const message = 'The model server was removed just before the call was sent.';
      return { kind: 'failed', failure: { reason: 'endpoint_gone', message }, begun: false };
    }
    this.#attempts += 1;
    this.#options.onSlot?.();
    const attempt = new Attempt(this.#shared.attempt, {
      call,
      endpointId: endpoint.id,
      endpointUrl: endpoint.url,
      waitedMs: this.#timer.times().waitedMs,
      timeouts,
      sink: this.#sink,
      signal: this.#abort.signal,
      onBegin: () => this.#timer.firstByte(),
    });
    const onLost = (): void => this.#stopFor('lease_lost');
    lease.lost.addEventListener('abort', onLost, { once: true });
    this.#attempt = attempt;
    this.#shared.metrics.inFlight.inc({ pool: call.pool });
    runtime.ranker.started(call, endpoint.id);
    // A stop may have come between the grant and here.
    const ended = attempt.run();
    if (lease.lost.aborted) onLost();
    if (this.#stop) attempt.stop();
    const end = await ended;
    this.#attempt = null;
    this.#seenTokens = attempt.seenTokens;
    lease.lost.removeEventListener('abort', onLost);
    this.#shared.metrics.inFlight.dec({ pool: call.pool });
    this.#told(runtime, endpoint.id, end);
    return end;
  }

  #told(runtime: PoolRuntime, endpointId: string, end: AttemptEnd): void {
    const { call } = this.#request;
    const result = end.kind === 'failed' ? end.failure.reason : end.kind === 'answered' ? 'ok' : 'stopped';
    const atFault = end.kind === 'failed' && failureRule(end.failure.reason).fault !== 'none';
    runtime.ranker.finished(call, endpointId, atFault ? 'failed' : 'ok');
    this.#shared.metrics.attemptsTotal.inc({ pool: call.pool, result });
    if (result !== 'stopped') runtime.health.report(endpointId, result);
  }

  #planRetry(lease: Lease, health: EndpointHealth, { failure, begun }: Failed): RetryPlan {
    const { call } = this.#request;
    const { endpoints, random } = this.#shared;
    this.#triedIds.push(lease.endpointId);
    // A drain that ran out of time cut it off: stored work waits again as if it had not been tried.
    const isCutOff = this.#stored && failure.reason !== 'endpoint_gone';
    if (isCutOff && endpoints.isLeaving(call.pool, lease.endpointId)) this.#attempts -= 1;
    const plan = planRetry({
      reason: failure.reason,
      // What stored work has shown so far was shown to nobody whose connection would hear it twice.
      begun: begun && !this.#stored,
      attempt: this.#attempts,
      maxAttempts: this.#maxAttempts(),
      othersAvailable: endpoints.serving(call.pool).some((id) => !this.#triedIds.includes(id) && health.isOpen(id)),
      jitter: random.next(),
    });
    const { reason } = failure;
    const fields = { pool: call.pool, requestId: call.id, endpoint: lease.endpointId, attempt: this.#attempts, reason };
    if (plan.kind === 'retry') this.#shared.metrics.retriesTotal.inc({ pool: call.pool, reason });
    this.#shared.log.debug(fields, plan.kind === 'retry' ? 'attempt.retried' : 'attempt.failed');
    return plan;
  }

  #maxAttempts(): number {
    const { options } = this.#shared;
    // A row's retries, with their pauses, are its batch's: it has to see each failure to know which row breaks engines.
    if (this.#request.ticket.kind === 'row') return 1;
    return this.#stored ? options.maxAttemptsStored : options.maxAttemptsHeld;
  }

  async #answered(lease: Lease, end: Answered): Promise<DispatchResult> {
    const outcome: Outcome = {
      kind: 'completed',
      httpStatus: end.status,
      code: null,
      attempts: this.#attempts,
      usage: end.usage,
      ...(end.usage ? {} : this.#seen()),
    };
    const superseded = await this.#settle(lease, outcome);
    if (superseded) return superseded;
    const { endpointId } = lease;
    return { kind: 'completed', outcome, usage: end.usage, endpointId, times: this.#timer.times() };
  }

  async #settleFailure(
    lease: Lease,
    error: PilotlightError,
    begun: boolean,
    kind?: OutcomeKind,
  ): Promise<DispatchResult> {
    const result = this.#failed(error, kind ?? 'failed', begun);
    return (await this.#settle(lease, result.outcome)) ?? result;
  }

  async #stopped(lease: Lease, begun: boolean): Promise<DispatchResult> {
    if (this.#stop === 'lease_lost') {
      // The ledger has given the slot up already; a settle would be refused, and stored work is run again.
      if (this.#stored) return { kind: 'handed_back', reason: 'lease_lost' };
      return this.#failed(leaseLost('revoked', this.#retryAfterMs()), 'failed', begun);
    }
    if (this.#stop === 'draining') {
      if (!this.#stored) return await this.#settleFailure(lease, drained('revoked'), begun);
      // With its signal aborted, a released ticket leaves the order without an outcome.
      lease.release();
      return { kind: 'handed_back', reason: 'draining' };
    }
    return await this.#settleFailure(lease, cancelled(), begun, 'cancelled');
  }

  #settle(lease: Lease, outcome: Outcome): Promise<DispatchResult | null> {
    const settlement = {
      shared: this.#shared,
      request: this.#request,
      persist: this.#options.persist,
      signal: this.#abort.signal,
    };
    return settle(settlement, lease, outcome);
  }

  #notRun(entry: Exclude<Entry, { kind: 'run' }>): DispatchResult {
    const isServing = !this.#shared.endpoints.isEmpty(this.#request.call.pool);
    const call = { stored: this.#stored, stop: this.#stop, retryAfterMs: this.#retryAfterMs(), isServing };
    const end = unserved(entry, call);
    return end.kind === 'ended' ? this.#failed(end.error, end.outcome, false) : end;
  }

  #orderFailed(error: PilotlightError): DispatchResult {
    if (this.#stored) return { kind: 'handed_back', reason: error.code };
    return this.#attempts === 0 ? this.#rejected(error) : this.#failed(error, 'failed', false);
  }

  /** A held call whose lease was lost before its first byte may queue once more; stored work returns to the backlog. */
  #mayReenter(begun: boolean): boolean {
    if (this.#stop !== 'lease_lost' || begun || this.#stored || this.#reentered) return false;
    this.#reentered = true;
    this.#stop = null;
    return true;
  }

  #stopFor(reason: StopReason): void {
    this.#stop ??= reason;
    this.#attempt?.stop();
    // A lost lease ends the attempt only: the call itself may enter again.
    if (reason !== 'lease_lost') this.#abort.abort();
  }

  #report(nowMs: number): void {
    if (this.#position === null || this.#stored) return;
    this.#reportedMs = nowMs;
    const { call, ticket } = this.#request;
    this.#sink.waiting(this.#shared.advisor.status(call.pool, ticket.objective, this.#position));
  }

  #rejected(error: PilotlightError): DispatchResult {
    return { kind: 'rejected', error };
  }

  #failed(error: PilotlightError, kind: OutcomeKind, begun: boolean): Extract<DispatchResult, { kind: 'failed' }> {
    const { code, httpStatus } = error;
    const outcome: Outcome = { kind, httpStatus, code, attempts: this.#attempts, usage: null, ...this.#seen() };
    return { kind: 'failed', error, begun, outcome, times: this.#timer.times() };
  }

  #seen(): Pick<Outcome, 'seenTokens'> {
    return this.#seenTokens > 0 ? { seenTokens: this.#request.call.inputTokens + this.#seenTokens } : {};
  }

  #retryAfterMs(): number {
    const { call, ticket } = this.#request;
    return this.#shared.advisor.retryAfterMs(call.pool, ticket.objective);
  }
}

/** A shutdown hands stored work back instead of cancelling it. */
function isDraining(reason: unknown): boolean {
  return reason instanceof PilotlightError && reason.code === 'draining';
}
