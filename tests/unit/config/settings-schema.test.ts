import { expect, test } from 'vitest';
import { documentSchema } from '../../../src/config/document-schema.ts';
import { configurationSchema, LEAVES } from '../../../src/config/schema/configuration.ts';

interface Schema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: unknown;
}

/** The chart's values.schema.json is made of it. */
const schema = documentSchema('Configuration') as Schema;
const spec = schema.properties!['spec']!;

test('every section of the settings is in the schema of a Configuration', () => {
  expect(Object.keys(spec.properties!)).toEqual(Object.keys(configurationSchema.shape));
  expect(spec.additionalProperties).toBe(false);
});

test('nothing in it may be anything: each field says its type', () => {
  const untyped: string[] = [];
  const visit = (field: Schema, at: string): void => {
    const alternatives = field.anyOf ?? field.oneOf ?? [];
    const said = field.type ?? field.enum ?? field.const;
    if (said === undefined && alternatives.length === 0) untyped.push(at);
    for (const one of alternatives) visit(one, at);
    for (const [key, below] of Object.entries(field.properties ?? {})) visit(below, `${at}.${key}`);
    if (field.items) visit(field.items, `${at}[]`);
  };
  visit(spec, 'spec');
  expect(untyped).toEqual([]);
});

test('every setting says what it means', () => {
  expect(LEAVES.filter((leaf) => (leaf.schema.description ?? '') === '').map((leaf) => leaf.path.join('.'))).toEqual(
    [],
  );
});

test('it holds no reference, so that a part of it can stand elsewhere', () => {
  expect(JSON.stringify(schema)).not.toContain('"$ref"');
});
