import type { DispatchRequest, DispatchResult } from '../core/dispatch.ts';
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
      metrics.flowControlQueueSeconds.observe({ inference_pool: pool, priority, outcome: flowOutcome(result) }, 0);
      return;
    case 'completed':
    case 'failed': {
      const { outcome, times } = result;
      metrics.callsTotal.inc({ pool, objective, outcome: outcome.kind, code: outcome.code ?? 'none' });
      if (outcome.attempts > 0) metrics.queueWaitSeconds.observe({ pool, objective }, times.waitedMs / 1_000);
      const labels = { inference_pool: pool, priority, outcome: flowOutcome(result) };
      metrics.flowControlQueueSeconds.observe(labels, times.waitedMs / 1_000);
      if (times.firstByteMs !== null) metrics.firstByteSeconds.observe({ pool, objective }, times.firstByteMs / 1_000);
    }
  }
}

type Counted = Extract<DispatchResult, { kind: 'completed' | 'failed' | 'rejected' }>;

/** The outcome words of the inference gateway's flow control. */
function flowOutcome(result: Counted): string {
  if (result.kind === 'completed') return 'Dispatched';
  if (result.kind === 'rejected') {
    if (result.error.code === 'no_capacity') return 'RejectedNoEndpoints';
    return result.error.code === 'queue_full' || result.error.code === 'queue_shed'
      ? 'RejectedCapacity'
      : 'RejectedOther';
  }
  if (result.outcome.attempts > 0) return 'Dispatched';
  if (result.outcome.kind === 'cancelled') return 'EvictedContextCancelled';
  return result.outcome.kind === 'expired' ? 'EvictedTTL' : 'EvictedOther';
}
