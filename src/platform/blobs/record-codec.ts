import { crc32 } from 'node:zlib';

/**
 * One record of a segment: a preamble of 20 bytes, the header as JSON, the body. All numbers are unsigned 32-bit,
 * big-endian.
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
/** Far above any header we write (the longest lists 500 ids), and a bound on what a damaged length makes us read. */
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
}

/** A record that is not what was written: cut, overwritten, or never one. */
export interface CorruptRecord {
  readonly kind: 'corrupt';
  readonly why: string;
}

export type DecodedRecord = { readonly kind: 'whole'; readonly header: unknown; readonly body: Buffer } | CorruptRecord;

const NO_BODY = new Uint8Array();

/** To be appended as `log.append([head, body])`. The header is written as JSON, at most 1 MiB of it. */
export function encodeRecord(header: object, body: Uint8Array = NO_BODY): EncodedRecord {
  const json = JSON.stringify(header);
  const headerBytes = Buffer.byteLength(json);
  const head = Buffer.allocUnsafe(PREAMBLE_BYTES + headerBytes);
  head.writeUInt32BE(MAGIC, 0);
  head.writeUInt32BE(headerBytes, 4);
  head.writeUInt32BE(body.byteLength, 8);
  head.writeUInt32BE(crc32(body), 12);
  head.write(json, PREAMBLE_BYTES);
  head.writeUInt32BE(headCrcOf(head), 16);
  return { head, body };
}

/** The record that `bytes` is, from its first byte to its last. */
export function decodeRecord(bytes: Buffer): DecodedRecord {
  const preamble = decodePreamble(bytes);
  const headBytes = PREAMBLE_BYTES + (preamble?.headerBytes ?? 0);
  const header = preamble && decodeHeader(bytes.subarray(0, headBytes));
  if (!preamble || header === null) return { kind: 'corrupt', why: 'there is no whole record' };
  const body = bytes.subarray(headBytes);
  if (!isBodyIntact(preamble, body)) return { kind: 'corrupt', why: 'the body does not match its CRC' };
  return { kind: 'whole', header, body };
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

/** The header behind the preamble, or null when `head` (exactly both) is not what was written. */
export function decodeHeader(head: Buffer): object | null {
  const preamble = decodePreamble(head);
  if (!preamble || head.byteLength !== PREAMBLE_BYTES + preamble.headerBytes) return null;
  if (headCrcOf(head) !== preamble.headCrc) return null;
  const header: unknown = JSON.parse(head.toString('utf8', PREAMBLE_BYTES));
  return typeof header === 'object' ? header : null;
}

export function isBodyIntact(preamble: Preamble, body: Uint8Array): boolean {
  return body.byteLength === preamble.bodyBytes && crc32(body) === preamble.bodyCrc;
}

function headCrcOf(head: Buffer): number {
  return crc32(head.subarray(PREAMBLE_BYTES), crc32(head.subarray(0, 16)));
}
