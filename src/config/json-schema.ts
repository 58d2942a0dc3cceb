import { z } from 'zod';
import type { FieldMeta } from './fields.ts';

/** The parts of a JSON schema that Pilotlight's own tools read. */
export interface JsonSchema extends FieldMeta {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly items?: JsonSchema;
  readonly anyOf?: readonly JsonSchema[];
  readonly oneOf?: readonly JsonSchema[];
}

/** The schema of the written form: what a file may contain, not what the program makes of it. */
export function writtenFormOf(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, { io: 'input', reused: 'inline' }) as JsonSchema;
}

/** The schemas that may hold at `path` of `root`. Of several alternatives the one that the written value chose. */
export function schemasAt(schema: JsonSchema, path: readonly PropertyKey[], root: unknown): readonly JsonSchema[] {
  let here = alternatives(schema, root);
  let value = root;
  for (const segment of path) {
    value = (value as Record<PropertyKey, unknown> | null | undefined)?.[segment];
    here = here
      .map((one) => (typeof segment === 'number' ? one.items : one.properties?.[String(segment)]))
      .filter((one) => one !== undefined)
      .flatMap((one) => alternatives(one, value));
  }
  return here;
}

/** The keys that may stand at `path` of `root`. */
export function allowedKeys(schema: JsonSchema, path: readonly PropertyKey[], root: unknown): string[] {
  return [...new Set(schemasAt(schema, path, root).flatMap((one) => Object.keys(one.properties ?? {})))];
}

function alternatives(schema: JsonSchema, value: unknown): readonly JsonSchema[] {
  const all = schema.anyOf ?? schema.oneOf ?? [schema];
  const chosen = all.filter((one) => isChosen(one, value));
  return chosen.length > 0 ? chosen : all;
}

/** Whether every fixed field of an alternative (its discriminator) is what was written. */
function isChosen(schema: JsonSchema, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(schema.properties ?? {}).every(
    ([key, property]) => property.const === undefined || (value as Record<string, unknown>)[key] === property.const,
  );
}

/** One setting: a value with a path of its own, an environment variable and a row in the reference. */
export interface Leaf {
  readonly path: readonly string[];
  readonly schema: JsonSchema;
}

/** Every leaf below `schema`, in written order. Lists and maps with free keys are leaves: they are set as a whole. */
export function leavesOf(schema: JsonSchema, path: readonly string[] = []): Leaf[] {
  if (schema.properties === undefined) return [{ path, schema }];
  return Object.entries(schema.properties).flatMap(([key, property]) => leavesOf(property, [...path, key]));
}

/** "a whole number from 0 to 65535", "true or false", "a duration": what to write, in words. */
export function describeType(schema: JsonSchema): string {
  const options = (schema.anyOf ?? schema.oneOf ?? []).filter((one) => one.type !== 'null');
  if (options.length > 0) return [...new Set(options.map(describeType))].join(' or ');
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(', ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.unit === 'duration') return 'a duration like "30s"';
  if (schema.unit === 'size') return 'a size like "10Mi"';
  const types = [schema.type ?? []].flat().filter((type) => type !== 'null');
  if (types.includes('array') && schema.items && !schema.items.properties) {
    return `a list of ${describeType(schema.items)}`;
  }
  if (types.includes('integer')) return `a whole number${describeRange(schema)}`;
  return types.map((type) => TYPE_NAMES[type] ?? type).join(' or ') || 'a value';
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  number: 'a number',
  string: 'text',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping of keys',
};

function describeRange({ minimum, maximum }: JsonSchema): string {
  const low = minimum === undefined || minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === undefined || maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (low === undefined) return high === undefined ? '' : ` up to ${high}`;
  return high === undefined ? ` from ${low}` : ` from ${low} to ${high}`;
}
