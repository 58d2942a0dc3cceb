import { badRequest, type Checked, notFound } from './api-error.ts';
import { booleanField, integerField, isJsonObject, type JsonObject } from './parse-fields.ts';
import { chatPrompts, listedPrompts, responsePrompts } from './parse-prompts.ts';
import { type Prompt, promptTokens } from './prompt.ts';
import { echoedFields } from './response-echo.ts';

export type InferenceKind = GenerationKind | 'embedding';
type GenerationKind = 'chat' | 'completion' | 'response';

/** A checked body of POST /v1/chat/completions, /v1/completions, /v1/responses or /v1/embeddings. */
export interface InferenceRequest {
  readonly kind: InferenceKind;
  /** As the caller wrote it. */
  readonly model: string;
  readonly adapter: string | null;
  readonly prompts: readonly Prompt[];
  /** Answers to each prompt; 1 for embeddings. */
  readonly choices: number;
  readonly stream: boolean;
  readonly includeUsage: boolean;
  readonly maxTokens: number;
  readonly minTokens: number;
  readonly ignoreEos: boolean;
  readonly seed: number;
  /** Embeddings only. */
  readonly base64: boolean;
  readonly dimensions: number;
  /** Fields that the answer repeats; responses only. */
  readonly echo: JsonObject;
}

export interface ServedModels {
  readonly baseModels: readonly string[];
  readonly maxModelTokens: number;
  readonly embeddingDimensions: number;
  hasAdapter(name: string): boolean;
}

const MAX_CHOICES = 128;
const MAX_DIMENSIONS = 8_192;
const MAX_SEED = Number.MAX_SAFE_INTEGER;

/** Fields that it does not know are ignored, as vLLM does. Never throws. Linear in the body. */
export function parseInferenceRequest(
  kind: InferenceKind,
  body: JsonObject,
  served: ServedModels,
): Checked<InferenceRequest> {
  const model = resolveModel(body, served);
  if (!model.ok) return model;
  const prompts = promptsOf(kind, body);
  if (!prompts.ok) return prompts;
  const longest = Math.max(...prompts.value.map(promptTokens));
  const spare = kind === 'embedding' ? 0 : 1;
  if (longest + spare > served.maxModelTokens) return tooLong(longest, served.maxModelTokens);
  return kind === 'embedding'
    ? embeddingRequest(body, model.value, prompts.value, served)
    : generationRequest(kind, body, { ...model.value, prompts: prompts.value }, served.maxModelTokens - longest);
}

function promptsOf(kind: InferenceKind, body: JsonObject): Checked<Prompt[]> {
  switch (kind) {
    case 'chat':
      return chatPrompts(body);
    case 'response':
      return responsePrompts(body);
    case 'completion':
      return listedPrompts(body, 'prompt');
    case 'embedding':
      return listedPrompts(body, 'input');
  }
}

function resolveModel(body: JsonObject, served: ServedModels): Checked<{ model: string; adapter: string | null }> {
  const { model } = body;
  if (typeof model !== 'string' || model === '') {
    return { ok: false, error: badRequest('model is required and must be a string.', 'model') };
  }
  if (served.baseModels.includes(model)) return { ok: true, value: { model, adapter: null } };
  if (served.hasAdapter(model)) return { ok: true, value: { model, adapter: model } };
  return { ok: false, error: notFound(`The model "${model}" does not exist.`, 'model') };
}

function tooLong(tokens: number, maxTokens: number): Checked<never> {
  const message = `This model's maximum context length is ${maxTokens} tokens, but the prompt has ${tokens}; shorten it.`;
  return { ok: false, error: badRequest(message, 'input_tokens') };
}

interface Target {
  readonly model: string;
  readonly adapter: string | null;
  readonly prompts: readonly Prompt[];
}

function generationRequest(
  kind: GenerationKind,
  body: JsonObject,
  target: Target,
  roomTokens: number,
): Checked<InferenceRequest> {
  const maxField = limitField(kind, body);
  // OpenAI's completions stop after 16 tokens unless asked otherwise; the others go on to the model's length.
  const fallback = kind === 'completion' ? Math.min(16, roomTokens) : roomTokens;
  const maxTokens = integerField(body, maxField, fallback, 1, MAX_SEED);
  if (!maxTokens.ok) return maxTokens;
  if (maxTokens.value > roomTokens) {
    return {
      ok: false,
      error: badRequest(`${maxField} is ${maxTokens.value}, but the prompt leaves room for ${roomTokens}.`, maxField),
    };
  }
  const minTokens = integerField(body, 'min_tokens', 0, 0, maxTokens.value);
  if (!minTokens.ok) return minTokens;
  const choices = integerField(body, 'n', 1, 1, MAX_CHOICES);
  if (!choices.ok) return choices;
  const seed = integerField(body, 'seed', 0, -MAX_SEED, MAX_SEED);
  if (!seed.ok) return seed;
  const ignoreEos = booleanField(body, 'ignore_eos');
  if (!ignoreEos.ok) return ignoreEos;
  const streaming = streamFields(body);
  if (!streaming.ok) return streaming;
  return {
    ok: true,
    value: {
      ...NO_EMBEDDING,
      kind,
      ...target,
      ...streaming.value,
      echo: kind === 'response' ? echoedFields(body) : {},
      choices: kind === 'response' ? 1 : choices.value,
      maxTokens: maxTokens.value,
      minTokens: minTokens.value,
      ignoreEos: ignoreEos.value,
      seed: seed.value,
    },
  };
}

function limitField(kind: GenerationKind, body: JsonObject): string {
  if (kind === 'response') return 'max_output_tokens';
  return kind === 'chat' && body.max_completion_tokens != null ? 'max_completion_tokens' : 'max_tokens';
}

const NO_EMBEDDING = { base64: false, dimensions: 0 };

function streamFields(body: JsonObject): Checked<{ stream: boolean; includeUsage: boolean }> {
  const stream = booleanField(body, 'stream');
  if (!stream.ok) return stream;
  const options = body.stream_options ?? {};
  if (!isJsonObject(options))
    return { ok: false, error: badRequest('stream_options must be an object.', 'stream_options') };
  if (body.stream_options != null && !stream.value) {
    return { ok: false, error: badRequest('stream_options is only allowed with "stream": true.', 'stream_options') };
  }
  const includeUsage = booleanField(options, 'include_usage');
  return includeUsage.ok
    ? { ok: true, value: { stream: stream.value, includeUsage: includeUsage.value } }
    : includeUsage;
}

function embeddingRequest(
  body: JsonObject,
  model: { model: string; adapter: string | null },
  prompts: readonly Prompt[],
  served: ServedModels,
): Checked<InferenceRequest> {
  const format = body.encoding_format ?? 'float';
  if (format !== 'float' && format !== 'base64') {
    return { ok: false, error: badRequest('encoding_format must be "float" or "base64".', 'encoding_format') };
  }
  const dimensions = integerField(body, 'dimensions', served.embeddingDimensions, 1, MAX_DIMENSIONS);
  if (!dimensions.ok) return dimensions;
  return {
    ok: true,
    value: {
      kind: 'embedding',
      ...model,
      prompts,
      choices: 1,
      stream: false,
      includeUsage: false,
      maxTokens: 0,
      minTokens: 0,
      ignoreEos: false,
      seed: 0,
      base64: format === 'base64',
      dimensions: dimensions.value,
      echo: {},
    },
  };
}
