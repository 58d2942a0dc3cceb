import type { JsonSchema } from '../json-schema.ts';

/** A schema as a CustomResourceDefinition may hold it: types everywhere, no references, no alternatives. */
export interface StructuralSchema {
  type?: string;
  description?: string;
  default?: unknown;
  enum?: readonly unknown[];
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minProperties?: number;
  maxProperties?: number;
  properties?: Record<string, StructuralSchema>;
  required?: readonly string[];
  items?: StructuralSchema;
  additionalProperties?: StructuralSchema;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map';
  'x-kubernetes-list-map-keys'?: readonly string[];
  'x-kubernetes-map-type'?: 'atomic' | 'granular';
  'x-kubernetes-validations'?: readonly CelRule[];
}

/** One rule in the Common Expression Language, evaluated by the API server. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

/** JSON schema as zod writes it, beyond what other tools of Pilotlight read. */
interface WrittenSchema extends JsonSchema {
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly additionalProperties?: boolean | WrittenSchema;
  readonly items?: WrittenSchema;
}

const DURATION = '([0-9]+(ms|s|m|h|d))+';
const SIZE = '[0-9]+(B|Ki|Mi|Gi|Ti|k|M|G|T)';
/** Longer than any sensible duration or size, short enough for cheap rules. */
const MAX_QUANTITY_CHARS = 32;
const MAX_INT32 = 2_147_483_647;

/**
 * The same schema in structural form. Throws where that is not possible, and where a list or text has no upper bound:
 * the API server could not estimate the cost of a rule on it.
 */
export function structural(schema: JsonSchema, at: string): StructuralSchema {
  const written = schema as WrittenSchema;
  const common = {
    ...(written.description === undefined ? {} : { description: written.description }),
    ...(written.default === undefined ? {} : { default: written.default }),
  };
  const auto = written.anyOf?.find((one) => one.const === 'Auto');
  const fixed = written.anyOf?.find((one) => one !== auto);
  if (auto && fixed?.unit === 'duration') {
    return { type: 'string', ...common, ...quantity(`Auto|${DURATION}`, "self == 'Auto' || self.matches('[1-9]')") };
  }
  if (auto && fixed?.type === 'integer') {
    // Bounds hold for the number, the pattern for the text; a rule would be too dear on a text of any length.
    const { type: _type, format: _format, ...range } = integer(fixed);
    return { 'x-kubernetes-int-or-string': true, ...common, pattern: '^Auto$', ...range };
  }
  if (written.anyOf || written.oneOf) throw new TypeError(`${at}: alternatives have no structural form`);
  if (written.unit) {
    return {
      type: 'string',
      ...common,
      ...quantity(written.unit === 'size' ? SIZE : DURATION, "self.matches('[1-9]')"),
    };
  }
  if (written.const !== undefined) return { type: typeof written.const, ...common, enum: [written.const] };
  return { ...typed(written, at), ...common };
}

function quantity(pattern: string, notZero: string): StructuralSchema {
  const rules = [{ rule: notZero, message: 'must be more than 0' }];
  return { pattern: `^(${pattern})$`, maxLength: MAX_QUANTITY_CHARS, 'x-kubernetes-validations': rules };
}

function typed(schema: WrittenSchema, at: string): StructuralSchema {
  switch (schema.type) {
    case 'object':
      return objectSchema(schema, at);
    case 'array':
      return { type: 'array', ...bounds(schema, 'Items', at), items: structural(schema.items ?? {}, `${at}[]`) };
    case 'integer':
      return integer(schema);
    case 'boolean':
      return { type: 'boolean' };
    case 'string': {
      const { pattern, format } = schema;
      const text = { type: 'string', ...(format === undefined ? {} : { format }) };
      if (schema.enum) return { ...text, enum: schema.enum };
      return { ...text, ...bounds(schema, 'Length', at), ...(pattern === undefined ? {} : { pattern }) };
    }
    default:
      throw new TypeError(`${at}: type ${JSON.stringify(schema.type)} has no structural form`);
  }
}

function objectSchema({ properties, required, additionalProperties }: WrittenSchema, at: string): StructuralSchema {
  if (properties) {
    return {
      type: 'object',
      properties: Object.fromEntries(
        Object.entries(properties).map(([key, value]) => [key, structural(value, `${at}.${key}`)]),
      ),
      ...(required && required.length > 0 ? { required } : {}),
    };
  }
  if (typeof additionalProperties !== 'object') throw new TypeError(`${at}: a mapping needs properties`);
  return { type: 'object', additionalProperties: structural(additionalProperties, `${at}.*`) };
}

function bounds(schema: WrittenSchema, of: 'Items' | 'Length', at: string): StructuralSchema {
  const [low, high] = [schema[`min${of}`], schema[`max${of}`]];
  if (high === undefined) throw new TypeError(`${at}: has no upper bound (max${of})`);
  return { ...(low === undefined ? {} : { [`min${of}`]: low }), [`max${of}`]: high };
}

function integer({ minimum, maximum }: WrittenSchema): StructuralSchema {
  const low = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum;
  const high = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
  const format = high !== undefined && high <= MAX_INT32 ? 'int32' : 'int64';
  return {
    type: 'integer',
    format,
    ...(low === undefined ? {} : { minimum: low }),
    ...(high === undefined ? {} : { maximum: high }),
  };
}
