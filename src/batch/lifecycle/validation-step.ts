import type { BatchError } from '../../core/batches.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import { rejected, validated } from '../policy/lifecycle/generations.ts';
import { wrongRowsKey } from '../policy/plan-entry.ts';
import type { BatchDoc, BatchPlan, ValidationResult } from '../ports.ts';
import { advance } from './advance.ts';
import type { DriveDeps } from './drive-deps.ts';
import { planKey } from './ports.ts';

export interface StepOptions {
  readonly signal: AbortSignal;
  readonly onProgress: (percent: number) => void;
}

/** Failures that pass by themselves: the batch waits for them, up to the end of its window. */
const PASSING: ReadonlySet<string> = new Set(['store_unavailable', 'store_full', 'queue_unavailable']);

/** Reads the file and writes what became of it: the batch in progress, or failed. Throws what is not the file's fault. */
export async function validateBatch(deps: DriveDeps, doc: BatchDoc, options: StepOptions): Promise<BatchDoc> {
  const { journal, clock, heavy, meter, ids, blobs } = deps;
  const key = planKey(doc.id, ids.derived('batch', ids.next()).slice(6));
  const startedMs = clock.monotonicMs();
  const result = await heavy.run(() => deps.validate(inputOf(doc, key), options), options.signal);
  const verdict = result.kind === 'valid' ? await withinQuota(deps, doc, result) : result;
  meter.validated(verdict.kind, clock.monotonicMs() - startedMs);
  const { doc: after } = await advance(journal, doc, (current) =>
    verdict.kind === 'valid'
      ? validated(current, verdict.plan, doc.wishes.objective, clock.epochMs())
      : rejected(current, verdict.errors, clock.epochMs()),
  );
  if (after.plan?.planKey !== key) {
    await Promise.all([blobs.delete(key), blobs.delete(wrongRowsKey(key))]).catch(() => undefined);
  }
  return after;
}

/** The validation failed so often by itself that it will not do better: the batch fails, and says so. */
export async function giveUpValidation(deps: DriveDeps, doc: BatchDoc, thrown: unknown): Promise<BatchDoc> {
  const { journal, clock } = deps;
  const known = thrown instanceof PilotlightError && thrown.code !== 'internal_error' ? thrown : null;
  const error: BatchError = {
    code: known?.code ?? 'invalid_request',
    message: known?.message ?? 'The input file could not be validated. Look into the log of the gateways for why.',
    param: 'input_file_id',
    line: null,
  };
  return (await advance(journal, doc, (current) => rejected(current, [error], clock.epochMs()))).doc;
}

export function isPassing(thrown: unknown): boolean {
  return PASSING.has((asError(thrown) as { code?: string }).code ?? '');
}

function inputOf(doc: BatchDoc, key: string): Parameters<DriveDeps['validate']>[0] {
  const { id, identity, endpoint, wishes, inputFile, onlyRowsKey } = doc;
  const objective = wishes.objective;
  return { batchId: id, identity, endpoint, wishes, file: inputFile, onlyRowsKey, objective, planKey: key };
}

/** How many rows a batch has is known only now; a tenant with too many of them gets none of these. */
async function withinQuota(
  { index, settings }: DriveDeps,
  { id, identity }: BatchDoc,
  result: { readonly kind: 'valid'; readonly plan: BatchPlan; readonly errors: readonly BatchError[] },
): Promise<ValidationResult> {
  const open = await index.open(identity.tenant);
  const others = open.reduce((sum, batch) => sum + (batch.id === id ? 0 : batch.rows), 0);
  if (others + result.plan.runnable <= settings.tenantRows) return result;
  const message = `The batch has ${result.plan.runnable} rows and tenant '${identity.tenant}' has ${others} unfinished rows in other batches; ${settings.tenantRows} are allowed together. Create it again when some have ended.`;
  return { kind: 'invalid', errors: [{ code: 'batch_rows_full', message, param: null, line: null }] };
}
