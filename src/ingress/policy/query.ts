import { PilotlightError } from '../../core/errors.ts';
import { shown } from './fields.ts';

/** What stands behind "?" in a URL; of two equal names the first counts. */
export function queryOf(url: string): URLSearchParams {
  const at = url.indexOf('?');
  return new URLSearchParams(at < 0 ? '' : url.slice(at + 1));
}

/** An integer of the range. The texts are OpenAI's. */
export function integerIn(
  query: URLSearchParams,
  name: string,
  range: { readonly min: number; readonly max: number },
): number | null {
  const text = query.get(name);
  if (text === null) return null;
  if (!/^-?\d{1,15}$/.test(text)) {
    const message = `Invalid type for '${name}': expected an integer, but got a string instead.`;
    throw new PilotlightError('invalid_type', message, { param: name });
  }
  const value = Number(text);
  if (value > range.max) {
    const message = `Invalid '${name}': integer above maximum value. Expected a value <= ${range.max}, but got ${value} instead.`;
    throw new PilotlightError('integer_above_max_value', message, { param: name });
  }
  if (value >= range.min) return value;
  const message = `Invalid '${name}': integer below minimum value. Expected a value >= ${range.min}, but got ${value} instead.`;
  throw new PilotlightError('integer_below_min_value', message, { param: name });
}

/** One of some words. */
export function wordIn<T extends string>(query: URLSearchParams, name: string, words: readonly T[]): T | null {
  const text = query.get(name);
  if (text === null) return null;
  const word = words.find((candidate) => candidate === text);
  if (word !== undefined) return word;
  const message = `Invalid '${name}': '${shown(text)}' is none of ${words.join(', ')}.`;
  throw new PilotlightError('invalid_value', message, { param: name });
}

/** The id that a page begins after; an empty one is none. */
export function afterOf(query: URLSearchParams): string | null {
  const after = query.get('after');
  return after === null || after === '' ? null : after.slice(0, 256);
}
