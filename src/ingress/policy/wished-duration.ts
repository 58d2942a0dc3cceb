import { PilotlightError } from '../../core/errors.ts';
import { formatDuration, parseDuration } from '../../core/units.ts';
import { optionalString, wrongValue } from './fields.ts';
import type { JsonObject } from './json-body.ts';

/** What a caller may ask for: no request waits longer, and shorter waits than a timer can tell apart are a mistake. */
const LONGEST_MS = 365 * 86_400_000;
const RANGE = `must be from 1ms to ${formatDuration(LONGEST_MS)}`;

/** Longest header that is read; a duration needs some ten characters. */
const MAX_CHARACTERS = 64;

/** Milliseconds in the member `name`, a duration like "2h"; null = none given. */
export function wishedDuration(value: JsonObject, name: string, param: string): number | null | PilotlightError {
  const text = optionalString(value, name, param);
  if (text === null || text instanceof PilotlightError) return text;
  const parsed = parseDuration(text.slice(0, MAX_CHARACTERS));
  if (!parsed.ok) return wrongValue(param, parsed.problem);
  return parsed.value > 0 && parsed.value <= LONGEST_MS ? parsed.value : wrongValue(param, RANGE);
}

const TTL_HEADER = 'x-llm-d-inference-ttl';

/** Go's units (time.ParseDuration). */
const GO_UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const GO_PART = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;

/**
 * Milliseconds that the caller is ready to wait for a slot, rounded up; null = it does not say. The header is llm-d's and so is
 * its form, a Go duration: "30s", "1500ms", "1.5h", a unit always there. It counts from every caller, because it can only
 * shorten a wait.
 */
export function ttlOfHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): number | null | PilotlightError {
  const value = headers[TTL_HEADER];
  if (value === undefined || value === '') return null;
  const ttlMs = typeof value === 'string' && value.length <= MAX_CHARACTERS ? goDurationMs(value) : undefined;
  if (ttlMs === undefined) return wrongValue(TTL_HEADER, 'must be one duration with a unit, like "1500ms" or "30s"');
  return ttlMs > 0 && ttlMs <= LONGEST_MS ? Math.ceil(ttlMs) : wrongValue(TTL_HEADER, RANGE);
}

function goDurationMs(text: string): number | undefined {
  // Go reads a bare 0 too, and a sign; neither is a time to wait, which the range says.
  if (/^[+-]?0$/.test(text)) return 0;
  const unsigned = text.replace(/^[+-]/, '');
  let totalMs = 0;
  let end = 0;
  GO_PART.lastIndex = 0;
  for (let part = GO_PART.exec(unsigned); part; part = GO_PART.exec(unsigned)) {
    totalMs += Number(part[1]) * (GO_UNIT_MS[part[2] ?? ''] ?? 0);
    end = GO_PART.lastIndex;
  }
  if (end === 0 || end !== unsigned.length) return undefined;
  return text.startsWith('-') ? -totalMs : totalMs;
}

/** The least of those that are set; null = none is. */
export function shortest(durationsMs: readonly (number | null)[]): number | null {
  const set = durationsMs.filter((durationMs) => durationMs !== null);
  return set.length === 0 ? null : Math.min(...set);
}
