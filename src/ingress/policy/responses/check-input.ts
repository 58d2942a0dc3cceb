import type { PilotlightError } from '../../../core/errors.ts';
import { missing, optionalBoolean, optionalString, wrongType, wrongValue } from '../fields.ts';
import { isJsonObject, type JsonObject } from '../json-body.ts';

/** Limits of OpenAI's `metadata`: pairs, characters of a key, characters of a value. */
const MAX_METADATA_PAIRS = 16;
const MAX_METADATA_KEY = 64;
const MAX_METADATA_VALUE = 512;

/** Fields that name state which OpenAI keeps for the caller and nobody keeps here. */
const STATE_FIELDS = ['previous_response_id', 'conversation', 'prompt'] as const;

/**
 * What is wrong with the body of POST /v1/responses, its `model` and its numbers apart: those are checked as on every path.
 * Types of items, parts and tools are any string, because the model server knows which it can read.
 */
export function checkResponseInput(body: JsonObject, at: string): PilotlightError | undefined {
  for (const name of STATE_FIELDS) {
    if ((body[name] ?? null) !== null) return unsupportedState(name, at);
  }
  const instructions = optionalString(body, 'instructions', `${at}instructions`);
  if (instructions !== null && typeof instructions !== 'string') return instructions;
  for (const name of ['store', 'background']) {
    const value = optionalBoolean(body, name, `${at}${name}`);
    if (typeof value !== 'boolean') return value;
  }
  return (
    checkItems(body.input, `${at}input`) ??
    checkTools(body.tools ?? null, `${at}tools`) ??
    checkMetadata(body.metadata ?? null, `${at}metadata`)
  );
}

function unsupportedState(name: (typeof STATE_FIELDS)[number], at: string): PilotlightError {
  const instead = name === 'prompt' ? 'write its text into "input"' : 'send the earlier items in "input" instead';
  return wrongValue(`${at}${name}`, `conversations are not kept here; ${instead}`);
}

/** A text, or a list of items; an item is a message (it has a role) or names its type. */
function checkItems(value: unknown, param: string): PilotlightError | undefined {
  if (value === undefined) return missing(param);
  if (typeof value === 'string') return undefined;
  if (!Array.isArray(value)) return wrongType(param, 'a string or an array of items', value);
  if (value.length === 0) return wrongValue(param, 'must have at least one item');
  for (const [index, item] of (value as readonly unknown[]).entries()) {
    const problem = checkItem(item, `${param}[${index}]`);
    if (problem) return problem;
  }
  return undefined;
}

function checkItem(item: unknown, param: string): PilotlightError | undefined {
  if (!isJsonObject(item)) return wrongType(param, 'an object', item);
  const { type, role, content } = item;
  if (type !== undefined && typeof type !== 'string') return wrongType(`${param}.type`, 'a string', type);
  if (type !== undefined && type !== 'message') return undefined;
  if (role === undefined) return missing(`${param}.role`);
  if (typeof role !== 'string') return wrongType(`${param}.role`, 'a string', role);
  if (role === '') return wrongValue(`${param}.role`, 'must not be empty');
  if (content === undefined) return missing(`${param}.content`);
  if (typeof content === 'string') return undefined;
  if (!Array.isArray(content)) return wrongType(`${param}.content`, 'a string or an array of content parts', content);
  for (const [index, part] of (content as readonly unknown[]).entries()) {
    const problem = checkPart(part, `${param}.content[${index}]`);
    if (problem) return problem;
  }
  return undefined;
}

function checkPart(part: unknown, param: string): PilotlightError | undefined {
  if (!isJsonObject(part)) return wrongType(param, 'an object', part);
  const { type, text } = part;
  if (type === undefined) return missing(`${param}.type`);
  if (typeof type !== 'string') return wrongType(`${param}.type`, 'a string', type);
  if (type !== 'input_text' && type !== 'output_text') return undefined;
  if (text === undefined) return missing(`${param}.text`);
  return typeof text === 'string' ? undefined : wrongType(`${param}.text`, 'a string', text);
}

function checkTools(value: unknown, param: string): PilotlightError | undefined {
  if (value === null) return undefined;
  if (!Array.isArray(value)) return wrongType(param, 'an array of tools', value);
  for (const [index, tool] of (value as readonly unknown[]).entries()) {
    if (!isJsonObject(tool)) return wrongType(`${param}[${index}]`, 'an object', tool);
    if (tool.type === undefined) return missing(`${param}[${index}].type`);
    if (typeof tool.type !== 'string') return wrongType(`${param}[${index}].type`, 'a string', tool.type);
  }
  return undefined;
}

function checkMetadata(value: unknown, param: string): PilotlightError | undefined {
  if (value === null) return undefined;
  if (!isJsonObject(value)) return wrongType(param, 'an object', value);
  const pairs = Object.entries(value);
  if (pairs.length > MAX_METADATA_PAIRS) return wrongValue(param, `may have at most ${MAX_METADATA_PAIRS} pairs`);
  for (const [key, text] of pairs) {
    if (key.length > MAX_METADATA_KEY) return wrongValue(param, `a key may have ${MAX_METADATA_KEY} characters`);
    if (typeof text !== 'string') return wrongType(`${param}.${key}`, 'a string', text);
    if (text.length > MAX_METADATA_VALUE) {
      return wrongValue(`${param}.${key}`, `may have at most ${MAX_METADATA_VALUE} characters`);
    }
  }
  return undefined;
}
