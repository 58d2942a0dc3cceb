import type { Request, Response } from 'express';
import { PilotlightError } from '../../core/errors.ts';
import type { Identity } from '../../core/identity.ts';
import { liftBodyDeadline } from '../../platform/http/body-deadlines.ts';
import { countRefusal, type Exchange, type HandlerDeps, reportable, sendError } from '../exchange.ts';
import type { HeldBudget } from '../held-budget.ts';
import { endedByUs, type OpenCalls } from '../open-calls.ts';
import { saneRequestId } from '../policy/answer-headers.ts';
import { errorAnswer } from '../policy/error-answer.ts';
import type { Authenticator, ReadinessSource } from '../ports.ts';
import { readBody } from './read-body.ts';

export interface ExchangeDeps extends HandlerDeps {
  readonly authenticator: Authenticator;
  readonly readiness: ReadinessSource;
  readonly budget: HeldBudget;
  readonly openCalls: OpenCalls;
}

/** An unread body up to this size is read and thrown away, so that its connection stays usable. */
const MAX_DISCARDED_BYTES = 65_536;

/** How long a refused client may go on sending before its connection is cut, so that it can still read the refusal. */
const LINGER_MS = 2_000;

export interface Incoming {
  /** As metrics name it. */
  readonly route: string;
  readonly req: Request;
  readonly res: Response;
}

interface OpenRequest {
  readonly requestId: string;
  readonly callId: string;
  readonly req: Request;
  readonly writer: Response;
  readonly signal: AbortSignal;
}

/** Runs a handler that needs no body, for an authenticated caller. */
export async function withCaller(
  deps: ExchangeDeps,
  incoming: Incoming,
  handle: (exchange: Exchange) => void | Promise<void>,
): Promise<void> {
  const opened = openRequest(deps, incoming);
  try {
    const decided = deps.authenticator.authenticate(incoming.req.headers);
    const identity = decided instanceof Promise ? await decided : decided;
    if (identity instanceof PilotlightError) sendError(opened, deps.metrics, identity);
    else await handle(exchangeOf(opened, identity));
  } catch (thrown) {
    if (!opened.signal.aborted) sendError(opened, deps.metrics, reportable(thrown, deps.log, opened.requestId));
  }
}

type BodyHandler = (exchange: Exchange, body: Uint8Array) => Promise<void>;

/**
 * Runs a handler with the request's body, inside the budget of held calls. Not an async function: its frame would keep
 * the body as received while the call waits.
 */
export function withBody(deps: ExchangeDeps, incoming: Incoming, handle: BodyHandler): Promise<void> {
  const opened = openRequest(deps, incoming);
  const readiness = deps.readiness.readiness();
  if (readiness.kind === 'draining') {
    const message = `This replica is shutting down: ${readiness.reason}. Try again.`;
    return refuseAtDoor(deps, opened, new PilotlightError('draining', message));
  }
  const decided = deps.authenticator.authenticate(incoming.req.headers);
  if (!(decided instanceof Promise)) return readAndHandle(deps, opened, decided, handle);
  return decided.then((identity) => readAndHandle(deps, opened, identity, handle));
}

/**
 * Runs a handler that reads the request's body itself, as it arrives and for as long as it does. What the handler throws is
 * told to the client also while that is still sending.
 */
export async function withSender(
  deps: ExchangeDeps,
  incoming: Incoming,
  handle: (exchange: Exchange) => Promise<void>,
): Promise<void> {
  const opened = openRequest(deps, incoming);
  const { req, res } = incoming;
  try {
    const readiness = deps.readiness.readiness();
    if (readiness.kind === 'draining') {
      throw new PilotlightError('draining', `This replica is shutting down: ${readiness.reason}. Try again.`);
    }
    const identity = await deps.authenticator.authenticate(req.headers);
    if (identity instanceof PilotlightError) throw identity;
    opened.signal.throwIfAborted();
    liftBodyDeadline(req);
    if (req.headers.expect !== undefined) res.writeContinue();
    await handle(exchangeOf(opened, identity));
  } catch (thrown) {
    const ended = endedByUs(opened.signal);
    if (opened.signal.aborted && !ended) return;
    await refuseUnread(deps, opened, ended ?? reportable(thrown, deps.log, opened.requestId));
  }
}

function readAndHandle(
  deps: ExchangeDeps,
  opened: OpenRequest,
  identity: Identity | PilotlightError,
  handle: BodyHandler,
): Promise<void> {
  const { req, writer: res } = opened;
  // It left, or we ended it, while its token was checked: nothing may be reserved for it any more.
  const ended = endedByUs(opened.signal);
  if (ended) return refuseAtDoor(deps, opened, ended);
  if (opened.signal.aborted) return Promise.resolve();
  if (identity instanceof PilotlightError) return refuseUnread(deps, opened, identity);
  const hold = deps.budget.hold();
  if (hold instanceof PilotlightError) return refuseAtDoor(deps, opened, hold);
  res.once('close', () => hold.release());
  const fail = (thrown: unknown) => {
    hold.release();
    if (opened.signal.aborted) return Promise.resolve();
    return refuseUnread(deps, opened, reportable(thrown, deps.log, opened.requestId));
  };
  const reading = readBody(req, res, hold, deps.settings.maxBodyBytes);
  if (reading instanceof PilotlightError) {
    countRefusal(deps.metrics, reading);
    return fail(reading);
  }
  const countUnread = (thrown: unknown) => {
    if (thrown instanceof PilotlightError && thrown.code !== 'request_cancelled') countRefusal(deps.metrics, thrown);
    throw thrown;
  };
  return reading.then((body) => handle(exchangeOf(opened, identity), body), countUnread).catch(fail);
}

/** A refusal of this replica, whatever the request is. */
function refuseAtDoor(deps: ExchangeDeps, opened: OpenRequest, error: PilotlightError): Promise<void> {
  countRefusal(deps.metrics, error);
  return refuseUnread(deps, opened, error);
}

function openRequest({ ids, metrics, openCalls }: ExchangeDeps, { route, req, res }: Incoming): OpenRequest {
  const gone = new AbortController();
  openCalls.add(gone);
  res.once('close', () => {
    openCalls.delete(gone);
    if (!res.writableFinished) {
      gone.abort(new PilotlightError('request_cancelled', 'The client closed the connection.'));
    }
    metrics.requests.inc({
      path: route,
      status_class: res.headersSent ? `${Math.floor(res.statusCode / 100)}xx` : 'left',
    });
  });
  const callId = ids.requestId();
  const requestId = saneRequestId(req.headers['x-request-id']) ?? callId;
  return { requestId, callId, req, writer: res, signal: gone.signal };
}

function exchangeOf({ requestId, callId, req, writer, signal }: OpenRequest, identity: Identity): Exchange {
  return { requestId, callId, identity, headers: req.headers, writer, signal };
}

/**
 * Answers with an error while the client may still be sending. Cutting it off at once would reset the connection before
 * it reads the answer; so what it sends is thrown away for a moment, then the connection ends.
 */
function refuseUnread(deps: ExchangeDeps, opened: OpenRequest, error: PilotlightError): Promise<void> {
  const { req, writer: res, requestId } = opened;
  const sentBytes = Number(req.headers['content-length'] ?? Number.POSITIVE_INFINITY);
  const hasNoBody = req.headers['transfer-encoding'] === undefined && req.headers['content-length'] === undefined;
  if (req.complete || hasNoBody || (sentBytes <= MAX_DISCARDED_BYTES && error.code !== 'draining')) {
    sendError(opened, deps.metrics, error, error.code === 'draining' ? { connection: 'close' } : {});
    return Promise.resolve();
  }
  if (res.destroyed || res.headersSent) return Promise.resolve();
  deps.metrics.errors.inc({ code: error.code });
  const answer = errorAnswer(error);
  const length = String(Buffer.byteLength(answer.body));
  res.writeHead(answer.status, {
    ...answer.headers,
    'x-request-id': requestId,
    'content-length': length,
    connection: 'close',
  });
  res.write(answer.body);
  return lingerAndEnd(req, res);
}

function lingerAndEnd(req: Request, res: Response): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      clearTimeout(timer);
      req.off('end', finish).off('close', finish);
      res.end();
      resolve();
    };
    const timer = setTimeout(finish, LINGER_MS);
    req.on('end', finish).on('close', finish).resume();
  });
}
