import { z } from 'zod';

export const jobsSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Stored work: jobs, background responses, batches, SQS. In a folder (storage.kind) it is for one gateway alone; several share a bucket, or all say false.',
      ),
  })
  .prefault({});
