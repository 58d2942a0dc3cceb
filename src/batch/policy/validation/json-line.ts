import { type JsonLimits, jsonExcess } from '../../../core/json-bounds.ts';
import { isJsonObject, type JsonObject, kindOf, problem, type RowProblem } from './row-problem.ts';

/** A line this short cannot cost much memory, whatever it holds: its depth is looked at after it was parsed. */
const SHORT_LINE_BYTES = 65_536;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export type ParsedLine =
  | { readonly kind: 'object'; readonly value: JsonObject }
  | { readonly kind: 'wrong'; readonly problem: RowProblem };

/** The JSON object of a line, or why it is none. Costs little also for lines made to cost much. Messages never quote it. */
export function parseJsonLine(bytes: Uint8Array, limits: JsonLimits): ParsedLine {
  const isShort = bytes.length <= SHORT_LINE_BYTES;
  const excess = isShort ? undefined : excessOf(bytes, limits);
  if (excess !== undefined) return notParseable(excess);
  let text: string;
  try {
    text = utf8.decode(bytes);
  } catch {
    return notParseable(`it is not UTF-8 (byte ${firstTornByte(bytes) + 1} of the line)`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (thrown) {
    return notParseable(text.includes('\0') ? 'it has a NUL character' : `wrong${positionIn(thrown)}`);
  }
  if (isShort && isDeeperThan(value, limits.depth)) return notParseable(tooDeep(limits));
  if (isJsonObject(value)) return { kind: 'object', value };
  return {
    kind: 'wrong',
    problem: problem('invalid_json_line', `This line must be a JSON object, not ${kindOf(value)}.`),
  };
}

function notParseable(why: string): ParsedLine {
  return { kind: 'wrong', problem: problem('invalid_json_line', `This line is not parseable as valid JSON: ${why}.`) };
}

function excessOf(bytes: Uint8Array, limits: JsonLimits): string | undefined {
  const excess = jsonExcess(bytes, limits);
  if (excess === null) return undefined;
  if (excess === 'depth') return tooDeep(limits);
  return `it has more than ${limits.parts} arrays, objects and members in all (the limit)`;
}

function tooDeep({ depth }: JsonLimits): string {
  return `it nests deeper than ${depth} levels (the limit)`;
}

function isDeeperThan(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (depth === 0) return true;
  if (Array.isArray(value)) return value.some((item) => isDeeperThan(item, depth - 1));
  for (const key in value) {
    if (isDeeperThan((value as JsonObject)[key], depth - 1)) return true;
  }
  return false;
}

/** Where the longest start that is UTF-8 ends: found by halving, as the decoder does not tell. */
function firstTornByte(bytes: Uint8Array): number {
  let good = 0;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (isStartOfUtf8(bytes.subarray(0, middle))) good = middle;
    else bad = middle;
  }
  return good;
}

/** Whether more bytes could make it UTF-8. */
function isStartOfUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** V8 tells the position in most of its messages; the rest of such a message may quote the prompt. */
function positionIn(thrown: unknown): string {
  const position = thrown instanceof Error ? /at position (\d+)/.exec(thrown.message)?.[1] : undefined;
  return position === undefined ? ' at its end' : ` at character ${Number(position) + 1}`;
}
