import type { BatchView } from '../../core/batches.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { clientDrained } from '../client-drain.ts';
import type { Exchange } from '../exchange.ts';
import { batchObject } from '../policy/batches/batch-object.ts';
import { errorEvent } from '../policy/error-answer.ts';
import { COMMENT_EVERY_MS } from '../policy/stream-events.ts';

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  // Asks nginx-like proxies not to buffer.
  'x-accel-buffering': 'no',
};

/**
 * GET /v1/batches/{id}/events: the batch object as an SSE event at once and after each change, until it has ended. A client
 * that reads slowly gets fewer events, never old ones.
 */
export async function sendEvents(deps: BatchApiDeps, exchange: Exchange, id: string): Promise<void> {
  const { writer, signal, requestId, identity } = exchange;
  const ended = new AbortController();
  const views = deps.api.batches.watch(id, identity.tenant, AbortSignal.any([signal, ended.signal]));
  const source = views[Symbol.asyncIterator]();
  try {
    // Before the head, while an error can still be told.
    const first = await source.next();
    signal.throwIfAborted();
    writer.writeHead(200, { ...HEADERS, 'x-request-id': requestId });
    await relay(deps, exchange, source, first);
    writer.end();
  } catch (thrown) {
    if (!writer.headersSent) throw thrown;
    if (!writer.destroyed && !writer.writableEnded) writer.end(errorEvent(shownError(deps, exchange, thrown)));
  } finally {
    ended.abort(new PilotlightError('request_cancelled', 'The stream of events has ended.'));
    await source.return?.().catch(() => undefined);
  }
}

async function relay(
  { clock, settings }: BatchApiDeps,
  { writer, signal }: Exchange,
  source: AsyncIterator<BatchView>,
  first: IteratorResult<BatchView>,
): Promise<void> {
  const drain = { clock, stallTimeoutMs: settings.clientStallTimeoutMs, signal };
  let next = first;
  while (!next.done) {
    writer.write(`event: batch\ndata: ${JSON.stringify(batchObject(next.value))}\n\n`);
    if (writer.writableNeedDrain) await clientDrained(writer, drain);
    const coming = source.next();
    const quiet = new AbortController();
    const comments = comment();
    try {
      next = await coming;
    } finally {
      quiet.abort();
      await comments;
    }

    async function comment(): Promise<void> {
      const slept = () =>
        clock.sleep(COMMENT_EVERY_MS, AbortSignal.any([signal, quiet.signal])).then(
          () => true,
          () => false,
        );
      // Tells proxies, and a client that has a time-out, that the connection lives.
      while (await slept()) if (!writer.writableNeedDrain) writer.write(': pilotlight\n\n');
    }
  }
}

function shownError({ log }: BatchApiDeps, { requestId, signal }: Exchange, thrown: unknown): PilotlightError {
  if (thrown instanceof PilotlightError) return thrown;
  if (!signal.aborted) log.error({ requestId, err: asError(thrown) }, 'request.crashed');
  return new PilotlightError('internal_error', `Something went wrong here; the logs have it under ${requestId}.`);
}
