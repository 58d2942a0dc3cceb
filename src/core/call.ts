import type { PoolKey } from './objects.ts';

export const API_PATHS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings', '/v1/responses'] as const;
export type ApiPath = (typeof API_PATHS)[number];

/** A validated OpenAI call, ready to be sent to an endpoint. */
export interface InferenceCall {
  /** Request id; also the ticket's id in the live order. */
  readonly id: string;
  readonly path: ApiPath;
  readonly pool: PoolKey;
  /** As the caller wrote it. */
  readonly model: string;
  /** As the model server knows it; already written into `body`. */
  readonly servedModel: string;
  readonly adapter: string | null;
  readonly stream: boolean;
  /** JSON to forward. */
  readonly body: Uint8Array;
  /** Prompt text in a stable form, made on demand, for prefix locality only; never logged. */
  readonly promptText: () => string;
  /** About four bytes a token. */
  readonly inputTokens: number;
  readonly maxOutputTokens: number | null;
  /** End-to-end headers that are passed on: trace context and request id. */
  readonly forwardHeaders: Readonly<Record<string, string>>;
}

/** Token counts as the engine reported them. */
export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Of the prompt, from the prefix cache; absent = not told. */
  readonly cachedTokens?: number;
  /** Of the completion; absent = not told. */
  readonly reasoningTokens?: number;
}
