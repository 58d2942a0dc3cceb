import type { ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { EXTENSION } from './call-wishes.ts';
import { checkMessages } from './chat-messages.ts';
import {
  missing,
  optionalBoolean,
  optionalCount,
  optionalString,
  requiredString,
  wrongType,
  wrongValue,
} from './fields.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';
import { checkResponseInput } from './responses/check-input.ts';

/** What queueing and routing need of an OpenAI call. Everything else in the body goes to the model server untouched. */
export interface CallFields {
  readonly model: string;
  readonly stream: boolean;
  /** The caller's limit over all choices; null = none given. */
  readonly maxOutputTokens: number | null;
  readonly serviceTier: string | null;
  /** The body has a member that is ours (`pilotlight`) and is taken out before it is forwarded. */
  readonly hasExtension?: boolean;
}

/** As the OpenAI API limits it. */
const MAX_CHOICES = 128;

/**
 * Checks a body for its path and takes out the fields that matter here, or says which field is wrong. `at` goes before
 * each field's name in errors, e.g. "body." inside a job.
 */
export function callFields(path: ApiPath, body: JsonObject, at = ''): CallFields | PilotlightError {
  const model = requiredString(body, 'model', `${at}model`);
  if (model instanceof PilotlightError) return model;
  const inputProblem = checkInput(path, body, at);
  if (inputProblem) return inputProblem;
  const stream = optionalBoolean(body, 'stream', `${at}stream`);
  if (stream instanceof PilotlightError) return stream;
  if (stream && path === '/v1/embeddings') return wrongValue(`${at}stream`, 'embeddings cannot be streamed');
  const streamOptions = body.stream_options ?? null;
  if (streamOptions !== null && !isJsonObject(streamOptions)) {
    return wrongType(`${at}stream_options`, 'an object', streamOptions);
  }
  const maxOutputTokens = outputLimit(path, body, at);
  if (maxOutputTokens instanceof PilotlightError) return maxOutputTokens;
  const serviceTier = optionalString(body, 'service_tier', `${at}service_tier`);
  if (serviceTier instanceof PilotlightError) return serviceTier;
  const hasExtension = body[EXTENSION] !== undefined;
  return { model, stream, maxOutputTokens, serviceTier, ...(hasExtension && { hasExtension }) };
}

function outputLimit(path: ApiPath, body: JsonObject, at: string): number | null | PilotlightError {
  if (path === '/v1/embeddings') return 0;
  if (path === '/v1/responses') return optionalCount(body, 'max_output_tokens', `${at}max_output_tokens`, { min: 1 });
  // A completion of no tokens is a way to score its prompt.
  const min = path === '/v1/completions' ? 0 : 1;
  const perChoice = optionalCount(body, 'max_tokens', `${at}max_tokens`, { min });
  if (perChoice instanceof PilotlightError) return perChoice;
  const newer = optionalCount(body, 'max_completion_tokens', `${at}max_completion_tokens`, { min });
  if (newer instanceof PilotlightError) return newer;
  const choices = optionalCount(body, 'n', `${at}n`, { min: 1, max: MAX_CHOICES });
  if (choices instanceof PilotlightError) return choices;
  const limit = newer ?? perChoice;
  return limit === null ? null : limit * (choices ?? 1);
}

function checkInput(path: ApiPath, body: JsonObject, at: string): PilotlightError | undefined {
  switch (path) {
    case '/v1/chat/completions':
      return checkMessages(body.messages, `${at}messages`);
    case '/v1/completions':
      // vLLM takes embeddings in the prompt's place.
      if (typeof body.prompt_embeds === 'string' && (body.prompt ?? null) === null) return undefined;
      return checkTexts(body.prompt, `${at}prompt`);
    case '/v1/embeddings':
      // vLLM embeds conversations too.
      if (body.input === undefined && body.messages !== undefined) return checkMessages(body.messages, `${at}messages`);
      return checkTexts(body.input, `${at}input`);
    case '/v1/responses':
      return checkResponseInput(body, at);
  }
}

/** A text, several texts, token ids, or several lists of token ids. */
function checkTexts(value: unknown, param: string): PilotlightError | undefined {
  if (value === undefined) return missing(param);
  if (typeof value === 'string') return undefined;
  if (!Array.isArray(value)) return wrongType(param, 'a string or an array', value);
  if (value.length === 0) return wrongValue(param, 'must not be empty');
  const items: readonly unknown[] = value;
  const wanted = typeof items[0];
  for (const [index, item] of items.entries()) {
    const itemParam = `${param}[${index}]`;
    if (typeof item !== wanted) return wrongType(itemParam, 'the same type as the items before it', item);
    if (typeof item === 'string' || isTokenId(item)) continue;
    if (!Array.isArray(item)) return wrongType(itemParam, 'a string, a token id or an array of token ids', item);
    const bad = item.findIndex((token) => !isTokenId(token));
    if (bad !== -1) return wrongType(`${itemParam}[${bad}]`, 'a token id (an integer of at least 0)', item[bad]);
  }
  return undefined;
}

function isTokenId(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

/** Which API a bare body is for; undefined when it has the marks of none. `input` alone means an embedding. */
export function detectPath(body: JsonObject): ApiPath | undefined {
  if (body.messages !== undefined) return '/v1/chat/completions';
  if (body.input !== undefined) return '/v1/embeddings';
  if (body.prompt !== undefined) return '/v1/completions';
  return undefined;
}
