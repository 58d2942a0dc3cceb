import type { PlanEntry } from '../../../../src/batch/policy/plan-entry.ts';

export function planEntry(changes: Partial<PlanEntry> = {}): PlanEntry {
  return {
    line: 0,
    offsetBytes: 0,
    lengthBytes: 1,
    group: 0,
    inputTokens: 10,
    maxOutputTokens: null,
    maxAttempts: null,
    ...changes,
  };
}
