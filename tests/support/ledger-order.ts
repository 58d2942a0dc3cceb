import type { RuleLine } from '../../src/queue/policy/ledger/ops.ts';
import type { LedgerHand } from './ledger-hand.ts';

export function rule(objective: string, priority: number, change: Partial<RuleLine> = {}): RuleLine {
  return {
    ...{ objective, priority, guaranteedSharePercent: 0, agingMs: 0, reservedSlotsPercent: 0, reservedLapseMs: 0 },
    paused: false,
    ...change,
  };
}

/** Serves what waits on one slot, one after another; returns the ids in their order. `onServed` sees each as it runs. */
export function serveAll(
  ledger: LedgerHand,
  onServed: (id: string) => void = () => undefined,
  limit = Infinity,
): string[] {
  const order: string[] = [];
  if (!ledger.state.endpoints.some(({ slots }) => slots > 0)) ledger.endpoints({ 'ep-1': 1 });
  while (order.length < limit) {
    const next = [...(ledger.state.used.get('ep-1') ?? [])][0];
    if (next === undefined) break;
    if (ledger.ticket(next).state === 'offered') ledger.take(next);
    onServed(next);
    order.push(next);
    ledger.finish(next);
  }
  return order;
}
