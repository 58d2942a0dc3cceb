import type { Usage } from '../../core/call.ts';
import {
  abortedWith,
  countOf,
  type Defect,
  errorOf,
  isEmpty,
  isRecord,
  type JsonRecord,
  parseRecord,
  SeenTokens,
  type StreamFollower,
} from './answer-reading.ts';
import type { Failure } from './failure.ts';

/**
 * Answers of /v1/responses. A generation that ran into a limit is `incomplete`, which is an end like any other; `cancelled`
 * is what a stopping vLLM makes of what it was at, and `failed` is an error of the engine.
 */
const FINISHED = new Set(['completed', 'incomplete']);
const TERMINAL_EVENTS = new Set(['response.completed', 'response.incomplete', 'response.failed']);

/** What is wrong with a whole response object; null = it is an answer. */
export function checkResponse(response: JsonRecord): Defect | null {
  const { status } = response;
  if (status === undefined || (typeof status === 'string' && FINISHED.has(status))) return errorOf(response);
  const error = status === 'failed' ? errorOf(response) : null;
  return error ?? { kind: 'failed', failure: abortedWith('status', status) };
}

export function responseUsage(response: JsonRecord): Usage | null {
  const { usage } = response;
  if (!isRecord(usage)) return null;
  const cached = detail(usage['input_tokens_details'], 'cached_tokens');
  const reasoning = detail(usage['output_tokens_details'], 'reasoning_tokens');
  return {
    promptTokens: countOf(usage['input_tokens']),
    completionTokens: countOf(usage['output_tokens']),
    ...(cached !== undefined && { cachedTokens: cached }),
    ...(reasoning !== undefined && { reasoningTokens: reasoning }),
  };
}

/** Follows the events of one streamed response; its last event carries the whole of it. */
export class ResponsesStreamCheck implements StreamFollower {
  hasContent = false;
  usage: Usage | null = null;
  failure: Failure | null = null;
  refusal: { readonly status: number; readonly body: string } | null = null;
  readonly #seen = new SeenTokens();
  #ended = false;

  get seenTokens(): number {
    return this.#seen.count;
  }

  inspect(data: string | null): boolean {
    if (data === null || data.trim() === '[DONE]') return true;
    const event = parseRecord(data);
    if (!event) {
      this.failure = { reason: 'invalid_answer', message: 'The model server sent an event that is not a JSON object.' };
      return false;
    }
    const { type, response } = event;
    const terminal = typeof type === 'string' && TERMINAL_EVENTS.has(type);
    const defect = this.#defectOf(event, terminal && isRecord(response) ? response : null);
    if (defect) {
      if (defect.kind === 'refused') this.refusal = { status: defect.status, body: data };
      else this.failure = defect.failure;
      return false;
    }
    if (terminal) {
      this.#ended = true;
      this.usage = isRecord(response) ? responseUsage(response) : null;
    }
    if (isDelta(event)) this.#seen.add(event['delta']);
    this.hasContent ||= terminal || carriesSomething(event);
    return true;
  }

  endFailure(): Failure | null {
    if (this.#ended) return null;
    return { reason: 'truncated', message: 'The model server ended the stream without its last event.' };
  }

  #defectOf(event: JsonRecord, response: JsonRecord | null): Defect | null {
    if (response) return checkResponse(response);
    // An event of type "error" has code and message in itself.
    return event['type'] === 'error' ? errorOf({ error: event['error'] ?? event }) : errorOf(event);
  }
}

/** False for the events that only open an item or a part, which come before the first token. */
function carriesSomething(event: JsonRecord): boolean {
  const { type } = event;
  return isDelta(event) || (typeof type === 'string' && type.endsWith('.done'));
}

function isDelta({ type, delta }: JsonRecord): boolean {
  return typeof type === 'string' && type.endsWith('.delta') && !isEmpty(delta);
}

function detail(details: unknown, name: string): number | undefined {
  return isRecord(details) && typeof details[name] === 'number' ? countOf(details[name]) : undefined;
}
