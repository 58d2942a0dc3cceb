import { InvalidArgumentError } from 'commander';
import { parseDuration } from '../core/units.ts';

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
