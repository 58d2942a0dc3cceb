import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, expectTypeOf, test } from 'vitest';
import { parse } from 'yaml';
import type { z } from 'zod';
import { crdFiles } from '../../../src/config/crds/crds.ts';
import type { objectivePolicyStatus, scalePolicyStatus } from '../../../src/config/crds/status-schemas.ts';
import { type StructuralSchema, structural } from '../../../src/config/crds/structural-schema.ts';
import type { ObjectivePolicyStatus, ScalePolicyStatus } from '../../../src/core/policy-status.ts';

const FOLDER = 'infra/crds';

test('infra/crds holds what this version makes, and nothing else', () => {
  const files = Object.fromEntries(
    readdirSync(FOLDER).map((name) => [name, readFileSync(`${FOLDER}/${name}`, 'utf8')]),
  );
  expect(files, `run: npx pilotlight config write-crds ${FOLDER}`).toEqual(crdFiles());
});

interface Crd {
  readonly spec: { readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: StructuralSchema } }[] };
}

describe.each(Object.entries(crdFiles()))('%s', (_name, text) => {
  const schema = (parse(text) as Crd).spec.versions[0]!.schema.openAPIV3Schema;

  test('every list, text and free mapping has an upper bound, and nothing is left untyped', () => {
    const unbounded: string[] = [];
    const visit = (field: StructuralSchema, at: string): void => {
      if (field.type === undefined && !field['x-kubernetes-int-or-string']) unbounded.push(`${at}: no type`);
      if (field.type === 'array' && field.maxItems === undefined) unbounded.push(`${at}: maxItems`);
      if (field.type === 'string' && field.maxLength === undefined && !field.enum) unbounded.push(`${at}: maxLength`);
      if (field.additionalProperties && field.maxProperties === undefined) unbounded.push(`${at}: maxProperties`);
      for (const [key, below] of Object.entries(field.properties ?? {})) visit(below, `${at}.${key}`);
      if (field.items) visit(field.items, `${at}[]`);
      if (field.additionalProperties) visit(field.additionalProperties, `${at}.*`);
    };
    for (const part of ['spec', 'status']) visit(schema.properties![part]!, part);
    expect(unbounded).toEqual([]);
  });

  test('nothing in it starts a command', () => {
    expect(text).not.toContain('command');
  });
});

describe('a schema without structural form is refused', () => {
  test.each([
    [{ anyOf: [{ type: 'string' }, { type: 'integer' }] }, 'alternatives have no structural form'],
    [{ type: 'string' }, 'has no upper bound (maxLength)'],
    [{ type: 'array', items: { type: 'boolean' } }, 'has no upper bound (maxItems)'],
    [{ type: 'object' }, 'a mapping needs properties'],
    [{}, 'type undefined has no structural form'],
  ])('%j', (schema, message) => {
    expect(() => structural(schema, 'spec.x')).toThrow(`spec.x: ${message}`);
  });
});

type Writable<T> = T extends readonly (infer Item)[]
  ? Writable<Item>[]
  : T extends object
    ? { -readonly [Key in keyof T]: Writable<T[Key]> }
    : T;

test('the status that the controller writes is the one of the CRD: the compiler compares them', () => {
  expectTypeOf<z.output<typeof scalePolicyStatus>>().toExtend<Writable<ScalePolicyStatus>>();
  expectTypeOf<Writable<ScalePolicyStatus>>().toExtend<z.output<typeof scalePolicyStatus>>();
  expectTypeOf<z.output<typeof objectivePolicyStatus>>().toExtend<Writable<ObjectivePolicyStatus>>();
  expectTypeOf<Writable<ObjectivePolicyStatus>>().toExtend<z.output<typeof objectivePolicyStatus>>();
});
