import { z } from 'zod';

export const jobsSection = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe(
        'Stored jobs (/v1/jobs). They live in data.dir, which one gateway alone can use; of several, all say false.',
      ),
  })
  .prefault({});
