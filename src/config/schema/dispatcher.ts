import { z } from 'zod';

const attempts = z.int().min(1).max(100);

export const dispatcherSection = z
  .strictObject({
    maxAttempts: attempts
      .default(3)
      .describe('Endpoints a held call may try. Only before the first byte; waiting for a cold pool uses none.'),
    maxStoredAttempts: attempts
      .default(8)
      .describe('Endpoints a stored request may try; higher, as drains and dying replicas must not use it up.'),
  })
  .prefault({});
