import { z } from 'zod';
import { text } from '../fields.ts';

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
