/** What a line of the input file says beside its place. */
export interface RowLineParts {
  readonly customId: string;
  /** JSON of the request, byte by byte as it was written. */
  readonly body: Uint8Array;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const SPACE = 0x20;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Finds `custom_id` and `body` in a line that validation has accepted, without parsing the body: its numbers and texts
 * reach the engine as they were written. Of two equal members the last counts, as in JSON.parse. Undefined when the line
 * is not what was validated.
 */
export function rowLineParts(line: Uint8Array): RowLineParts | undefined {
  let customId: unknown;
  let body: Uint8Array | undefined;
  try {
    for (const member of members(line)) {
      if (member.name === 'custom_id') customId = JSON.parse(utf8.decode(member.value));
      else if (member.name === 'body') body = member.value;
    }
  } catch {
    return undefined;
  }
  if (typeof customId !== 'string' || body?.[0] !== OPEN_BRACE) return undefined;
  return { customId, body };
}

/** Members of the object that the text is; ends early, or throws, when it is none. */
function* members(text: Uint8Array): Generator<{ readonly name: string; readonly value: Uint8Array }> {
  let at = afterSpace(text, 0);
  if (text[at] !== OPEN_BRACE) return;
  at = afterSpace(text, at + 1);
  while (text[at] === QUOTE) {
    const nameEnd = afterString(text, at);
    const name: unknown = JSON.parse(utf8.decode(text.subarray(at, nameEnd)));
    at = afterSpace(text, nameEnd);
    if (text[at] !== COLON) return;
    const start = afterSpace(text, at + 1);
    const end = afterValue(text, start);
    yield { name: String(name), value: text.subarray(start, end) };
    at = afterSpace(text, end);
    if (text[at] !== COMMA) return;
    at = afterSpace(text, at + 1);
  }
}

function afterSpace(text: Uint8Array, from: number): number {
  let at = from;
  while (at < text.length && (text[at] ?? 0) <= SPACE) at += 1;
  return at;
}

/** Behind the closing quote of the string that starts at `from`. Searched, not walked: long strings are most of a row. */
function afterString(text: Uint8Array, from: number): number {
  let quote = text.indexOf(QUOTE, from + 1);
  while (quote !== -1 && isEscaped(text, quote)) quote = text.indexOf(QUOTE, quote + 1);
  return (quote === -1 ? text.length : quote) + 1;
}

/** Behind an odd number of backslashes. */
function isEscaped(text: Uint8Array, at: number): boolean {
  let before = at;
  while (text[before - 1] === BACKSLASH) before -= 1;
  return (at - before) % 2 === 1;
}

function afterValue(text: Uint8Array, from: number): number {
  let depth = 0;
  let at = from;
  while (at < text.length) {
    const byte = text[at];
    if (byte === QUOTE) {
      at = afterString(text, at);
      if (depth === 0) return at;
      continue;
    }
    if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (depth === 0) return trimmed(text, from, at);
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (byte === COMMA && depth === 0) return trimmed(text, from, at);
    at += 1;
  }
  return text.length;
}

function trimmed(text: Uint8Array, from: number, end: number): number {
  let at = end;
  while (at > from && (text[at - 1] ?? 0) <= SPACE) at -= 1;
  return at;
}
