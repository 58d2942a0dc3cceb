import { z } from 'zod';
import { duration, labelName, objectName, show, size, text } from '../fields.ts';

const quota = (text: string) =>
  z.int().min(1).max(1_000_000_000).nullable().default(null).describe(text).meta({ whenAbsent: 'no limit of its own' });

/** What a caller may do, once it is known who it is; the same for a tenant and for anonymous callers. */
export const callerFields = {
  weight: z.int().min(1).max(1_000).default(1).describe('Share among the tenants of one priority band.'),
  quotas: z
    .strictObject({
      requestsPerMinute: quota('Requests that may begin in a minute, over all pools and replicas. Beyond: 429.'),
      tokensPerMinute: quota('Their tokens, estimated before and corrected after each.'),
      maxConcurrency: quota('Requests that may hold a slot at one time, in each pool. Beyond: they wait.'),
      maxRequests: quota('Requests queued or stored in each pool. Beyond: 429.'),
      maxBytes: size.nullable().default(null).describe('Their bytes.').meta({ whenAbsent: 'no limit of its own' }),
    })
    .prefault({})
    .describe('What it may use. Absent: no limit of its own.'),
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

/** Asymmetric only: with a shared secret whoever can check a token can also make one. */
export const OIDC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

/** The issuer's own URL, as its tokens have it. */
const issuerUrl = text(2_048);

const oidcIssuer = z.strictObject({
  issuer: issuerUrl.describe('Exactly as in the "iss" of its tokens. With https, or on this machine.'),
  audiences: z.array(text()).min(1).max(16).describe('What its tokens must be for, one of these: their "aud".'),
  jwksUrl: text(2_048)
    .nullable()
    .default(null)
    .describe('Where its public keys are.')
    .meta({ whenAbsent: 'read from its /.well-known/openid-configuration' }),
  algorithms: z
    .array(z.enum(OIDC_ALGORITHMS))
    .min(1)
    .max(OIDC_ALGORITHMS.length)
    .default(['RS256', 'ES256', 'PS256', 'EdDSA'])
    .describe('Signatures that are accepted. Default RS256, ES256, PS256 and EdDSA.'),
  usernameClaim: text(128)
    .default('sub')
    .describe('Claim that names the caller; compared with tenants[].oidc[].subject.'),
  tenantClaim: text(128)
    .nullable()
    .default(null)
    .describe('Claim that names the tenant itself, any of them. Only for an issuer that you trust with that.')
    .meta({ whenAbsent: 'tenants[].oidc decides' }),
  clockTolerance: duration
    .refine((durationMs) => durationMs <= 300_000, { error: 'must be at most "5m"' })
    .prefault('30s')
    .describe('How far its clock may differ from ours.'),
});

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
    serviceAccounts: z
      .strictObject({
        enabled: z
          .boolean()
          .nullable()
          .default(null)
          .describe('Whether callers may use tokens of Kubernetes ServiceAccounts. Needs kubernetes.enabled.')
          .meta({ whenAbsent: 'when a tenant lists serviceAccounts' }),
        audiences: z
          .array(text())
          .max(16)
          .default(['pilotlight'])
          .describe(
            'Tokens must be for one of these, on the admin listener too; [] = for the API server itself. Default [pilotlight].',
          ),
      })
      .prefault({}),
    oidc: z.array(oidcIssuer).max(16).prefault([]).describe('OpenID Connect issuers whose tokens callers may use.'),
    protectMetrics: z
      .boolean()
      .default(false)
      .describe(
        'Whether /metrics asks for a token that may get the non-resource URL /metrics. Needs kubernetes.enabled.',
      ),
  })
  .prefault({})
  .transform(({ oidc, ...rest }) => ({
    ...rest,
    oidc: oidc.map(({ clockTolerance, ...issuer }) => ({ ...issuer, clockToleranceMs: clockTolerance })),
  }));

const serviceAccount = z
  .string()
  .max(317)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?\/[a-z0-9]([-.a-z0-9]*[a-z0-9])?$/, {
    error: (issue) => `${show(issue.input)} is not a ServiceAccount; write "namespace/name"`,
  });

const oidcMatch = z.strictObject({
  issuer: issuerUrl.describe('One of auth.oidc[].issuer.'),
  subject: text(512)
    .nullable()
    .default(null)
    .describe("Its caller of this name (the issuer's usernameClaim).")
    .meta({ whenAbsent: 'any' }),
  claim: z
    .strictObject({
      name: text(128).describe('Claim that a token must have, like groups.'),
      value: text(512).describe('Its value, or one of its values if it is a list.'),
    })
    .nullable()
    .default(null)
    .describe('Its callers with this claim.')
    .meta({ whenAbsent: 'any' }),
});

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
        .describe(
          'File with one such hash a line, as a Secret is mounted. Relative to the file that names it. Followed.',
        ),
      serviceAccounts: z
        .array(serviceAccount)
        .max(1_000)
        .prefault([])
        .describe('ServiceAccounts whose tokens speak for it, each "namespace/name".'),
      oidc: z.array(oidcMatch).max(1_000).prefault([]).describe('Whose tokens of OpenID Connect issuers speak for it.'),
      ...callerFields,
    }),
  )
  .max(10_000)
  .prefault([])
  .describe('Callers with API keys or tokens, sent as "Authorization: Bearer <key>".');
