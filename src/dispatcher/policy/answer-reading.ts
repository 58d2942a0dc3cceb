import type { Usage } from '../../core/call.ts';
import { type Failure, type FailureReason, failureOfStatus } from './failure.ts';

/** What the answers of every API path are read with. */

export type JsonRecord = Readonly<Record<string, unknown>>;

export type Defect =
  /** An error of the caller's making inside a 200: passed on with this status. */
  { readonly kind: 'refused'; readonly status: number } | { readonly kind: 'failed'; readonly failure: Failure };

/** Follows one stream and tells when it went wrong and whether it ended well. */
export interface StreamFollower {
  /** Something of the answer itself has come: more than a role, a comment or a usage report. */
  readonly hasContent: boolean;
  readonly usage: Usage | null;
  /** Tokens of the answer so far, for when nobody tells its usage: an event has one at least, and a token some four characters. */
  readonly seenTokens: number;
  readonly failure: Failure | null;
  /** An error event of the caller's making: its status and its data. */
  readonly refusal: { readonly status: number; readonly body: string } | null;
  /** False when the event must not be forwarded: `failure` or `refusal` says why. Parses it; O(bytes). */
  inspect(data: string | null): boolean;
  /** Null = the stream may end here. */
  endFailure(): Failure | null;
}

/** Counts the tokens of a stream by its text. Engines that guess ahead send several in one event. */
export class SeenTokens {
  #events = 0;
  #chars = 0;

  get count(): number {
    return Math.max(this.#events, Math.round(this.#chars / CHARS_PER_TOKEN));
  }

  add(...texts: readonly unknown[]): void {
    this.#events += 1;
    for (const text of texts) if (typeof text === 'string') this.#chars += text.length;
  }
}

/** A common rule of thumb for English text and BPE tokens. */
const CHARS_PER_TOKEN = 4;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Null for anything but the text of a JSON object. */
export function parseRecord(text: string): JsonRecord | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

export function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined;
}

export function isEmpty(value: unknown): boolean {
  return !isPresent(value) || value === '' || (Array.isArray(value) && value.length === 0);
}

export function countOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}

export function abortedWith(field: string, value: unknown): Failure {
  const word = typeof value === 'string' ? value.slice(0, 40) : 'an unknown value';
  return { reason: 'aborted', message: `The model server stopped the generation with ${field} "${word}".` };
}

/** Both shapes in use: {"error": {"code": 400, ...}} and vLLM's older {"object": "error", "code": 400}. */
export function errorOf(answer: JsonRecord): Defect | null {
  const error = isEmpty(answer['error']) ? (answer['object'] === 'error' ? answer : null) : answer['error'];
  if (error === null) return null;
  const code = isRecord(error) ? Number(error['code']) : Number.NaN;
  if (code >= 400 && code < 500 && failureOfStatus(code) === null) return { kind: 'refused', status: code };
  return failed('error_event', 'The model server reported an error inside a 200 answer.');
}

export function failed(reason: FailureReason, message: string): { kind: 'failed'; failure: Failure } {
  return { kind: 'failed', failure: { reason, message } };
}
