import type { InferenceKind } from './parse-request.ts';
import type { FinishReason } from './sequence.ts';

/** Says in every answer that no model made it. */
export const SYSTEM_FINGERPRINT = 'pilotlight-model-sim';
export const OWNER = 'pilotlight-model-sim';

/** What all parts of one answer repeat. */
export interface AnswerHead {
  readonly id: string;
  readonly createdEpochS: number;
  readonly model: string;
}

export interface Usage {
  readonly promptTokens: number;
  readonly generatedTokens: number;
  readonly cachedTokens: number;
}

export interface Choice {
  readonly text: string;
  readonly finishReason: FinishReason;
}

const ID_PREFIX = { chat: 'chatcmpl-', completion: 'cmpl-', embedding: 'embd-', response: 'resp_' } as const;

/** The caller's request id when it is a plain word, as vLLM does; else the fresh one. */
export function answerId(kind: InferenceKind, requestId: string | undefined, fresh: string): string {
  const usable = requestId !== undefined && /^[\w.:-]{1,128}$/.test(requestId);
  return `${ID_PREFIX[kind]}${usable ? requestId : fresh}`;
}

/** The body of a chat or completion that was not streamed. */
export function wholeAnswer(
  kind: 'chat' | 'completion',
  head: AnswerHead,
  choices: readonly Choice[],
  usage: Usage,
): string {
  return JSON.stringify({
    id: head.id,
    object: kind === 'chat' ? 'chat.completion' : 'text_completion',
    created: head.createdEpochS,
    model: head.model,
    choices: choices.map(({ text, finishReason }, index) => ({
      index,
      ...(kind === 'chat' ? { message: { role: 'assistant', content: text, refusal: null } } : { text }),
      logprobs: null,
      finish_reason: finishReason,
      stop_reason: null,
    })),
    system_fingerprint: SYSTEM_FINGERPRINT,
    usage: usageObject(usage),
  });
}

/** The body of an embedding call; base64 is that of little-endian 32-bit floats. */
export function embeddingAnswer(
  head: AnswerHead,
  vectors: readonly (string | readonly number[])[],
  usage: Usage,
): string {
  return JSON.stringify({
    id: head.id,
    object: 'list',
    created: head.createdEpochS,
    model: head.model,
    data: vectors.map((embedding, index) => ({ index, object: 'embedding', embedding })),
    system_fingerprint: SYSTEM_FINGERPRINT,
    usage: usageObject(usage),
  });
}

/** Writes the events of one stream. */
export class StreamEvents {
  readonly #kind: 'chat' | 'completion';
  readonly #prefix: string;

  constructor(kind: 'chat' | 'completion', head: AnswerHead) {
    this.#kind = kind;
    const object = kind === 'chat' ? 'chat.completion.chunk' : 'text_completion';
    const shared = {
      id: head.id,
      object,
      created: head.createdEpochS,
      model: head.model,
      system_fingerprint: SYSTEM_FINGERPRINT,
    };
    this.#prefix = `data: ${JSON.stringify(shared).slice(0, -1)},"choices":[`;
  }

  /** The event that opens a choice of a chat; empty for a completion, which has none. */
  opening(index: number): string {
    if (this.#kind === 'completion') return '';
    return `${this.#prefix}{"index":${index},"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}\n\n`;
  }

  /** `text` is filler and needs no escaping. */
  text(index: number, text: string, finishReason: FinishReason | null): string {
    const content = this.#kind === 'chat' ? `"delta":{"content":"${text}"}` : `"text":"${text}"`;
    const finish = finishReason === null ? 'null' : `"${finishReason}","stop_reason":null`;
    return `${this.#prefix}{"index":${index},${content},"logprobs":null,"finish_reason":${finish}}]}\n\n`;
  }

  usage(usage: Usage): string {
    return `${this.#prefix}],"usage":${JSON.stringify(usageObject(usage))}}\n\n`;
  }
}

export const STREAM_END = 'data: [DONE]\n\n';

export interface ListedModel {
  readonly id: string;
  readonly root: string;
  readonly parent: string | null;
  readonly createdEpochS: number;
  /** Null for an adapter, which has its parent's. */
  readonly maxModelTokens: number | null;
}

export function modelList(models: readonly ListedModel[]): string {
  const data = models.map(({ id, root, parent, createdEpochS, maxModelTokens }) => ({
    id,
    object: 'model',
    created: createdEpochS,
    owned_by: OWNER,
    root,
    parent,
    max_model_len: maxModelTokens,
  }));
  return JSON.stringify({ object: 'list', data });
}

function usageObject({ promptTokens, generatedTokens, cachedTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    total_tokens: promptTokens + generatedTokens,
    completion_tokens: generatedTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}
