import { PilotlightError } from '../../core/errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface JsonBody {
  readonly text: string;
  readonly value: JsonObject;
}

/** Arrays and objects within each other. Tool schemas stay far below; beyond it lies only an attack on memory. */
export const MAX_JSON_DEPTH = 128;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * The JSON object in a request body, as JSON.parse reads it (of two equal keys the last counts). Depth is checked
 * before parsing, because a nest of brackets grows to twenty times its size in memory. Messages never quote the body.
 */
export function parseJsonBody(bytes: Uint8Array): JsonBody | PilotlightError {
  if (bytes.length === 0) return invalid('The request has no body; send a JSON object.');
  if (isTooDeep(bytes)) return invalid(`The body nests deeper than ${MAX_JSON_DEPTH} levels (the limit).`);
  const text = decode(bytes);
  if (text === undefined) return invalid('The body is not valid UTF-8.');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    return invalid(`The body is not valid JSON${positionIn(thrown)}.`);
  }
  if (!isJsonObject(value)) {
    return new PilotlightError('invalid_type', `The body must be a JSON object, not ${describe(value)}.`, {
      param: 'body',
    });
  }
  return { text, value };
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** "a string", "null", "an array": what a wrong value is, for error texts; never the value itself. */
export function describe(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object') return 'an object';
  return `a ${typeof value}`;
}

function isTooDeep(bytes: Uint8Array): boolean {
  let depth = 0;
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
      if (depth > MAX_JSON_DEPTH) return true;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth -= 1;
    }
  }
  return false;
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function invalid(message: string): PilotlightError {
  return new PilotlightError('invalid_json', message, { param: 'body' });
}

/** V8 tells the position in most of its messages; the rest of such a message may quote the prompt. */
function positionIn(thrown: unknown): string {
  const position = thrown instanceof Error ? /at position (\d+)/.exec(thrown.message)?.[1] : undefined;
  return position === undefined ? '' : ` (at character ${position})`;
}
