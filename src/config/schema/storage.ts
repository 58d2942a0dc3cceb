import { z } from 'zod';
import { show, text } from '../fields.ts';

/** What stands in place of a password wherever settings are shown. */
export const PASSWORD_MASK = '***';

const redisUrl = z
  .string()
  .superRefine((value, context) => {
    const problem = redisUrlProblem(value);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .nullable();

/** Names what is wrong without repeating the text: it may hold a password. */
function redisUrlProblem(value: string): string | undefined {
  const example = 'write redis://[user:password@]host[:port][/db], or rediss:// for TLS';
  if (!URL.canParse(value)) return `the Redis URL cannot be read; ${example}`;
  const url = new URL(value);
  if (url.protocol !== 'redis:' && url.protocol !== 'rediss:') {
    return `the Redis URL starts with "${url.protocol}"; ${example}`;
  }
  if (url.hostname === '') return `the Redis URL names no host; ${example}`;
  if (!/^\/?\d*$/.test(url.pathname)) return `the Redis URL's path is not a database number; ${example}`;
  if (url.password === PASSWORD_MASK) {
    return 'the Redis URL holds a masked password, as `config print` shows it; write the real one';
  }
  return undefined;
}

export const redisSection = z
  .strictObject({
    url: redisUrl
      .prefault(null)
      .describe('Redis or Valkey that holds the queue. Give it in PILOTLIGHT_REDIS_URL or in a file.')
      .meta({ secret: true, whenAbsent: 'a Redis on this machine is found or started' }),
    keyPrefix: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,32}$/, {
        error: (issue) => `${show(issue.input)} is not a key prefix; use 1 to 32 letters, digits, "-" and "_"`,
      })
      .default('pilotlight')
      .describe('First part of every key, so that several programs can share a Redis.'),
  })
  .prefault({});

export const dataSection = z
  .strictObject({
    dir: text(4_096)
      .default('.pilotlight')
      .describe('Folder of accept records, bodies and results. Losing it loses accepted work.'),
  })
  .prefault({});

const s3Endpoint = text(2_048)
  .refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol), {
    error: 'is not an address; write like "https://minio.storage.svc:9000"',
  })
  .nullable();

export const storageSection = z
  .strictObject({
    kind: z
      .enum(['folder', 's3'])
      .default('folder')
      .describe('Where accept records, files and results are kept: data.dir (one gateway), or a bucket (several).'),
    s3: z
      .strictObject({
        bucket: text(63).nullable().default(null).describe('The bucket. It must exist.').meta({ whenAbsent: 'none' }),
        prefix: z
          .string()
          .max(256)
          .regex(/^([0-9A-Za-z._-]+\/)*$/, { error: 'is not a prefix; write like "pilotlight/" or ""' })
          .default('')
          .describe('What every key starts with; the name of the installation follows it.'),
        endpoint: s3Endpoint
          .default(null)
          .describe('An S3-compatible service.')
          .meta({ whenAbsent: 'AWS, by the region' }),
        region: text(64).default('us-east-1').describe('Region of the bucket.'),
        pathStyle: z
          .boolean()
          .default(false)
          .describe(
            'Whether the bucket is named in the path instead of the host name; MinIO and Ceph usually need it.',
          ),
      })
      .prefault({}),
  })
  .prefault({})
  .superRefine(({ kind, s3 }, context) => {
    if (kind === 's3' && s3.bucket === null) {
      context.addIssue({ code: 'custom', path: ['s3', 'bucket'], message: 'is needed when storage.kind is "s3"' });
    }
  });
