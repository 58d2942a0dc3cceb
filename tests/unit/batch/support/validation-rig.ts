import type { ValidationInput } from '../../../../src/batch/ports.ts';
import type { ResolveRow } from '../../../../src/batch/validation/ports.ts';
import type { ValidationLimits } from '../../../../src/batch/validation/validate.ts';
import type { StoredFile } from '../../../../src/core/files.ts';
import type { Identity } from '../../../../src/core/identity.ts';
import { NO_QUOTAS } from '../../../../src/core/tenants.ts';
import { CHAT } from './batch-file.ts';

export const IDENTITY: Identity = {
  tenant: 'acme',
  trusted: false,
  defaultObjective: null,
  allowedObjectives: null,
  allowedModels: null,
  serviceTiers: {},
  weight: 1,
  quotas: NO_QUOTAS,
};

export const LIMITS: ValidationLimits = {
  batchFileBytes: 2 ** 33,
  rows: 1_000_000,
  lineBytes: 8 * 2 ** 20,
  models: 16,
  customIdBytes: 512,
  inputs: null,
  json: { depth: 128, parts: 250_000 },
};

/** Model "m" and its alias "m-alias" lead to one place; "missing" to none. */
export const resolve: ResolveRow = (_identity, path, model, objective) => {
  if (model === 'missing') return { code: 'model_not_found', message: "No model 'missing'.", param: 'body.model' };
  const name = model === 'm-alias' ? 'm' : model;
  return { pool: 'default/p', objective: objective ?? 'batch', path, model: name, servedModel: name, adapter: null };
};

export function storedFile(bytes: number, changes: Partial<StoredFile> = {}): StoredFile {
  return {
    id: 'file-in',
    tenant: 'acme',
    bytes,
    createdAtEpochMs: 0,
    expiresAtEpochMs: null,
    filename: 'rows.jsonl',
    purpose: 'batch',
    parts: [{ key: 'files/file-in.data', bytes }],
    etag: 'e',
    ...changes,
  };
}

export function validationInput(bytes: number, changes: Partial<ValidationInput> = {}): ValidationInput {
  return {
    batchId: 'batch_b',
    identity: IDENTITY,
    endpoint: CHAT,
    wishes: { objective: null, deadlineEpochMs: null, maxAttempts: null, onInvalidRow: 'fail', includeRowMeta: false },
    file: storedFile(bytes),
    onlyRowsKey: null,
    objective: null,
    planKey: 'batches/batch_b/plan-1',
    ...changes,
  };
}

/** A file in chunks of this size. */
export async function* inChunks(bytes: Uint8Array, chunkBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) {
    await Promise.resolve();
    yield bytes.subarray(at, at + chunkBytes);
  }
}
