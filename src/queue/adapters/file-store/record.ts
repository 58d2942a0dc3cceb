import { crc32 } from 'node:zlib';
import type { RecordHeader } from '../../jobs/ports.ts';

/**
 * One record: a preamble of 20 bytes, the header as JSON, the body. All numbers are unsigned 32-bit, big-endian.
 *
 * | offset | field                                                    |
 * | ------ | -------------------------------------------------------- |
 * | 0      | magic "PLR1" (layout version 1)                          |
 * | 4      | header length in bytes                                   |
 * | 8      | body length in bytes                                     |
 * | 12     | CRC-32 of the body                                       |
 * | 16     | CRC-32 of bytes 0–15 and the header                      |
 *
 * The header's own CRC lets a scan trust headers without reading bodies.
 */
export const PREAMBLE_BYTES = 20;
const MAGIC = 0x504c5231;
/** Far above any header we write (a `gone` record lists 500 ids), and a bound on what a damaged length makes us read. */
export const MAX_HEADER_BYTES = 1_048_576;

export interface Preamble {
  readonly headerBytes: number;
  readonly bodyBytes: number;
  readonly bodyCrc: number;
  readonly headCrc: number;
}

export interface EncodedRecord {
  /** Preamble and header. */
  readonly head: Buffer;
  readonly body: Uint8Array;
  readonly totalBytes: number;
}

const NO_BODY = new Uint8Array();
const KINDS: ReadonlySet<unknown> = new Set<RecordHeader['kind']>(['accept', 'void', 'result', 'orphan', 'gone']);

export function encodeRecord(header: RecordHeader, body: Uint8Array = NO_BODY): EncodedRecord {
  const json = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(json);
  const head = Buffer.allocUnsafe(PREAMBLE_BYTES + headerBytes);
  head.writeUInt32BE(MAGIC, 0);
  head.writeUInt32BE(headerBytes, 4);
  head.writeUInt32BE(body.byteLength, 8);
  head.writeUInt32BE(crc32(body), 12);
  head.write(json, PREAMBLE_BYTES);
  head.writeUInt32BE(headCrcOf(head), 16);
  return { head, body, totalBytes: head.byteLength + body.byteLength };
}

/** The preamble at the start of `bytes`, or null when it is none: too short, other magic, impossible length. */
export function decodePreamble(bytes: Buffer): Preamble | null {
  if (bytes.byteLength < PREAMBLE_BYTES || bytes.readUInt32BE(0) !== MAGIC) return null;
  const headerBytes = bytes.readUInt32BE(4);
  if (headerBytes === 0 || headerBytes > MAX_HEADER_BYTES) return null;
  return {
    headerBytes,
    bodyBytes: bytes.readUInt32BE(8),
    bodyCrc: bytes.readUInt32BE(12),
    headCrc: bytes.readUInt32BE(16),
  };
}

/** The header behind the preamble, or null when `head` is not what was written. */
export function decodeHeader(head: Buffer): RecordHeader | null {
  const preamble = decodePreamble(head);
  if (!preamble || head.byteLength !== PREAMBLE_BYTES + preamble.headerBytes) return null;
  if (headCrcOf(head) !== preamble.headCrc) return null;
  const header = JSON.parse(head.toString('utf8', PREAMBLE_BYTES)) as { kind?: unknown };
  // The CRC vouches for the fields: this release, or an older one with the same layout, wrote them.
  return KINDS.has(header.kind) ? (header as RecordHeader) : null;
}

export function isBodyIntact(preamble: Preamble, body: Uint8Array): boolean {
  return body.byteLength === preamble.bodyBytes && crc32(body) === preamble.bodyCrc;
}

function headCrcOf(head: Buffer): number {
  return crc32(head.subarray(PREAMBLE_BYTES), crc32(head.subarray(0, 16)));
}
