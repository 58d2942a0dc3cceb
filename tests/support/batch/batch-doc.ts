import { NO_STAMPS } from '../../../src/batch/policy/lifecycle/generations.ts';
import type { BatchDoc, BatchFinal, BatchPlan, RowGroup, RowTotals } from '../../../src/batch/ports.ts';
import type { BatchRequest, BatchUsage, BatchWishes } from '../../../src/core/batches.ts';
import type { StoredFile } from '../../../src/core/files.ts';
import type { Identity } from '../../../src/core/identity.ts';
import { NO_QUOTAS } from '../../../src/core/tenants.ts';

export const START_EPOCH_MS = 1_700_000_000_000;
export const NO_USAGE: BatchUsage = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 };

export const TENANT: Identity = {
  tenant: 'acme',
  trusted: false,
  defaultObjective: null,
  allowedObjectives: null,
  allowedModels: null,
  serviceTiers: {},
  weight: 1,
  quotas: NO_QUOTAS,
};

export const WISHES: BatchWishes = {
  objective: null,
  deadlineEpochMs: null,
  maxAttempts: null,
  onInvalidRow: 'fail',
  includeRowMeta: false,
};

export function storedFile(changes: Partial<StoredFile> = {}): StoredFile {
  return {
    id: 'file-in',
    tenant: 'acme',
    bytes: 1_000,
    createdAtEpochMs: START_EPOCH_MS,
    expiresAtEpochMs: null,
    filename: 'rows.jsonl',
    purpose: 'batch',
    parts: [],
    etag: 'e',
    ...changes,
  };
}

export function rowGroup(changes: Partial<RowGroup> = {}): RowGroup {
  return {
    pool: 'default/chat',
    objective: 'batch',
    path: '/v1/chat/completions',
    model: 'm',
    servedModel: 'm',
    adapter: null,
    firstPlace: 0,
    rows: 10,
    inputTokens: 100,
    maxOutputTokens: 200,
    ...changes,
  };
}

export function batchPlan(changes: Partial<BatchPlan> = {}): BatchPlan {
  return {
    runnable: 10,
    total: 10,
    planKey: 'batches/batch_1/plan-a',
    groups: [rowGroup()],
    inputBytes: 1_000,
    longestRowBytes: 100,
    ...changes,
  };
}

/** A batch just created. */
export function batchDoc(changes: Partial<BatchDoc> = {}): BatchDoc {
  return {
    id: 'batch_1',
    generation: 1,
    identity: TENANT,
    inputFile: storedFile(),
    onlyRowsKey: null,
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterMs: null,
    wishes: WISHES,
    createdAtEpochMs: START_EPOCH_MS,
    expiresAtEpochMs: START_EPOCH_MS + 24 * 3_600_000,
    retryOf: null,
    retriedBy: null,
    status: 'validating',
    stamps: NO_STAMPS,
    errors: null,
    plan: null,
    pause: null,
    ending: null,
    final: null,
    ...changes,
  };
}

export function batchFinal(changes: Partial<BatchFinal> = {}): BatchFinal {
  const counts = { total: 10, completed: 10, failed: 0 };
  return { counts, usage: NO_USAGE, outputFileId: 'file-out', errorFileId: null, ...changes };
}

export function rowTotals(changes: Partial<RowTotals> = {}): RowTotals {
  const none = { pending: 0, completed: 0, failed: 0, expired: 0, cancelled: 0 };
  return { ...none, usage: NO_USAGE, gate: 'open', ...changes };
}

export function batchRequest(changes: Partial<BatchRequest> = {}): BatchRequest {
  return {
    identity: TENANT,
    inputFileId: 'file-in',
    endpoint: '/v1/chat/completions',
    completionWindow: '24h',
    metadata: null,
    outputExpiresAfterMs: null,
    wishes: WISHES,
    repetition: { key: null, bodyHash: 'hash-1', sdkRetry: 0 },
    ...changes,
  };
}
