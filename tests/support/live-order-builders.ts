import type { EndpointSlots, EnterOptions, Entry, Lease, TicketSpec } from '../../src/core/live-order.ts';
import type { Outcome } from '../../src/core/outcome.ts';

export const ROOMY_LIMITS = {
  poolMaxRequests: 100_000,
  poolMaxBytes: 1e12,
  shedAtPercent: 100,
  objectiveMaxRequests: 100_000,
  objectiveMaxBytes: 1e12,
};

export function ticketSpec(id: string, change: Partial<TicketSpec> = {}): TicketSpec {
  return {
    id,
    kind: 'held',
    objective: 'interactive',
    priority: 100,
    fairnessId: 'tenant',
    weight: 1,
    costTokens: 10,
    bytes: 100,
    classKey: '',
    expiresAtEpochMs: null,
    arrivedAtEpochMs: null,
    limits: ROOMY_LIMITS,
    ...change,
  };
}

export function enterOptions(change: Partial<EnterOptions> = {}): EnterOptions {
  return { rank: () => ['ep-1', 'ep-2'], signal: new AbortController().signal, ...change };
}

export function endpoint(id: string, slots: number, adapters: readonly string[] | null = null): EndpointSlots {
  return { id, slots, adapters };
}

export const COMPLETED: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };

/** The lease of an entry that ran; fails the test otherwise. */
export function leaseOf(entry: Entry): Lease {
  if (entry.kind !== 'run') throw new Error(`expected a lease, got ${JSON.stringify(entry)}`);
  return entry.lease;
}
