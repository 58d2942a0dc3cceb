import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { PilotlightError } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';
import type { Hold } from '../held-budget.ts';

const DECODERS = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
} as const;

/**
 * The whole body, or why it is refused. Memory is reserved before it is filled: a declared length at once, anything
 * else as it grows. The limit holds for the inflated size of a compressed body.
 */
export function readBody(
  req: IncomingMessage,
  res: ServerResponse,
  hold: Hold,
  maxBodyBytes: number,
): Promise<Uint8Array> | PilotlightError {
  const refused = checkMediaType(req.headers['content-type']);
  if (refused) return refused;
  const encoding = req.headers['content-encoding']?.trim().toLowerCase() ?? 'identity';
  if (encoding !== 'identity' && !isKnownEncoding(encoding)) {
    const message = `The content encoding '${encoding.slice(0, 32)}' is not supported; use gzip, deflate, br or none.`;
    return new PilotlightError('unsupported_media_type', message, { param: 'content-encoding' });
  }
  const declaredBytes = Number(req.headers['content-length'] ?? 0);
  if (declaredBytes > maxBodyBytes) return tooLarge(maxBodyBytes);
  const reservedBytes = encoding === 'identity' ? declaredBytes : 0;
  const full = hold.reserve(reservedBytes);
  if (full) return full;
  if (req.headers.expect !== undefined) res.writeContinue();
  const source = encoding === 'identity' ? req : inflated(req, DECODERS[encoding]());
  return collect(req, source, { hold, reservedBytes, maxBodyBytes });
}

function isKnownEncoding(encoding: string): encoding is keyof typeof DECODERS {
  return Object.hasOwn(DECODERS, encoding);
}

function inflated(req: IncomingMessage, decoder: Readable & NodeJS.WritableStream): Readable {
  req.pipe(decoder);
  // The decoder ends with its request: neither waits for bytes that will not come.
  req.once('close', () => {
    if (!req.complete) decoder.destroy();
  });
  return decoder;
}

interface CollectLimits {
  readonly hold: Hold;
  readonly reservedBytes: number;
  readonly maxBodyBytes: number;
}

function collect(req: IncomingMessage, source: Readable, limits: CollectLimits): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let readBytes = 0;
    let reservedBytes = limits.reservedBytes;
    const finish = (error?: PilotlightError) => {
      source.off('data', onData).off('end', finish).off('error', onBroken).off('close', onBroken);
      if (!error) {
        resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, readBytes));
        return;
      }
      if (source !== req) {
        req.unpipe();
        source.destroy();
      }
      reject(error);
    };
    const onData = (chunk: Buffer) => {
      readBytes += chunk.length;
      chunks.push(chunk);
      const refused = readBytes > limits.maxBodyBytes ? tooLarge(limits.maxBodyBytes) : reserveGrowth();
      if (refused) finish(refused);
    };
    const reserveGrowth = () => {
      const growthBytes = readBytes - reservedBytes;
      if (growthBytes <= 0) return undefined;
      reservedBytes = readBytes;
      return limits.hold.reserve(growthBytes);
    };
    const onBroken = () => finish(unreadable(req));
    source.on('data', onData).once('end', finish).once('error', onBroken).once('close', onBroken);
  });
}

function unreadable(req: IncomingMessage): PilotlightError {
  return req.complete
    ? new PilotlightError('invalid_json', 'The body cannot be decompressed; it is damaged.', { param: 'body' })
    : new PilotlightError('request_cancelled', 'The client closed the connection before its body was complete.');
}

function tooLarge(maxBodyBytes: number): PilotlightError {
  return new PilotlightError('body_too_large', `The body is larger than ${formatBytes(maxBodyBytes)} (limits.body).`, {
    param: 'body',
  });
}

/** JSON in UTF-8, said or unsaid. */
function checkMediaType(header: string | undefined): PilotlightError | undefined {
  if (header === undefined || header === 'application/json') return undefined;
  const [type = '', ...parameters] = header.toLowerCase().split(';');
  const charset = parameters.find((parameter) => parameter.trim().startsWith('charset='));
  const isUtf8 = charset === undefined || /^\s*charset="?utf-?8"?\s*$/.test(charset);
  if (isUtf8 && /^\s*application\/([\w.-]+\+)?json\s*$/.test(type)) return undefined;
  return new PilotlightError(
    'unsupported_media_type',
    "The body must be JSON in UTF-8; send it with the header 'Content-Type: application/json'.",
    { param: 'content-type' },
  );
}
