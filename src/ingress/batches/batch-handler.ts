import { BATCH_STATUSES, type BatchChange, type BatchRequest } from '../../core/batches.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { type Exchange, sendJson } from '../exchange.ts';
import { batchObject, dryRunObject } from '../policy/batches/batch-object.ts';
import { parseExtension, parsePause, parsePriority } from '../policy/batches/change-batch.ts';
import { parseBatch } from '../policy/batches/create-batch.ts';
import { repetitionOf } from '../policy/repetition.ts';
import { callerWishes } from '../policy/control-headers.ts';
import { listObject } from '../policy/files/file-object.ts';
import { type JsonObject, parseJsonBody } from '../policy/json-body.ts';
import { afterOf, integerIn, wordIn } from '../policy/query.ts';

/** As OpenAI has them. */
const LIST = { max: 100, default: 20 };

export interface CreateCall {
  readonly body: Uint8Array;
  /** SHA-256, hex. */
  readonly bodyHash: string;
  readonly query: URLSearchParams;
}

/** POST /v1/batches; with `?validate_only=true` nothing is kept and the answer is what validation found. */
export async function createBatch(deps: BatchApiDeps, exchange: Exchange, call: CreateCall): Promise<void> {
  const { identity, headers, signal } = exchange;
  const wishes = callerWishes(headers, identity.trusted);
  if (wishes instanceof PilotlightError) throw wishes;
  for (const header of wishes.ignored) deps.metrics.ignoredHeaders.inc({ header });
  const request: BatchRequest = {
    ...parseBatch(jsonOf(call.body), {
      windows: deps.api.settings.windows,
      nowEpochMs: deps.clock.epochMs(),
      headerObjective: wishes.objective,
    }),
    identity,
    repetition: { ...repetitionOf(headers), bodyHash: call.bodyHash },
  };
  if (wordIn(call.query, 'validate_only', ['true', 'false']) === 'true') {
    sendJson(exchange, 200, dryRunObject(await deps.api.batches.dryRun(request, signal)));
  } else {
    sendJson(exchange, 200, batchObject(await deps.api.batches.create(request)));
  }
}

/** GET /v1/batches, newest first. */
export async function listBatches({ api }: BatchApiDeps, exchange: Exchange, query: URLSearchParams): Promise<void> {
  const page = await api.batches.list(exchange.identity.tenant, {
    limit: integerIn(query, 'limit', { min: 1, max: LIST.max }) ?? LIST.default,
    after: afterOf(query),
    status: wordIn(query, 'status', BATCH_STATUSES),
  });
  sendJson(exchange, 200, listObject(page, batchObject));
}

/** GET /v1/batches/{id} */
export async function showBatch({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, batchObject(await api.batches.get(id, exchange.identity.tenant)));
}

/** POST /v1/batches/{id}/cancel */
export async function cancelBatch({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, batchObject(await api.batches.cancel(id, exchange.identity.tenant)));
}

/** POST /v1/batches/{id}/retry_failed: a new batch of the rows that did not complete. */
export async function retryFailed({ api }: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  sendJson(exchange, 200, batchObject(await api.batches.retryFailed(id, exchange.identity)));
}

/** What may be asked of an unfinished batch, by the last part of the path. */
export const BATCH_CHANGES = {
  pause: (body) => parsePause(body),
  resume: () => ({ kind: 'resume' }),
  priority: (body) => parsePriority(body),
  extend: (body, nowEpochMs) => parseExtension(body, nowEpochMs),
} as const satisfies Record<string, (body: JsonObject, nowEpochMs: number) => BatchChange>;

export type ChangeName = keyof typeof BATCH_CHANGES;

/** POST /v1/batches/{id}/pause, resume, priority and extend. */
export async function changeBatch(
  { api, clock }: BatchApiDeps,
  exchange: Exchange,
  { id, change, body }: { readonly id: string; readonly change: ChangeName; readonly body: Uint8Array },
): Promise<void> {
  const parsed = BATCH_CHANGES[change](body.length === 0 ? {} : jsonOf(body), clock.epochMs());
  sendJson(exchange, 200, batchObject(await api.batches.change(id, exchange.identity, parsed)));
}

function jsonOf(body: Uint8Array): JsonObject {
  const parsed = parseJsonBody(body);
  if (parsed instanceof PilotlightError) throw parsed;
  return parsed.value;
}
