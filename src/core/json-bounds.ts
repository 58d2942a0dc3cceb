/** How far JSON from a caller may go before it is parsed: a parser's stack and memory pay for structure, not for bytes. */
export interface JsonLimits {
  /** Arrays and objects within each other. */
  readonly depth: number;
  /** Arrays, objects and members in all. */
  readonly parts: number;
}

const QUOTE = 0x22;
const COLON = 0x3a;
const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/** Which limit the structure of the text breaks; null = none. Valid JSON or not, in one pass without parsing. */
export function jsonExcess(bytes: Uint8Array, limits: JsonLimits): keyof JsonLimits | null {
  let depth = 0;
  let parts = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      depth += 1;
      parts += 1;
      if (depth > limits.depth) return 'depth';
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    } else if (byte === COLON) {
      parts += 1;
    }
  }
  return parts > limits.parts ? 'parts' : null;
}
