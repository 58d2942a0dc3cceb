import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { errorEnvelope, PilotlightError } from '../../core/errors.ts';

/** Node keeps the answer in progress here; without it an error could end up in the middle of one. */
interface ServerSocket extends Duplex {
  readonly _httpMessage?: { readonly headersSent: boolean } | null;
}

/** Answers what never became a request, such as broken HTTP or headers that came too slowly, and closes the connection. */
export function answerBrokenRequest(cause: NodeJS.ErrnoException, socket: ServerSocket): void {
  if (cause.code === 'ECONNRESET' || !socket.writable || socket._httpMessage?.headersSent) {
    socket.destroy();
    return;
  }
  const { status, error } = explain(cause);
  const body = JSON.stringify(errorEnvelope(error));
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function explain(cause: NodeJS.ErrnoException): { status: number; error: PilotlightError } {
  if (cause.code === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const message = 'The request took too long to arrive.';
    return { status: 408, error: new PilotlightError('request_timeout', message, { cause }) };
  }
  if (cause.code === 'HPE_HEADER_OVERFLOW') {
    const message = 'The headers are larger than 16Ki.';
    return { status: 431, error: new PilotlightError('invalid_value', message, { param: 'headers', cause }) };
  }
  return { status: 400, error: new PilotlightError('invalid_value', 'This is not valid HTTP.', { cause }) };
}
