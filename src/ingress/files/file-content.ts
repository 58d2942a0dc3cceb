import { PilotlightError } from '../../core/errors.ts';
import type { BatchApiDeps } from '../batch-api.ts';
import { clientDrained } from '../client-drain.ts';
import { type Exchange, sendError } from '../exchange.ts';
import { contentAnswer } from '../policy/files/content-answer.ts';

/** GET and HEAD /v1/files/{id}/content: the bytes, as fast as the client reads them. */
export async function sendContent(
  deps: BatchApiDeps,
  exchange: Exchange,
  id: string,
  headOnly: boolean,
): Promise<void> {
  const { files } = deps.api;
  const { writer, signal, requestId, identity } = exchange;
  const file = await files.get(id, identity.tenant);
  const answer = answerOrRefusal(deps, exchange, file);
  if (!answer) return;
  const headers = { ...answer.headers, 'x-request-id': requestId };
  if (headOnly || answer.bytes === null) {
    if (writer.destroyed) return;
    writer.writeHead(answer.status, headers);
    writer.end();
    return;
  }
  const source = files.read(file, answer.range ?? undefined, signal)[Symbol.asyncIterator]();
  // Before the head, while an error can still be told.
  let next = await source.next();
  signal.throwIfAborted();
  writer.writeHead(answer.status, headers);
  let leftBytes = answer.bytes;
  const drain = { clock: deps.clock, stallTimeoutMs: deps.settings.clientStallTimeoutMs, signal };
  try {
    for (; !next.done; next = await source.next()) {
      leftBytes -= next.value.length;
      if (leftBytes < 0) throw new PilotlightError('internal_error', `The file '${id}' is longer than it should be.`);
      if (!writer.write(next.value)) await clientDrained(writer, drain);
    }
    if (leftBytes > 0) throw new PilotlightError('internal_error', `The file '${id}' is shorter than it should be.`);
    writer.end();
  } catch (thrown) {
    // Half a file must not look like a whole one.
    writer.destroy();
    if (!signal.aborted) deps.log.warn({ requestId, fileId: id, err: thrown }, 'file.content_broken_off');
  } finally {
    await source.return?.();
  }
}

function answerOrRefusal(deps: BatchApiDeps, exchange: Exchange, file: Parameters<typeof contentAnswer>[0]) {
  try {
    return contentAnswer(file, exchange.headers);
  } catch (thrown) {
    if (!(thrown instanceof PilotlightError)) throw thrown;
    sendError(exchange, deps.metrics, thrown, { 'content-range': `bytes */${file.bytes}` });
    return null;
  }
}
