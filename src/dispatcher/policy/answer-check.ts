import type { ApiPath, Usage } from '../../core/call.ts';
import {
  abortedWith,
  countOf,
  type Defect,
  errorOf,
  failed,
  isEmpty,
  isPresent,
  isRecord,
  type JsonRecord,
  parseRecord,
  SeenTokens,
  type StreamFollower,
} from './answer-reading.ts';
import type { Failure } from './failure.ts';
import { checkResponse, ResponsesStreamCheck, responseUsage } from './responses-check.ts';

/**
 * Reasons with which a generation is finished. `abort` (a stopping vLLM answers 200 with cut text) and anything unknown
 * is not one of them. `repetition` is vLLM's own stop on a token loop, asked for by the request (vLLM PR 31690).
 */
const FINISHED = new Set(['stop', 'length', 'tool_calls', 'function_call', 'content_filter', 'repetition']);

/** From here on an embeddings answer is looked at only at its ends: parsing 10 MB of numbers blocks for 0.1 s. */
const LARGE_EMBEDDINGS_BYTES = 65_536;
const ENDS_BYTES = 512;

const DECODER = new TextDecoder();

export type PlainVerdict = { readonly kind: 'ok'; readonly usage: Usage | null } | Defect;

/** Whether the body of a plain 200 is a finished answer. Parses it; O(bytes). */
export function checkPlainAnswer(body: Uint8Array, path: ApiPath): PlainVerdict {
  if (body.length === 0) return failed('empty_answer', 'The model server answered 200 with an empty body.');
  if (path === '/v1/embeddings' && body.length > LARGE_EMBEDDINGS_BYTES) return checkLargeEmbeddings(body);
  const answer = parseRecord(DECODER.decode(body));
  if (!answer) return failed('invalid_answer', 'The model server answered 200 with a body that is not a JSON object.');
  if (path === '/v1/responses') return checkResponse(answer) ?? { kind: 'ok', usage: responseUsage(answer) };
  const error = errorOf(answer);
  if (error) return error;
  for (const choice of recordsOf(answer['choices'])) {
    const reason = choice['finish_reason'];
    if (!isFinished(reason) && isPresent(reason))
      return { kind: 'failed', failure: abortedWith('finish_reason', reason) };
  }
  return { kind: 'ok', usage: usageOf(answer) };
}

/** What follows a stream of this path. */
export function streamFollower(path: ApiPath): StreamFollower {
  return path === '/v1/responses' ? new ResponsesStreamCheck() : new StreamCheck();
}

/** Follows one stream of chat or completion chunks. */
export class StreamCheck implements StreamFollower {
  hasContent = false;
  /** "[DONE]" has come. */
  done = false;
  usage: Usage | null = null;
  failure: Failure | null = null;
  refusal: { readonly status: number; readonly body: string } | null = null;
  readonly #open = new Set<unknown>();
  readonly #seen = new SeenTokens();
  #finished = false;

  get seenTokens(): number {
    return this.#seen.count;
  }

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
      this.failure = abortedWith('finish_reason', reason);
      return false;
    }
    if (isFinished(reason)) {
      this.#finished = true;
      this.#open.delete(choice['index']);
    } else {
      this.#open.add(choice['index']);
    }
    const texts = textsOf(choice);
    if (texts.length > 0) this.#seen.add(...texts);
    this.hasContent ||= isFinished(reason) || texts.length > 0;
    return true;
  }
}

function recordsOf(value: unknown): readonly JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function isFinished(reason: unknown): boolean {
  return typeof reason === 'string' && FINISHED.has(reason);
}

/** What a chunk carries. Nothing, if it only announces a role, which vLLM sends before the first token. */
function textsOf(choice: JsonRecord): readonly unknown[] {
  if (!isEmpty(choice['text'])) return [choice['text']];
  const delta = choice['delta'];
  if (!isRecord(delta)) return [];
  return Object.keys(delta).flatMap((key) => (key === 'role' || isEmpty(delta[key]) ? [] : [delta[key]]));
}

function usageOf(answer: JsonRecord): Usage | null {
  const usage = answer['usage'];
  if (!isRecord(usage)) return null;
  const cached = detailOf(usage['prompt_tokens_details'], 'cached_tokens');
  const reasoning = detailOf(usage['completion_tokens_details'], 'reasoning_tokens');
  return {
    promptTokens: countOf(usage['prompt_tokens']),
    completionTokens: countOf(usage['completion_tokens']),
    ...(cached !== undefined && { cachedTokens: cached }),
    ...(reasoning !== undefined && { reasoningTokens: reasoning }),
  };
}

/** Undefined when the engine does not tell: vLLM sends null for details that it does not count. */
function detailOf(details: unknown, name: string): number | undefined {
  const value = isRecord(details) ? details[name] : undefined;
  return typeof value === 'number' && value >= 0 ? value : undefined;
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
