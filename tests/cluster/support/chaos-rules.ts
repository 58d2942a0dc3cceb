import type { ChaosKind, Happened } from './chaos-events.ts';
import type { HeldCall } from './chaos-load.ts';

/** After Redis is back: connections, the ledger's owners, the first dispatch. */
const REDIS_AFTER_MS = 15_000;
/** A gateway hears of a dead engine with the next byte that does not come. */
const CRASH_AFTER_MS = 2_000;

/**
 * What must not have been; one sentence each. A call ends right, or with an error that what happened to it excuses; what
 * it was given until then is the beginning of its own text, always.
 */
export function violations(calls: readonly HeldCall[], happened: readonly Happened[]): readonly string[] {
  return calls.flatMap((call) => {
    if (call.isRight) return [];
    const told = `${call.label} (${call.isPlain ? 'plain' : 'stream'}, gateway ${call.gateway}, ${Math.round(call.startedAtMs)}–${Math.round(call.endedAtMs)} ms): ${call.status}, ${call.problem ?? ''}`;
    if (!call.isPrefix) return [`another text than its own: ${told}`];
    return isExcused(call, happened) ? [] : [told];
  });
}

function isExcused(call: HeldCall, happened: readonly Happened[]): boolean {
  const meanwhile = (afterMs: number, ...kinds: readonly ChaosKind[]) =>
    happened.filter(
      ({ kind, fromMs, toMs }) => kinds.includes(kind) && call.startedAtMs < toMs + afterMs && call.endedAtMs >= fromMs,
    );
  const killed = meanwhile(0, 'kill a gateway', 'kill the gateway with jobs');
  if (killed.some((one) => one.killed.includes(call.gateway))) return true;
  // A stream that waits has its status already.
  if ((call.status === 503 || call.received === 0) && meanwhile(REDIS_AFTER_MS, 'restart Redis').length > 0)
    return true;
  // Only what an engine had begun to say cannot be said again by another one.
  const mayBeCut = !call.isPlain && call.received > 0;
  return mayBeCut && meanwhile(CRASH_AFTER_MS, 'crash an engine', 'crash all engines').length > 0;
}
