import type { LedgerState, Usage } from './state.ts';

/** One request of so many bytes more (or, with sign -1, fewer). The fairness id '' is nobody and is not counted. */
export function addUsage(usages: Map<string, Usage>, fairnessId: string, sign: 1 | -1, bytes: number): void {
  if (fairnessId === '') return;
  const before = usages.get(fairnessId) ?? { requests: 0, bytes: 0 };
  const requests = before.requests + sign;
  if (requests === 0) usages.delete(fairnessId);
  else usages.set(fairnessId, { requests, bytes: before.bytes + sign * bytes });
}

/** What a fairness id has queued and stored in this pool. */
export function tenantUsage({ tenantsHeld, tenantsStored }: LedgerState, fairnessId: string): Usage {
  const held = tenantsHeld.get(fairnessId);
  const stored = tenantsStored.get(fairnessId);
  return {
    requests: (held?.requests ?? 0) + (stored?.requests ?? 0),
    bytes: (held?.bytes ?? 0) + (stored?.bytes ?? 0),
  };
}
