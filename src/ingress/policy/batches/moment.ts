import { parseDuration } from '../../../core/units.ts';
import { wrongType, wrongValue } from '../fields.ts';

const WHAT =
  'must be a time from now like "6h", Unix seconds, or a date and time with its zone like "2026-11-23T06:00:00Z"';
const DATE_TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/;

/** A moment to come, Unix milliseconds. */
export function parseMoment(value: unknown, param: string, nowEpochMs: number): number {
  const moment = momentOf(value, param, nowEpochMs);
  if (moment <= nowEpochMs) throw wrongValue(param, 'must not be in the past');
  return moment;
}

function momentOf(value: unknown, param: string, nowEpochMs: number): number {
  if (typeof value === 'number') {
    // Nobody means the year 33658; milliseconds were written for seconds.
    if (!Number.isInteger(value) || value > 9_999_999_999) throw wrongValue(param, WHAT);
    return value * 1_000;
  }
  if (typeof value !== 'string') throw wrongType(param, 'a string or an integer', value);
  if (DATE_TIME.test(value)) {
    const epochMs = Date.parse(value);
    if (Number.isNaN(epochMs)) throw wrongValue(param, WHAT);
    return epochMs;
  }
  const duration = parseDuration(value);
  if (!duration.ok) throw wrongValue(param, WHAT);
  return nowEpochMs + duration.value;
}
