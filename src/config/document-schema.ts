import { OBJECT_KINDS, OBJECT_SCHEMAS } from './objects/parse-objects.ts';
import { API_VERSION, CONFIGURATION_KIND, SETTINGS } from './schema/configuration.ts';

/** Kinds that a file may contain. */
export const DOCUMENT_KINDS: readonly string[] = [CONFIGURATION_KIND, ...OBJECT_KINDS];

/** JSON schema (2020-12) of one kind of document, or of any of them; for editors and CI. */
export function documentSchema(kind?: string): unknown {
  const schemas: Readonly<Record<string, unknown>> = {
    [CONFIGURATION_KIND]: {
      type: 'object',
      properties: {
        apiVersion: { const: API_VERSION },
        kind: { const: CONFIGURATION_KIND },
        metadata: { type: 'object', properties: { name: { type: 'string' } }, additionalProperties: false },
        spec: SETTINGS,
      },
      required: ['apiVersion', 'kind'],
      additionalProperties: false,
    },
    ...OBJECT_SCHEMAS,
  };
  return kind === undefined ? { oneOf: DOCUMENT_KINDS.map((one) => schemas[one]) } : schemas[kind];
}
