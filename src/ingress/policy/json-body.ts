import { PilotlightError } from '../../core/errors.ts';
import { jsonExcess } from '../../core/json-bounds.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export interface JsonBody {
  readonly text: string;
  readonly value: JsonObject;
}

/** Arrays and objects within each other. Tool schemas stay far below; beyond it lies only an attack. */
export const MAX_JSON_DEPTH = 128;

/**
 * Arrays, objects and members of objects. 10 MiB of `{}` take half a second to parse and twenty times their size in
 * memory; 80,000 chat messages, or a logit bias for every token of a vocabulary, stay below.
 */
export const MAX_JSON_PARTS = 250_000;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The JSON object in a request body, as JSON.parse reads it (of two equal keys the last counts). What would cost too
 * much to parse is refused before. Messages never quote the body.
 */
export function parseJsonBody(bytes: Uint8Array): JsonBody | PilotlightError {
  if (bytes.length === 0) return invalid('The request has no body; send a JSON object.');
  const excess = excessOf(bytes);
  if (excess !== undefined) return invalid(excess);
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

function excessOf(bytes: Uint8Array): string | undefined {
  const excess = jsonExcess(bytes, { depth: MAX_JSON_DEPTH, parts: MAX_JSON_PARTS });
  if (excess === null) return undefined;
  if (excess === 'depth') return `The body nests deeper than ${MAX_JSON_DEPTH} levels (the limit).`;
  return `The body has more than ${MAX_JSON_PARTS} arrays, objects and members in all (the limit).`;
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
