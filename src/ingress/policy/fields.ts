import { PilotlightError } from '../../core/errors.ts';
import { describe, type JsonObject } from './json-body.ts';

/** Engines hold token counts in 32 bits. */
const MAX_COUNT = 2_147_483_647;

export interface Range {
  readonly min: number;
  readonly max?: number;
}

/** A name from the caller as it may stand in an error. */
export function shown(name: string): string {
  return name.length > 128 ? `${name.slice(0, 128)}…` : name;
}

export function missing(param: string): PilotlightError {
  return new PilotlightError('missing_required_parameter', `Missing required parameter: '${param}'.`, { param });
}

export function wrongType(param: string, wanted: string, value: unknown): PilotlightError {
  const message = `Invalid type for '${param}': expected ${wanted}, but got ${describe(value)}.`;
  return new PilotlightError('invalid_type', message, { param });
}

export function wrongValue(param: string, problem: string): PilotlightError {
  return new PilotlightError('invalid_value', `Invalid '${param}': ${problem}.`, { param });
}

/** A required string that is not empty. */
export function requiredString(body: JsonObject, name: string, param: string): string | PilotlightError {
  const value = body[name];
  if (value === undefined) return missing(param);
  if (typeof value !== 'string') return wrongType(param, 'a string', value);
  return value === '' ? wrongValue(param, 'must not be empty') : value;
}

/** A boolean that may be absent or null, which both mean false. */
export function optionalBoolean(body: JsonObject, name: string, param: string): boolean | PilotlightError {
  const value = body[name] ?? false;
  return typeof value === 'boolean' ? value : wrongType(param, 'a boolean', value);
}

/** A string that may be absent or null. */
export function optionalString(body: JsonObject, name: string, param: string): string | null | PilotlightError {
  const value = body[name] ?? null;
  return value === null || typeof value === 'string' ? value : wrongType(param, 'a string', value);
}

/** An integer of the range that may be absent or null. */
export function optionalCount(
  body: JsonObject,
  name: string,
  param: string,
  { min, max = MAX_COUNT }: Range,
): number | null | PilotlightError {
  const value = body[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value)) return wrongType(param, 'an integer', value);
  if (value < min) return wrongValue(param, `must be at least ${min}`);
  if (value > max) return wrongValue(param, `must be at most ${max}`);
  return value;
}
