import { PilotlightError } from '../../../core/errors.ts';
import { missing, wrongType, wrongValue } from '../fields.ts';
import { isJsonObject } from '../json-body.ts';

/** Range of `seconds` (https://platform.openai.com/docs/api-reference/files/create). */
const SECONDS = { min: 3_600, max: 2_592_000 };

/** Milliseconds of `{anchor: "created_at", seconds}`; null when there is none. */
export function expiresAfterMs(value: unknown, name: string): number | null {
  if (value === undefined || value === null) return null;
  if (!isJsonObject(value)) throw wrongType(name, 'an object with "anchor" and "seconds"', value);
  return lifetime(value.anchor, value.seconds, (field) => `${name}.${field}`);
}

/** The same of a form's fields `expires_after[anchor]` and `expires_after[seconds]`. */
export function formExpiresAfterMs(fields: ReadonlyMap<string, string>): number | null {
  const anchor = fields.get('expires_after[anchor]');
  const text = fields.get('expires_after[seconds]');
  if (anchor === undefined && text === undefined) return null;
  const seconds = text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : text;
  return lifetime(anchor, seconds, (field) => `expires_after[${field}]`);
}

function lifetime(anchor: unknown, seconds: unknown, param: (field: string) => string): number {
  if (anchor === undefined) throw missing(param('anchor'));
  if (anchor !== 'created_at') throw wrongValue(param('anchor'), "must be 'created_at'");
  if (seconds === undefined) throw missing(param('seconds'));
  if (typeof seconds !== 'number' || !Number.isInteger(seconds))
    throw wrongType(param('seconds'), 'an integer', seconds);
  checkRange(seconds, param('seconds'));
  return seconds * 1_000;
}

function checkRange(seconds: number, param: string): void {
  if (seconds > SECONDS.max) {
    const message = `Invalid '${param}': integer above maximum value. Expected a value <= ${SECONDS.max}, but got ${seconds} instead.`;
    throw new PilotlightError('integer_above_max_value', message, { param });
  }
  if (seconds >= SECONDS.min) return;
  const message = `Invalid '${param}': integer below minimum value. Expected a value >= ${SECONDS.min}, but got ${seconds} instead.`;
  throw new PilotlightError('integer_below_min_value', message, { param });
}
