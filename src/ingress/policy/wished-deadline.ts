import { PilotlightError } from '../../core/errors.ts';
import { parseDuration } from '../../core/units.ts';
import { optionalString, wrongValue } from './fields.ts';
import type { JsonObject } from './json-body.ts';

/** Milliseconds from acceptance in the member `deadline`, a duration like "2h"; null = none given. */
export function wishedDeadline(value: JsonObject, param: string): number | null | PilotlightError {
  const text = optionalString(value, 'deadline', param);
  if (text === null || text instanceof PilotlightError) return text;
  const parsed = parseDuration(text);
  if (!parsed.ok) return wrongValue(param, parsed.problem);
  return parsed.value > 0 ? parsed.value : wrongValue(param, 'must be longer than nothing');
}
