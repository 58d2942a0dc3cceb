import { z } from 'zod';
import { positiveDuration, size } from '../fields.ts';

const count = z.int().min(1).max(100_000_000);

/** Every limit has a default, is named in the error that it causes, and has a metric that shows how near it is. */
export const limitsSection = z
  .strictObject({
    body: size.prefault('10Mi').describe('One request body. Beyond it: 413.'),
    heldBytes: size.prefault('1Gi').describe('Bodies of held calls in this process, reserved before reading.'),
    heldCalls: count.default(10_000).describe('Held calls in this process.'),
    storedRequests: count
      .default(50_000)
      .describe('Stored requests of one objective in its pool (an ObjectivePolicy may change it).'),
    storedBytes: size.prefault('1Gi').describe('Their bytes (an ObjectivePolicy may change it).'),
    poolRequests: count
      .default(100_000)
      .describe('Budget of a pool: requests queued or stored over all its objectives (a ScalePolicy may change it).'),
    poolBytes: size.prefault('2Gi').describe('Budget of a pool in bytes (a ScalePolicy may change it).'),
    jobResultRetention: positiveDuration.prefault('24h').describe("How long a job's result is kept after it finished."),
    responseBytes: size
      .prefault('32Mi')
      .describe('One answer that is collected as a whole: of a job, or of a call without stream.'),
    collectedBytes: size.prefault('512Mi').describe('All answers being collected in this process at one time.'),
  })
  .prefault({})
  .transform(({ body, jobResultRetention, ...rest }) => ({
    ...rest,
    bodyBytes: body,
    jobResultRetentionMs: jobResultRetention,
  }));
