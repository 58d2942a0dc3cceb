import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../core/units.ts';

/** As the controller bounds it: what shall hold for longer belongs into the policy. */
const LONGEST_ORDER_MS = 7 * 86_400_000;

/** Parsers of option values, for commander: each returns the value or throws what to write instead. */

export function wholeNumber(minimum: number, maximum: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    throw new InvalidArgumentError(`Write a whole number from ${minimum} to ${maximum}.`);
  };
}

export function durationMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.value > 0) return parsed.value;
  throw new InvalidArgumentError('Write a duration with a unit, like "2s" or "5m".');
}

/** As `durationMs`, and "0s" as well: how long an order holds. */
export function orderTimeMs(text: string): number {
  const parsed = parseDuration(text);
  if (parsed.ok && parsed.value <= LONGEST_ORDER_MS) return parsed.value;
  throw new InvalidArgumentError('Write a duration of at most 7d, like "30m"; "0s" takes the order back.');
}
