import { dirname, resolve } from 'node:path';
import type { JsonSchema } from './json-schema.ts';
import { type Layer, layerKey, type Written } from './layers.ts';
import { API_VERSION, CONFIGURATION_KIND, LEAVES } from './schema/configuration.ts';
import { PASSWORD_MASK } from './schema/redis.ts';

/** One setting as it holds now. */
export interface EffectiveSetting {
  readonly path: readonly string[];
  /** In its written form, secrets masked. */
  readonly value: unknown;
  /** "examples/local.yaml:4:9", "PILOTLIGHT_SERVER_PORT", "--port", or "default" and what an absent value means. */
  readonly source: string;
}

/** Every setting with its value and where that comes from, in the order of the schema. */
export function effectiveSettings(written: Layer): EffectiveSetting[] {
  return LEAVES.map(({ path, schema }) => {
    const given = written.get(layerKey(path));
    const value = given ? portable(path, given) : (schema.default ?? null);
    const source = given?.locate([], false) ?? 'default';
    const meaning = value === null && schema.whenAbsent !== undefined ? `: ${schema.whenAbsent}` : '';
    return { path, value: masked(schema, value), source: `${source}${meaning}` };
  });
}

/** The settings as a document that `-f` reads. */
export function configurationDocument(settings: readonly EffectiveSetting[]): {
  apiVersion: string;
  kind: string;
  spec: Record<string, unknown>;
} {
  const spec: Record<string, unknown> = {};
  for (const { path, value } of settings) {
    let section = spec;
    for (const key of path.slice(0, -1)) section = (section[key] ??= {}) as Record<string, unknown>;
    section[path.at(-1) ?? ''] = value;
  }
  return { apiVersion: API_VERSION, kind: CONFIGURATION_KIND, spec };
}

/** A value that means the same in another folder: paths relative to the file that names them become absolute. */
function portable(path: readonly string[], { value, file }: Written): unknown {
  if (path.join('.') !== 'tenants' || file === null || !Array.isArray(value)) return value;
  return (value as Record<string, unknown>[]).map((tenant) => ({
    ...tenant,
    ...(typeof tenant['keysFile'] === 'string' ? { keysFile: resolve(dirname(file), tenant['keysFile']) } : {}),
  }));
}

function masked(schema: JsonSchema, value: unknown): unknown {
  if (schema.opaque && value !== null) return PASSWORD_MASK;
  return schema.secret ? maskPassword(value) : value;
}

function maskPassword(value: unknown): unknown {
  if (typeof value !== 'string' || !URL.canParse(value)) return value;
  const url = new URL(value);
  if (url.password !== '') url.password = PASSWORD_MASK;
  return url.href;
}
