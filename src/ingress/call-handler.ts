import type { ApiPath } from '../core/call.ts';
import type { DispatchRequest, DispatchResult } from '../core/dispatch.ts';
import { PilotlightError } from '../core/errors.ts';
import type { KeyUse } from '../core/idempotency.ts';
import { formatDuration } from '../core/units.ts';
import {
  countRefusal,
  type Exchange,
  type HandlerDeps,
  reportable,
  retold,
  sendError,
  withRetryAfter,
} from './exchange.ts';
import { HeldAnswer } from './held-answer.ts';
import { keyConflict, keyInProgress, keyUseOf } from './idempotency/key-use.ts';
import { atOldPlace, rememberPlace } from './idempotency/place-in-line.ts';
import { submitJob } from './job-handler.ts';
import { endedByUs } from './open-calls.ts';
import { forwardedCallHeaders } from './policy/answer-headers.ts';
import { heldRequest, promptTextOf } from './policy/build-request.ts';
import { errorEvent } from './policy/error-answer.ts';
import { jobFromCall } from './policy/job-submission.ts';
import { type ParsedCall, parseCall, servedBody } from './policy/parse-call.ts';
import { parsePrefer } from './policy/prefer.ts';
import { rateHeaders } from './policy/rate-headers.ts';
import { responseErrorEvent } from './policy/responses/event-text.ts';
import { shortest } from './policy/wished-duration.ts';
import { startResponse } from './responses/start-response.ts';
import { routeCall } from './routing.ts';

/**
 * Answers one call on an OpenAI path: validates all of it, then waits for a slot with the client on the line, or stores
 * it as a job if the client prefers so. Parsing is done before the first wait, so that a waiting call holds its bytes only.
 */
export function answerCall(deps: HandlerDeps, path: ApiPath, exchange: Exchange, body: Uint8Array): Promise<void> {
  const parsed = parseCall(path, body);
  if (parsed instanceof PilotlightError) return refuse(deps, exchange, parsed);
  if (parsed.wishes.background) return startResponse(deps, exchange, parsed, parsed.wishes);
  const preference = parsePrefer(exchange.headers.prefer);
  if (preference.respondAsync) {
    const submission = jobFromCall(path, parsed.fields, parsed.text, parsed.wishes);
    if (submission instanceof PilotlightError) return refuse(deps, exchange, submission);
    return submitJob(deps, exchange, submission, preference);
  }
  const held = prepare(deps, exchange, parsed, body);
  if (held instanceof PilotlightError) return refuse(deps, exchange, held);
  const use = keyUseOf(deps.keys, exchange, 'call', () => [path, body]);
  return use ? runClaimed(deps, exchange, held, use) : runHeld(deps, exchange, held);
}

/** One call with this key at a time; when it has ended the next one runs again. */
async function runClaimed(deps: HandlerDeps, exchange: Exchange, held: PreparedCall, use: KeyUse): Promise<void> {
  const { call, ticket } = held.request;
  const refusal = await refusalOf(deps, use, call.id);
  if (refusal) {
    countRefusal(deps.metrics, refusal, { pool: call.pool, objective: ticket.objective });
    await refuse(deps, exchange, refusal);
    return;
  }
  try {
    await runHeld(deps, exchange, held);
  } finally {
    await deps.keys.endCall(use, call.id);
  }
}

/** Null = the key is this call's. */
async function refusalOf(
  { keys }: Pick<HandlerDeps, 'keys'>,
  use: KeyUse,
  callId: string,
): Promise<PilotlightError | null> {
  try {
    const { kind } = await keys.claimCall(use, callId);
    if (kind === 'mine') return null;
    return kind === 'busy' ? keyInProgress() : keyConflict();
  } catch (thrown) {
    if (thrown instanceof PilotlightError) return thrown;
    throw thrown;
  }
}

interface PreparedCall {
  readonly request: DispatchRequest;
  /** Lets go of the parsed body; the prompt text is made from the bytes from then on. */
  readonly dropTree: () => void;
}

function prepare(
  deps: HandlerDeps,
  exchange: Exchange,
  { path, fields, text, promptText, wishes }: ParsedCall,
  received: Uint8Array,
): PreparedCall | PilotlightError {
  const route = routeCall(deps, exchange, { fields, ...wishes, at: '' });
  if (route instanceof PilotlightError) return route;
  const { servedModel } = route.resolution;
  const body = servedBody(
    { path, text, model: fields.model, servedModel, hasExtension: fields.hasExtension },
    received,
  );
  let fromTree: (() => string) | null = promptText;
  const request = heldRequest(
    {
      ...route,
      ttlMs: shortest([route.ttlMs, wishes.ttlMs]),
      deadlineMs: wishes.deadlineMs,
      terms: deps.tenants.termsOf(route.fairnessId),
      id: exchange.callId,
      path,
      fields,
      body,
      promptText: () => fromTree?.() ?? promptTextOf(path, body),
      forwardHeaders: forwardedCallHeaders(exchange.headers, exchange.requestId),
      nowEpochMs: deps.clock.epochMs(),
    },
    deps.settings,
  );
  return {
    request,
    dropTree() {
      fromTree = null;
    },
  };
}

async function runHeld(deps: HandlerDeps, exchange: Exchange, held: PreparedCall): Promise<void> {
  const { settings, clock } = deps;
  const placed = atOldPlace(deps, exchange, held.request);
  const request = placed instanceof Promise ? await placed : placed;
  const { requestId, writer, signal } = exchange;
  const answer = new HeldAnswer({
    writer,
    clock,
    requestId,
    stream: request.call.stream,
    errorEvent: request.call.path === '/v1/responses' ? responseErrorEvent : errorEvent,
    clientStallTimeoutMs: settings.clientStallTimeoutMs,
    exposeEndpoint: settings.exposeEndpoint,
    ttlMayStop: request.ticket.expiryStopsWithoutCapacity === true,
    onWaiting: held.dropTree,
    ownHeaders: () => (deps.quotas ? rateHeaders(deps.quotas.state(request.ticket.fairnessId)) : {}),
  });
  const error = await runToError(deps, exchange, request, answer);
  if (signal.aborted && !endedByUs(signal)) {
    answer.abandon();
  } else if (error) {
    deps.metrics.errors.inc({ code: error.code });
    answer.fail(forCaller(deps, request, error));
  }
}

async function runToError(
  deps: HandlerDeps,
  exchange: Exchange,
  request: DispatchRequest,
  answer: HeldAnswer,
): Promise<PilotlightError | null> {
  const { runner, log } = deps;
  const { requestId, signal } = exchange;
  try {
    const result = await runner.run(request, answer, { signal });
    rememberPlace(deps, exchange, request, result);
    log.debug({ requestId, callId: request.call.id, pool: request.call.pool, result: result.kind }, 'call.answered');
    // A client must never be left with half an answer and an open connection.
    if (result.kind === 'completed' && !answer.isClosed) throw new Error('completed without an end');
    return errorOf(result);
  } catch (thrown) {
    return signal.aborted ? endedByUs(signal) : reportable(thrown, log, requestId);
  }
}

function errorOf(result: DispatchResult): PilotlightError | null {
  switch (result.kind) {
    case 'completed':
      return null;
    case 'rejected':
    case 'failed':
      return result.error;
    case 'handed_back':
      return new PilotlightError('queue_unavailable', `The call could not be queued: ${result.reason}. Try again.`);
    case 'superseded':
      return new PilotlightError('internal_error', 'A call with this id is already being run.');
  }
}

/** Adds what only this place knows: when to come back, and the other way to ask. */
function forCaller(
  deps: HandlerDeps,
  { ticket, call, timeouts }: DispatchRequest,
  error: PilotlightError,
): PilotlightError {
  const timed = withRetryAfter(error, () => deps.advisor.retryAfterMs(call.pool, ticket.objective));
  if (timed.code !== 'max_hold_exceeded') return timed;
  const waited = formatDuration(timeouts.maxWaitMs ?? 0);
  const limit = call.stream ? 'timeouts.maxStreamHold' : 'timeouts.maxHold';
  const message = `No slot became free within ${waited} (${limit}). To wait longer send it as a job: POST /v1/jobs.`;
  return retold(timed, message, timed.retryAfterMs);
}

function refuse(deps: HandlerDeps, exchange: Exchange, error: PilotlightError): Promise<void> {
  sendError(exchange, deps.metrics, error);
  return Promise.resolve();
}
