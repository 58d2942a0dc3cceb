import type { Parsed } from '../core/units.ts';
import { changeFaults, type Faults, NO_FAULTS } from './policy/faults.ts';
import { parseJsonObject } from './policy/parse-fields.ts';

/** What the flags of the simulator may hold. Each function takes the text and says what is wrong with it. */

export interface NamedPath {
  readonly name: string;
  readonly path: string;
}

export function whole(min: number, max: number): (text: string) => Parsed<number> {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    return value >= min && value <= max
      ? { ok: true, value }
      : { ok: false, problem: `"${text}" is not a whole number from ${min} to ${max}` };
  };
}

function decimal(text: string): number {
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
}

export function notNegative(text: string): Parsed<number> {
  const value = decimal(text);
  return value >= 0 ? { ok: true, value } : { ok: false, problem: `"${text}" is not a number of 0 or more` };
}

export function positive(text: string): Parsed<number> {
  const value = decimal(text);
  return value > 0 ? { ok: true, value } : { ok: false, problem: `"${text}" is not a number above 0` };
}

export function ratio(text: string): Parsed<number> {
  const value = decimal(text);
  return value >= 0 && value <= 1
    ? { ok: true, value }
    : { ok: false, problem: `"${text}" is not a number from 0 to 1` };
}

export function anyText(text: string): Parsed<string> {
  return { ok: true, value: text };
}

export function nonEmpty(text: string): Parsed<string> {
  return text === '' ? { ok: false, problem: 'must not be empty' } : { ok: true, value: text };
}

export function oneOf<const T extends string>(...values: T[]): (text: string) => Parsed<T> {
  return (text) => {
    const value = values.find((known) => known === text);
    return value === undefined
      ? { ok: false, problem: `"${text}" is not one of ${values.join(', ')}` }
      : { ok: true, value };
  };
}

export function onOff(text: string): Parsed<boolean> {
  return text === 'on' || text === 'off'
    ? { ok: true, value: text === 'on' }
    : { ok: false, problem: `"${text}" is not on or off` };
}

export function nameList(text: string): Parsed<readonly string[]> {
  const names = text.split(',').map((name) => name.trim());
  return names.includes('') ? { ok: false, problem: `"${text}" holds an empty name` } : { ok: true, value: names };
}

export function adapterList(text: string): Parsed<readonly NamedPath[]> {
  if (text === '') return { ok: true, value: [] };
  const adapters: NamedPath[] = [];
  for (const entry of text.split(',')) {
    const [name, path] = entry.split('=', 2);
    if (!name || !path) return { ok: false, problem: `"${entry}" is not name=path` };
    adapters.push({ name, path });
  }
  return { ok: true, value: adapters };
}

export function faultsJson(text: string): Parsed<Faults> {
  const json = parseJsonObject(text);
  const faults = json.ok ? changeFaults(NO_FAULTS, json.value) : json;
  return faults.ok ? faults : { ok: false, problem: faults.error.message };
}
