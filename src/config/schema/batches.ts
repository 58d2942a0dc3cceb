import { z } from 'zod';
import { parseDuration } from '../../core/units.ts';
import { duration, positiveDuration, size, text } from '../fields.ts';

/** Wide enough for any job, so that a slip of the keyboard does not keep files for years. */
const LONGEST_WINDOW_MS = 30 * 86_400_000;
const count = z.int().min(1).max(100_000_000);

/** As it is written in `completion_window`. */
const window = z.string().superRefine((written, context) => {
  const parsed = parseDuration(written);
  const isFit = parsed.ok && parsed.value > 0 && parsed.value <= LONGEST_WINDOW_MS;
  if (!isFit)
    context.addIssue({ code: 'custom', message: 'is not a window; write a duration of at most "30d", like "24h"' });
});

/** What OpenAI itself allows (https://platform.openai.com/docs/guides/batch), for files that must run there as well. */
const OPENAI_PROFILE = { rows: 50_000, fileBytes: 200 * 1024 ** 2, models: 1 } as const;

export const batchesSection = z
  .strictObject({
    enabled: z.boolean().default(true).describe('Files, uploads and batches (/v1/files, /v1/uploads, /v1/batches).'),
    profile: z
      .enum(['large', 'openai'])
      .default('large')
      .describe("Limits of one batch: as set here, or OpenAI's own (50,000 rows, 200 MB, one model)."),
    rows: count.default(1_000_000).describe('Rows of one batch.'),
    file: size.prefault('8Gi').describe('One file, and one upload in parts.'),
    line: size.prefault('8Mi').describe('One line of a batch file.'),
    models: z.int().min(1).max(1_000).default(16).describe('Models in one batch file.'),
    customIdBytes: z.int().min(1).max(4_096).default(512).describe('Length of a custom_id.'),
    windows: z
      .array(window)
      .min(1)
      .max(16)
      .default(['24h', '1h', '8h', '72h', '7d'])
      .describe('What completion_window may say. Default 24h, 1h, 8h, 72h, 7d.'),
    fileExtensions: z
      .array(z.string().max(16))
      .max(16)
      .default(['.jsonl'])
      .describe('Names of batch files end in one of these; "" allows names without any. Default .jsonl.'),
    tenantRows: count.default(5_000_000).describe('Unfinished rows of one tenant, over all its batches.'),
    tenantBatches: count.default(1_000).describe('Unfinished batches of one tenant.'),
    tenantFiles: count.default(100_000).describe('Files one tenant may keep.'),
    tenantBytes: size.prefault('1Ti').describe('Bytes of all files of one tenant.'),
    uploadsAtOnce: z.int().min(1).max(1_000).default(16).describe('Files and parts being received by this process.'),
    uploadPart: size.prefault('64Mi').describe('One part of an upload.'),
    uploadLifetime: positiveDuration
      .prefault('1h')
      .describe('An upload that is not completed in this time is dropped.'),
    fileRetention: positiveDuration
      .prefault('30d')
      .describe('Batch files and outputs that name no expiry are kept so long.'),
    objective: text(253)
      .nullable()
      .default(null)
      .describe('InferenceObjective of batches that name none.')
      .meta({ whenAbsent: "the tenant's or the pool's default" }),
    rowAttempts: z.int().min(1).max(20).default(5).describe('Tries of one row; waiting for a cold pool uses none.'),
    chunkRows: z.int().min(10).max(10_000).default(500).describe('Rows that are taken in together.'),
    failingRows: z
      .int()
      .min(10)
      .max(100_000)
      .default(100)
      .describe('So many rows in a row that fail alike pause their batch.'),
    cancelGrace: duration.prefault('60s').describe('After a cancel: how long rows that run may finish.'),
    freeBytes: size.prefault('1Gi').describe('Uploads are refused when less than this is free on the disk.'),
  })
  .prefault({})
  .transform(
    ({ file, line, uploadPart, uploadLifetime, fileRetention, cancelGrace, tenantBytes, freeBytes, ...rest }) => ({
      ...rest,
      ...(rest.profile === 'openai' && { rows: OPENAI_PROFILE.rows, models: OPENAI_PROFILE.models }),
      /** Of a file that becomes a batch. */
      batchFileBytes: rest.profile === 'openai' ? Math.min(file, OPENAI_PROFILE.fileBytes) : file,
      fileBytes: file,
      lineBytes: line,
      uploadPartBytes: uploadPart,
      uploadLifetimeMs: uploadLifetime,
      fileRetentionMs: fileRetention,
      cancelGraceMs: cancelGrace,
      tenantBytes,
      freeBytes,
    }),
  );
