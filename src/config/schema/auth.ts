import { z } from 'zod';
import { labelName, objectName, text } from '../fields.ts';

/** What a caller may do, once it is known who it is; the same for a tenant and for anonymous callers. */
export const callerFields = {
  weight: z.int().min(1).max(1_000).default(1).describe('Share among the tenants of one priority band.'),
  trusted: z
    .boolean()
    .default(false)
    .describe('A gateway: its objective and fairness headers count. Never for a caller of unknown origin.'),
  defaultObjective: objectName
    .nullable()
    .default(null)
    .describe('InferenceObjective of calls that name none.')
    .meta({ whenAbsent: "the pool's default objective" }),
  allowedObjectives: z
    .array(objectName)
    .max(256)
    .nullable()
    .default(null)
    .describe('The only objectives this caller may use.')
    .meta({ whenAbsent: 'all' }),
  allowedModels: z
    .array(text())
    .max(1_024)
    .nullable()
    .default(null)
    .describe('The only model names this caller may use and sees in /v1/models.')
    .meta({ whenAbsent: 'all' }),
  serviceTiers: z
    .record(text(64), objectName)
    .default({})
    .describe('OpenAI service_tier value → objective, like {flex: nightly}.'),
};

export const authSection = z
  .strictObject({
    anonymous: z
      .strictObject({
        enabled: z
          .boolean()
          .nullable()
          .default(null)
          .describe('Whether calls without an API key are served.')
          .meta({ whenAbsent: 'only when server.host is a loopback address' }),
        tenant: labelName.default('anonymous').describe('Tenant that calls without a key belong to.'),
        ...callerFields,
      })
      .prefault({}),
  })
  .prefault({});

const keyHash = z
  .string()
  .regex(/^sha256:[0-9a-f]{64}$/i, {
    // The text is not repeated: it is often the key itself.
    error: 'is not a key hash; write "sha256:" and the 64 hex digits of the SHA-256 of the key',
  })
  .transform((hash) => hash.toLowerCase());

export const tenantsSection = z
  .array(
    z.strictObject({
      name: labelName.describe('Fairness id, and owner of its jobs.'),
      keys: z
        .array(keyHash)
        .max(1_000)
        .prefault([])
        .describe('SHA-256 of its API keys, each "sha256:<64 hex digits>".')
        .meta({ secret: true }),
      keysFile: text(4_096)
        .nullable()
        .default(null)
        .describe('File with one such hash a line, as a Secret is mounted. Relative to the file that names it.'),
      ...callerFields,
    }),
  )
  .max(10_000)
  .prefault([])
  .describe('Callers with API keys. A key is sent as "Authorization: Bearer <key>".');
