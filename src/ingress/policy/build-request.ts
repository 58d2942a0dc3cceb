import { admissionLimits, estimatedCostTokens } from '../../core/admission.ts';
import type { ApiPath, InferenceCall } from '../../core/call.ts';
import type { CallTimeouts, DispatchRequest } from '../../core/dispatch.ts';
import { PilotlightError } from '../../core/errors.ts';
import type { JobSpec } from '../../core/jobs.ts';
import type { TicketSpec } from '../../core/live-order.ts';
import type { Catalog, ModelResolution, ObjectiveSpec, PoolKey } from '../../core/objects.ts';
import type { TenantDirectory, TenantTerms } from '../../core/tenants.ts';
import type { CallFields } from './call-fields.ts';
import { EXTENSION } from './call-wishes.ts';
import { isJsonObject } from './json-body.ts';
import { servedBody } from './parse-call.ts';
import { promptText } from './prompt-text.ts';
import { shortest } from './wished-duration.ts';

/** A common rule of thumb for English text and BPE tokens. */
const BYTES_PER_TOKEN = 4;

export interface TimeoutSettings {
  readonly maxHoldMs: number;
  readonly maxStreamHoldMs: number;
  readonly upstreamIdleTimeoutMs: number;
  readonly upstreamTimeoutMs: number;
}

export interface HeldCall {
  /** Made here and never by the caller: it is the ticket's id. */
  readonly id: string;
  readonly path: ApiPath;
  readonly fields: CallFields;
  readonly resolution: ModelResolution;
  readonly objective: ObjectiveSpec;
  readonly fairnessId: string;
  /** Of the fairness id. */
  readonly terms: TenantTerms;
  /** Longest wait for a slot, and the time until it must have one, as the caller set them; null = it did not. */
  readonly ttlMs: number | null;
  readonly deadlineMs: number | null;
  /** JSON to forward, the served model already in it. */
  readonly body: Uint8Array;
  readonly promptText: () => string;
  readonly forwardHeaders: Readonly<Record<string, string>>;
  readonly nowEpochMs: number;
}

/** The request for a call whose client waits. */
export function heldRequest(held: HeldCall, settings: TimeoutSettings): DispatchRequest {
  const { id, path, fields, resolution, objective, body } = held;
  const adapter = resolution.route.adapter ?? null;
  const inputTokens = estimatedTokens(body);
  return {
    call: {
      id,
      path,
      pool: resolution.pool.key,
      model: fields.model,
      servedModel: resolution.servedModel,
      adapter,
      stream: fields.stream,
      body,
      promptText: held.promptText,
      inputTokens,
      maxOutputTokens: fields.maxOutputTokens,
      forwardHeaders: held.forwardHeaders,
    },
    ticket: {
      id,
      kind: 'held',
      objective: objective.name,
      priority: objective.priority,
      fairnessId: held.fairnessId,
      ...shareOf(held.terms),
      costTokens: estimatedCostTokens({ inputTokens, maxOutputTokens: fields.maxOutputTokens }),
      bytes: body.length,
      classKey: adapter ?? '',
      ...clocksOf(held),
      arrivedAtEpochMs: null,
      limits: admissionLimits(resolution.pool, objective, held.terms.quotas),
    },
    timeouts: callTimeouts(fields.stream, settings),
  };
}

/** What the order should know of a tenant. */
function shareOf({ weight, quotas: { maxConcurrency } }: TenantTerms): Pick<TicketSpec, 'weight' | 'maxConcurrency'> {
  return { weight, ...(maxConcurrency !== null && { maxConcurrency }) };
}

type Clocks = Pick<TicketSpec, 'expiresAtEpochMs' | 'expiryStopsWithoutCapacity' | 'deadlineEpochMs'>;

/**
 * The shorter of the caller's TTL and its objective's, on the clock that the objective has; a deadline is on the wall's
 * clock, so that both are one unless the TTL's clock can stop.
 */
function clocksOf({ objective, ttlMs: wishedMs, deadlineMs, nowEpochMs }: HeldCall): Clocks {
  const ttlMs = shortest([wishedMs, objective.queueTtlMs]);
  const at = (durationMs: number | null) => (durationMs === null ? null : nowEpochMs + durationMs);
  const due = deadlineMs === null ? {} : { deadlineEpochMs: nowEpochMs + deadlineMs };
  if (ttlMs !== null && objective.queueTtlStopsWithoutCapacity) {
    return { expiresAtEpochMs: at(ttlMs), expiryStopsWithoutCapacity: true, ...due };
  }
  return { expiresAtEpochMs: at(shortest([ttlMs, deadlineMs])), ...due };
}

/** A row of a batch, as far as its request depends on it. `inputTokens` and `maxOutputTokens` are estimates. */
export interface BatchRow {
  readonly id: string;
  readonly tenant: string;
  readonly group: {
    readonly pool: PoolKey;
    readonly objective: string;
    readonly path: ApiPath;
    readonly model: string;
    readonly servedModel: string;
    readonly adapter: string | null;
  };
  readonly deadlineEpochMs: number;
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
}

/**
 * The request for a row whose `body` was validated. As for a job; but a row arrives when it enters the live order, because
 * the rows of a night would else stand before everything that came later.
 */
export function callFromRow(
  row: BatchRow,
  body: Uint8Array,
  catalog: Catalog,
  settings: TimeoutSettings,
  tenants: TenantDirectory,
): DispatchRequest | PilotlightError {
  const { id, group, inputTokens, maxOutputTokens } = row;
  const pool = catalog.pools.get(group.pool);
  if (!pool) return new PilotlightError('no_capacity', `The pool '${group.pool}' of this row no longer exists.`);
  const objective = catalog.objective(group.pool, group.objective) ?? catalog.defaultObjective(group.pool);
  const { path, model, servedModel } = group;
  // Rows of this path lose members that are ours, the others are passed on as they are where the name is the same.
  const hasExtension = Buffer.from(body.buffer, body.byteOffset, body.byteLength).includes(EXTENSION_KEY);
  const isPassedOn = path !== '/v1/responses' && model === servedModel && !hasExtension;
  const served = isPassedOn
    ? body
    : servedBody({ path, text: utf8.decode(body), model, servedModel, hasExtension, stream: false }, body);
  const terms = tenants.termsOf(row.tenant);
  return {
    call: {
      id,
      path,
      pool: group.pool,
      model,
      servedModel,
      adapter: group.adapter,
      stream: false,
      body: served,
      promptText: () => promptTextOf(path, served),
      inputTokens,
      maxOutputTokens,
      forwardHeaders: { 'x-request-id': id },
    },
    ticket: {
      id,
      kind: 'row',
      objective: group.objective,
      priority: objective.priority,
      fairnessId: row.tenant,
      ...shareOf(terms),
      costTokens: estimatedCostTokens({ inputTokens, maxOutputTokens }),
      bytes: served.length,
      classKey: group.adapter ?? '',
      expiresAtEpochMs: row.deadlineEpochMs,
      arrivedAtEpochMs: null,
      limits: admissionLimits(pool, objective, terms.quotas),
    },
    timeouts: { ...callTimeouts(false, settings), maxWaitMs: null },
  };
}

/**
 * The request for an accepted job. Objects may have changed since: without its objective it runs at the pool's default
 * priority under its old name, under which it is counted; without its pool it cannot run (`no_capacity`).
 */
export function callFromJob(
  spec: JobSpec,
  body: Uint8Array,
  catalog: Catalog,
  settings: TimeoutSettings,
  tenants: TenantDirectory,
): DispatchRequest | PilotlightError {
  const pool = catalog.pools.get(spec.pool);
  if (!pool) return new PilotlightError('no_capacity', `The pool '${spec.pool}' of this job no longer exists.`);
  const objective = catalog.objective(spec.pool, spec.objective) ?? catalog.defaultObjective(spec.pool);
  const terms = tenants.termsOf(spec.tenant);
  return {
    call: jobCall(spec, body),
    ticket: {
      id: spec.id,
      kind: 'stored',
      objective: spec.objective,
      priority: objective.priority,
      fairnessId: spec.tenant,
      ...shareOf(terms),
      costTokens: estimatedCostTokens(spec),
      bytes: body.length,
      classKey: spec.adapter ?? '',
      expiresAtEpochMs: spec.deadlineEpochMs,
      arrivedAtEpochMs: spec.acceptedAtEpochMs,
      ...(spec.announce && { announced: true }),
      limits: admissionLimits(pool, objective, terms.quotas),
    },
    timeouts: { ...callTimeouts(spec.streamed === true, settings), maxWaitMs: null },
  };
}

function jobCall(spec: JobSpec, body: Uint8Array): InferenceCall {
  return {
    id: spec.id,
    path: spec.path,
    pool: spec.pool,
    model: spec.model,
    servedModel: spec.servedModel,
    adapter: spec.adapter,
    stream: spec.streamed === true,
    body,
    promptText: () => promptTextOf(spec.path, body),
    inputTokens: spec.inputTokens,
    maxOutputTokens: spec.maxOutputTokens,
    forwardHeaders: { 'x-request-id': spec.id },
  };
}

export function estimatedTokens(body: Uint8Array): number {
  return Math.ceil(body.length / BYTES_PER_TOKEN);
}

/** A plain answer is silent until it is complete, so only the whole of it can be timed. */
function callTimeouts(stream: boolean, settings: TimeoutSettings): CallTimeouts {
  const overallMs = settings.upstreamTimeoutMs;
  if (!stream) return { maxWaitMs: settings.maxHoldMs, idleMs: overallMs, overallMs };
  return { maxWaitMs: settings.maxStreamHoldMs, idleMs: settings.upstreamIdleTimeoutMs, overallMs };
}

const utf8 = new TextDecoder();
/** In any row that has the member; a row that only speaks of it is looked at for nothing. */
const EXTENSION_KEY = `"${EXTENSION}"`;

/** The prompt text of a validated body, parsed anew: a call that waits keeps its bytes and no object tree beside them. */
export function promptTextOf(path: ApiPath, body: Uint8Array): string {
  const value: unknown = JSON.parse(utf8.decode(body));
  return isJsonObject(value) ? promptText(path, value) : '';
}
