import type { PilotlightError } from '../core/errors.ts';
import type { DispatchRequest, DispatchResult } from '../core/dispatch.ts';
import { FLOW_OUTCOMES, type FlowOutcomeName, flowOutcomeOf } from '../core/flow-outcomes.ts';
import type { DispatcherMetrics } from './metrics.ts';

/** Counts one ended call. Work that was handed back or superseded ends elsewhere and is counted there. */
export function recordEnd(metrics: DispatcherMetrics, request: DispatchRequest, result: DispatchResult): void {
  const { pool } = request.call;
  const { objective, priority } = request.ticket;
  switch (result.kind) {
    case 'handed_back':
    case 'superseded':
      return;
    case 'rejected':
      metrics.callsTotal.inc({ pool, objective, outcome: 'rejected', code: result.error.code });
      left(flowOf(result), 0);
      return;
    case 'completed':
    case 'failed': {
      const { outcome, times } = result;
      metrics.callsTotal.inc({ pool, objective, outcome: outcome.kind, code: outcome.code ?? 'none' });
      if (outcome.attempts > 0) metrics.queueWaitSeconds.observe({ pool, objective }, times.waitedMs / 1_000);
      left(flowOf(result), times.waitedMs / 1_000);
      if (times.firstByteMs !== null) metrics.firstByteSeconds.observe({ pool, objective }, times.firstByteMs / 1_000);
    }
  }

  function left(flow: FlowOutcomeName, waitedS: number): void {
    metrics.flowOutcomes.inc({ pool, objective, outcome: flow });
    const { theirs } = FLOW_OUTCOMES[flow];
    metrics.flowControlQueueSeconds.observe({ inference_pool: pool, priority, outcome: theirs }, waitedS);
  }
}

/** Counts what is refused before it comes to the dispatcher, as if that had refused it. */
export function refusalCounter(metrics: DispatcherMetrics): (request: DispatchRequest, error: PilotlightError) => void {
  return (request, error) => recordEnd(metrics, request, { kind: 'rejected', error });
}

type Counted = Extract<DispatchResult, { kind: 'completed' | 'failed' | 'rejected' }>;

/** What a model server made of a request is not flow control's; that its slot was lost is. */
function flowOf(result: Counted): FlowOutcomeName {
  if (result.kind === 'completed') return 'dispatched';
  const flow = flowOutcomeOf(result.error);
  if (result.kind === 'rejected') return flow ?? 'rejected_queue_unavailable';
  const hadSlot = result.outcome.attempts > 0;
  if (flow === null || (hadSlot && FLOW_OUTCOMES[flow].stage !== 'revoked')) return 'dispatched';
  return flow;
}
