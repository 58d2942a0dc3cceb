import { parse } from 'yaml';
import { asError } from '../core/errors.ts';
import type { JsonSchema, Leaf } from './json-schema.ts';

/**
 * The value of a leaf given as plain text, in an environment variable or a flag: text leaves take it as it is, all
 * others read it as YAML (so that "8080" is a number and "[a, b]" a list).
 */
export function readLeafValue(leaf: Leaf, text: string): { ok: true; value: unknown } | { ok: false; problem: string } {
  if (takesText(leaf.schema)) return { ok: true, value: text };
  try {
    return { ok: true, value: parse(text, { maxAliasCount: 0 }) as unknown };
  } catch (thrown) {
    return { ok: false, problem: `not valid YAML: ${asError(thrown).message.split('\n')[0] ?? ''}` };
  }
}

function takesText(schema: JsonSchema): boolean {
  const types = (schema.anyOf ?? [schema]).flatMap((one) => one.type ?? []);
  return types.includes('string') && types.every((type) => type === 'string' || type === 'null');
}
