import type { CallRunner, DispatchRequest, DispatchResult, ResponseSink, RunOptions } from '../../core/dispatch.ts';
import { PilotlightError } from '../../core/errors.ts';
import { FlowError } from '../../core/flow-outcomes.ts';
import type { QuotaAnswer, QuotaGrant, RateQuotas } from '../../core/tenants.ts';
import { ParkingPlan } from '../policy/quotas/parking.ts';
import type { Clock } from '../../core/clock.ts';

export interface MeteredRunnerDeps {
  readonly runner: CallRunner;
  readonly quotas: RateQuotas;
  readonly clock: Pick<Clock, 'monotonicMs' | 'epochMs'>;
  /** Told of held calls that are refused here, once each: the dispatcher, which counts what it refuses, never sees them. */
  readonly onRefused?: (request: DispatchRequest, error: PilotlightError) => void;
}

type Refused = Extract<QuotaAnswer, { kind: 'refused' }>;

/**
 * Holds calls, jobs and rows to the rates of their tenant (the ticket's fairness id), before they enter the live order.
 *
 * | what happens                                 | what is charged                                   |
 * | -------------------------------------------- | ------------------------------------------------- |
 * | over its rate: `rejected`, with `retryAfterMs` | nothing                                           |
 * | it never got a slot                           | nothing                                           |
 * | it ran, and the engine told its tokens        | those                                             |
 * | it streamed, and nobody told its tokens       | those that came, and the estimated prompt         |
 * | else, when nobody knows its tokens            | the estimate                                      |
 */
export class MeteredRunner implements CallRunner {
  readonly #deps: MeteredRunnerDeps;
  readonly #parking = new ParkingPlan();

  constructor(deps: MeteredRunnerDeps) {
    this.#deps = deps;
  }

  async run(request: DispatchRequest, sink: ResponseSink, options: RunOptions): Promise<DispatchResult> {
    const { fairnessId, costTokens, kind } = request.ticket;
    let answer: QuotaAnswer;
    try {
      answer = await this.#deps.quotas.take(fairnessId, costTokens, options.signal);
    } catch (thrown) {
      // The dispatcher knows what the end of a request that was withdrawn is.
      if (options.signal.aborted) return this.#deps.runner.run(request, sink, options);
      if (!(thrown instanceof PilotlightError)) throw thrown;
      return kind === 'held' ? this.#rejected(request, thrown) : { kind: 'handed_back', reason: thrown.code };
    }
    if (answer.kind === 'refused') return this.#rejected(request, this.#refusal(request, answer));
    return this.#runCharged(request, sink, options, answer.grant);
  }

  async #runCharged(
    request: DispatchRequest,
    sink: ResponseSink,
    options: RunOptions,
    grant: QuotaGrant,
  ): Promise<DispatchResult> {
    const slot = { wasGiven: false };
    const onSlot = (): void => {
      slot.wasGiven = true;
      options.onSlot?.();
    };
    let result: DispatchResult | null = null;
    try {
      result = await this.#deps.runner.run(request, sink, { ...options, onSlot });
      return result;
    } finally {
      if (!slot.wasGiven) {
        grant.giveBack();
      } else if (result?.kind === 'completed' || result?.kind === 'failed') {
        const { usage, seenTokens } = result.outcome;
        if (usage) grant.correct(usage.promptTokens + usage.completionTokens);
        else if (seenTokens !== undefined) grant.correct(seenTokens);
      }
    }
  }

  /** Stored work hears so when it may come back, and is not counted: it has not left. */
  #rejected(request: DispatchRequest, error: PilotlightError): DispatchResult {
    if (request.ticket.kind === 'held') this.#deps.onRefused?.(request, error);
    return { kind: 'rejected', error };
  }

  #refusal({ ticket }: DispatchRequest, refused: Refused): PilotlightError {
    const { fairnessId, kind, costTokens, priority, expiresAtEpochMs } = ticket;
    const isTokens = refused.limit === 'tokensPerMinute';
    const what = isTokens ? `${refused.limitPerMinute} tokens` : `${refused.limitPerMinute} requests`;
    const price = isTokens ? `, and this request is estimated at ${costTokens}` : '';
    const message = `Tenant '${fairnessId}' may begin ${what} a minute (quotas.${refused.limit})${price}. Try again later.`;
    const share = (isTokens ? costTokens : 1) / refused.limitPerMinute;
    const { clock } = this.#deps;
    const leftMs = expiresAtEpochMs === null ? null : expiresAtEpochMs - clock.epochMs();
    const asked = { afterMs: refused.afterMs, share, priority, leftMs, nowMs: clock.monotonicMs() };
    const afterMs = kind === 'stored' ? this.#parking.park(fairnessId, asked) : refused.afterMs;
    return new FlowError('rejected_rate', message, { retryAfterMs: Math.ceil(afterMs) });
  }
}
