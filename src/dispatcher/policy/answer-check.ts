import type { ApiPath, Usage } from '../../core/call.ts';
import type { Failure, FailureReason } from './failure.ts';
import { failureOfStatus } from './failure.ts';

/**
 * Reasons with which a generation is finished. `abort` (a stopping vLLM answers 200 with cut text) and anything unknown
 * is not one of them. `repetition` is vLLM's own stop on a token loop, asked for by the request (vLLM PR 31690).
 */
const FINISHED = new Set(['stop', 'length', 'tool_calls', 'function_call', 'content_filter', 'repetition']);

/** From here on an embeddings answer is looked at only at its ends: parsing 10 MB of numbers blocks for 0.1 s. */
const LARGE_EMBEDDINGS_BYTES = 65_536;
const ENDS_BYTES = 512;

const DECODER = new TextDecoder();

export type PlainVerdict =
  | { readonly kind: 'ok'; readonly usage: Usage | null }
  /** An error of the caller's making inside a 200: passed on with this status. */
  | { readonly kind: 'refused'; readonly status: number }
  | { readonly kind: 'failed'; readonly failure: Failure };

/** Whether the body of a plain 200 is a finished answer. Parses it; O(bytes). */
export function checkPlainAnswer(body: Uint8Array, path: ApiPath): PlainVerdict {
  if (body.length === 0) return failed('empty_answer', 'The model server answered 200 with an empty body.');
  if (path === '/v1/embeddings' && body.length > LARGE_EMBEDDINGS_BYTES) return checkLargeEmbeddings(body);
  const answer = parseRecord(DECODER.decode(body));
  if (!answer) return failed('invalid_answer', 'The model server answered 200 with a body that is not a JSON object.');
  const error = errorOf(answer);
  if (error) return error;
  for (const choice of recordsOf(answer['choices'])) {
    const reason = choice['finish_reason'];
    if (!isFinished(reason) && isPresent(reason)) return { kind: 'failed', failure: abortedBy(reason) };
  }
  return { kind: 'ok', usage: usageOf(answer) };
}

/** Follows one stream of chat or completion chunks and tells when it went wrong and whether it ended well. */
export class StreamCheck {
  /** Something of the answer itself has come: more than a role, a comment or a usage report. */
  hasContent = false;
  /** "[DONE]" has come. */
  done = false;
  usage: Usage | null = null;
  failure: Failure | null = null;
  /** An error event of the caller's making: its status and its data. */
  refusal: { readonly status: number; readonly body: string } | null = null;
  readonly #open = new Set<unknown>();
  #finished = false;

  /** False when the event must not be forwarded: `failure` or `refusal` says why. Parses it; O(bytes). */
  inspect(data: string | null): boolean {
    if (data === null) return true;
    if (data.trim() === '[DONE]') {
      this.done = true;
      return true;
    }
    const event = parseRecord(data);
    if (!event) {
      this.failure = { reason: 'invalid_answer', message: 'The model server sent an event that is not a JSON object.' };
      return false;
    }
    const error = errorOf(event);
    if (error) {
      if (error.kind === 'refused') this.refusal = { status: error.status, body: data };
      else this.failure = error.failure;
      return false;
    }
    this.usage = usageOf(event) ?? this.usage;
    return recordsOf(event['choices']).every((choice) => this.#follow(choice));
  }

  /** Null = the stream may end here: every choice is finished and "[DONE]" has come. */
  endFailure(): Failure | null {
    if (this.done && this.#finished && this.#open.size === 0) return null;
    const what = this.#finished && this.#open.size === 0 ? '"[DONE]"' : 'a finish_reason';
    return { reason: 'truncated', message: `The model server ended the stream without ${what}.` };
  }

  #follow(choice: JsonRecord): boolean {
    const reason = choice['finish_reason'];
    if (isPresent(reason) && !isFinished(reason)) {
      this.failure = abortedBy(reason);
      return false;
    }
    if (isFinished(reason)) {
      this.#finished = true;
      this.#open.delete(choice['index']);
    } else {
      this.#open.add(choice['index']);
    }
    this.hasContent ||= isFinished(reason) || carriesSomething(choice);
    return true;
  }
}

type JsonRecord = Readonly<Record<string, unknown>>;

function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseRecord(text: string): JsonRecord | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null;
  }
}

function recordsOf(value: unknown): readonly JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isPresent(value: unknown): boolean {
  return value !== null && value !== undefined;
}

function isFinished(reason: unknown): boolean {
  return typeof reason === 'string' && FINISHED.has(reason);
}

function isEmpty(value: unknown): boolean {
  return !isPresent(value) || value === '' || (Array.isArray(value) && value.length === 0);
}

/** False for the chunk that only announces a role, which vLLM sends before the first token. */
function carriesSomething(choice: JsonRecord): boolean {
  if (!isEmpty(choice['text'])) return true;
  const delta = choice['delta'];
  return isRecord(delta) && Object.keys(delta).some((key) => key !== 'role' && !isEmpty(delta[key]));
}

function abortedBy(reason: unknown): Failure {
  const word = typeof reason === 'string' ? reason.slice(0, 40) : 'an unknown value';
  return { reason: 'aborted', message: `The model server stopped the generation with finish_reason "${word}".` };
}

/** Both shapes in use: {"error": {"code": 400, ...}} and vLLM's older {"object": "error", "code": 400}. */
function errorOf(answer: JsonRecord): Exclude<PlainVerdict, { kind: 'ok' }> | null {
  const error = isEmpty(answer['error']) ? (answer['object'] === 'error' ? answer : null) : answer['error'];
  if (error === null) return null;
  const code = isRecord(error) ? Number(error['code']) : Number.NaN;
  if (code >= 400 && code < 500 && failureOfStatus(code) === null) return { kind: 'refused', status: code };
  return failed('error_event', 'The model server reported an error inside a 200 answer.');
}

function usageOf(answer: JsonRecord): Usage | null {
  const usage = answer['usage'];
  if (!isRecord(usage)) return null;
  return { promptTokens: countOf(usage['prompt_tokens']), completionTokens: countOf(usage['completion_tokens']) };
}

function countOf(value: unknown): number {
  return typeof value === 'number' && value >= 0 ? value : 0;
}

/** An embeddings answer has no finish_reason; an error would be short. So only its ends are looked at. */
function checkLargeEmbeddings(body: Uint8Array): PlainVerdict {
  const head = DECODER.decode(body.subarray(0, ENDS_BYTES)).trimStart();
  const tail = DECODER.decode(body.subarray(-ENDS_BYTES)).trimEnd();
  if (!head.startsWith('{') || !tail.endsWith('}')) {
    return failed('invalid_answer', 'The model server answered 200 with a body that is not a JSON object.');
  }
  const promptTokens = /"prompt_tokens"\s*:\s*(\d+)/u.exec(tail) ?? /"prompt_tokens"\s*:\s*(\d+)/u.exec(head);
  return { kind: 'ok', usage: promptTokens ? { promptTokens: Number(promptTokens[1]), completionTokens: 0 } : null };
}

function failed(reason: FailureReason, message: string): { kind: 'failed'; failure: Failure } {
  return { kind: 'failed', failure: { reason, message } };
}
