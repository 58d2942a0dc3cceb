import { PilotlightError } from '../../../core/errors.ts';
import { wrongType } from '../fields.ts';
import { describe, isJsonObject } from '../json-body.ts';

/** As OpenAI has them (https://platform.openai.com/docs/api-reference/batch/create). */
const MAX_PAIRS = 16;
const MAX_KEY_CHARACTERS = 64;
const MAX_VALUE_CHARACTERS = 512;

/** `metadata` of a batch, or null when there is none. */
export function parseMetadata(value: unknown): Readonly<Record<string, string>> | null {
  if (value === undefined || value === null) return null;
  if (!isJsonObject(value)) throw wrongType('metadata', 'an object of strings', value);
  const pairs = Object.entries(value);
  if (pairs.length > MAX_PAIRS) throw wrong(`has ${pairs.length} pairs; ${MAX_PAIRS} is the limit`);
  const checked: [string, string][] = [];
  for (const [key, text] of pairs) {
    if (key.length > MAX_KEY_CHARACTERS) throw wrong(`has a key of more than ${MAX_KEY_CHARACTERS} characters`);
    if (typeof text !== 'string') throw wrong(`must have strings as values, and '${key}' is ${describe(text)}`);
    if (text.length > MAX_VALUE_CHARACTERS) {
      throw wrong(`has more than ${MAX_VALUE_CHARACTERS} characters in '${key}' (the limit)`);
    }
    checked.push([key, text]);
  }
  // "__proto__" is a key like any other.
  return Object.fromEntries(checked);
}

function wrong(problem: string): PilotlightError {
  return new PilotlightError('invalid_value', `Invalid 'metadata': ${problem}.`, { param: 'metadata' });
}
