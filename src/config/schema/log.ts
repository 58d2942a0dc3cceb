import { z } from 'zod';

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export const logSection = z
  .strictObject({
    level: z.enum(LOG_LEVELS).default('info').describe('Least serious log line that is written.'),
  })
  .prefault({});
