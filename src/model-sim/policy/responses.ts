import { type AnswerHead, SYSTEM_FINGERPRINT, type Usage } from './answers.ts';
import type { ApiError } from './api-error.ts';
import type { JsonObject } from './parse-fields.ts';
import type { FinishReason } from './sequence.ts';

/**
 * Answers of /v1/responses, after OpenAI's API reference: one message of one text, and the events in which it is streamed.
 * A generation that was aborted has status "cancelled", as vLLM says it.
 */

type Status = 'in_progress' | 'completed' | 'incomplete' | 'cancelled';

const END_STATUS = { stop: 'completed', length: 'incomplete', abort: 'cancelled' } as const satisfies Record<
  FinishReason,
  Status
>;
const END_EVENT = {
  stop: 'response.completed',
  length: 'response.incomplete',
  abort: 'response.completed',
} as const satisfies Record<FinishReason, string>;

/** The body of a response that was not streamed. */
export function wholeResponse(
  head: AnswerHead,
  echo: JsonObject,
  { text, finishReason, usage }: { text: string; finishReason: FinishReason; usage: Usage },
): string {
  const status = END_STATUS[finishReason];
  return JSON.stringify(responseObject(head, echo, status, [message(head, status, text)], usage));
}

/** Writes the events of one streamed response, numbered from 0. */
export class ResponseEvents {
  readonly #head: AnswerHead;
  readonly #echo: JsonObject;
  readonly #place: { readonly item_id: string; readonly output_index: 0; readonly content_index: 0 };
  #next = 0;

  constructor(head: AnswerHead, echo: JsonObject) {
    this.#head = head;
    this.#echo = echo;
    this.#place = { item_id: itemId(head), output_index: 0, content_index: 0 };
  }

  /** Before the first token. */
  beginning(): string {
    const response = responseObject(this.#head, this.#echo, 'in_progress', [], null);
    return this.#event('response.created', { response }) + this.#event('response.in_progress', { response });
  }

  /** Together with the first token. */
  opening(): string {
    const item = { ...message(this.#head, 'in_progress', ''), content: [] };
    return (
      this.#event('response.output_item.added', { output_index: 0, item }) +
      this.#event('response.content_part.added', { ...this.#place, part: textPart('') })
    );
  }

  text(delta: string): string {
    return this.#event('response.output_text.delta', { ...this.#place, delta, logprobs: [] });
  }

  ending(text: string, finishReason: FinishReason, usage: Usage): string {
    const status = END_STATUS[finishReason];
    const item = message(this.#head, status, text);
    const response = responseObject(this.#head, this.#echo, status, [item], usage);
    return (
      this.#event('response.output_text.done', { ...this.#place, text, logprobs: [] }) +
      this.#event('response.content_part.done', { ...this.#place, part: textPart(text) }) +
      this.#event('response.output_item.done', { output_index: 0, item }) +
      this.#event(END_EVENT[finishReason], { response })
    );
  }

  failure({ message: text, status, param }: ApiError): string {
    return this.#event('error', { code: String(status), message: text, param });
  }

  #event(type: string, fields: object): string {
    const data = JSON.stringify({ type, sequence_number: this.#next, ...fields });
    this.#next += 1;
    return `event: ${type}\ndata: ${data}\n\n`;
  }
}

function responseObject(
  { id, createdEpochS, model }: AnswerHead,
  echo: JsonObject,
  status: Status,
  output: readonly object[],
  usage: Usage | null,
) {
  return {
    id,
    object: 'response',
    created_at: createdEpochS,
    status,
    model,
    output,
    error: null,
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    previous_response_id: null,
    store: false,
    background: false,
    service_tier: 'default',
    system_fingerprint: SYSTEM_FINGERPRINT,
    ...echo,
    usage: usage && usageObject(usage),
  };
}

function message(head: AnswerHead, status: Status, text: string) {
  const shown = status === 'cancelled' ? 'incomplete' : status;
  return { id: itemId(head), type: 'message', status: shown, role: 'assistant', content: [textPart(text)] };
}

function textPart(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] };
}

function itemId({ id }: AnswerHead): string {
  return id.replace(/^resp/, 'msg');
}

function usageObject({ promptTokens, generatedTokens, cachedTokens }: Usage) {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens: generatedTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + generatedTokens,
  };
}
