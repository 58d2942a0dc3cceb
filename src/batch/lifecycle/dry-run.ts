import type { BatchEstimate, DryRun } from '../../core/batches.ts';
import { windowMs } from '../policy/lifecycle/create-rules.ts';
import type { BatchPlan, Validate } from '../ports.ts';
import type { CheckedRequest, CreateDeps } from './create-batch.ts';
import type { HeavyWork } from './heavy-work.ts';

export type DryRunDeps = Pick<CreateDeps, 'ids' | 'world' | 'clock'> & {
  readonly validate: Validate;
  readonly heavy: HeavyWork;
};

/** Reads the file as a new batch would be read, and keeps nothing. */
export async function dryRun(
  { ids, world, clock, validate, heavy }: DryRunDeps,
  { request, file, objective }: CheckedRequest,
  signal: AbortSignal,
): Promise<DryRun> {
  const { identity, endpoint, wishes, completionWindow } = request;
  const input = { batchId: ids.next(), identity, endpoint, wishes, file, onlyRowsKey: null, objective, planKey: null };
  const result = await heavy.run(() => validate(input, { signal, onProgress: () => undefined }), signal);
  if (result.kind === 'invalid') return result;
  const nowEpochMs = clock.epochMs();
  const dueEpochMs = wishes.deadlineEpochMs ?? nowEpochMs + (windowMs(completionWindow) ?? 0);
  const etaMs = world.forecastMs(result.plan.groups);
  const estimate = estimateOf(result.plan, etaMs, etaMs === null ? null : nowEpochMs + etaMs <= dueEpochMs);
  return { kind: 'valid', estimate, errors: result.errors };
}

function estimateOf(
  { groups, runnable }: BatchPlan,
  etaMs: number | null,
  meetsDeadline: boolean | null,
): BatchEstimate {
  return {
    rows: runnable,
    inputTokens: groups.reduce((sum, group) => sum + group.inputTokens, 0),
    maxOutputTokens: groups.reduce((sum, group) => sum + group.maxOutputTokens, 0),
    etaMs,
    meetsDeadline,
    models: groups.map(({ model, pool, objective, rows }) => ({ model, pool, objective, rows })),
  };
}
