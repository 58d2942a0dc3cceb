/**
 * UTF-8 of a file that comes in parts, each of which may begin and end inside a character: every part is checked by itself
 * but for its edges, and the edges are put together when the order of the parts is known.
 */
export interface TextEdges {
  /** What lies between the edges is UTF-8. */
  readonly ok: boolean;
  /** Up to three bytes at the start that continue a character of the part before; hex. */
  readonly head: string;
  /** Up to three bytes at the end of a character that the part after completes; hex. */
  readonly tail: string;
  /** The part is nothing but its head. */
  readonly headOnly: boolean;
}

const MAX_EDGE_BYTES = 3;

/** How many bytes at the start are in the middle of a character, 0..3. */
export function headLength(bytes: Uint8Array): number {
  let length = 0;
  while (length < Math.min(MAX_EDGE_BYTES, bytes.length) && isContinuation(bytes[length])) length += 1;
  return length;
}

/** How many bytes at the end begin a character that is not complete, 0..3. Whether it can be completed is not looked at. */
export function tailLength(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(MAX_EDGE_BYTES, bytes.length); length += 1) {
    const byte = bytes[bytes.length - length];
    if (isContinuation(byte)) continue;
    return characterLength(byte) > length ? length : 0;
  }
  return 0;
}

/** Whether parts in this order are UTF-8 as a whole. */
export function joinsToUtf8(parts: readonly TextEdges[]): boolean {
  let carried: readonly number[] = [];
  for (const part of parts) {
    if (!part.ok) return false;
    const joined = Uint8Array.from([...carried, ...bytesOf(part.head)]);
    const open = part.headOnly ? tailLength(joined) : 0;
    if (!isUtf8(joined.subarray(0, joined.length - open))) return false;
    carried = part.headOnly ? [...joined.subarray(joined.length - open)] : bytesOf(part.tail);
  }
  return carried.length === 0;
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0b1100_0000) === 0b1000_0000;
}

/** Bytes of the character that this byte begins (RFC 3629); 1 also for a byte that begins none. */
function characterLength(byte: number | undefined): number {
  if (byte === undefined || byte < 0xc2 || byte > 0xf4) return 1;
  if (byte >= 0xf0) return 4;
  return byte >= 0xe0 ? 3 : 2;
}

function bytesOf(hex: string): number[] {
  return hex.match(/../g)?.map((byte) => Number.parseInt(byte, 16)) ?? [];
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}
