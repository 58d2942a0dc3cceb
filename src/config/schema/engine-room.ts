import { z } from 'zod';
import { positiveDuration } from '../fields.ts';

export const dispatcherSection = z
  .strictObject({
    maxAttempts: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .describe('Endpoints a request may try. Only before the first byte; waiting for a cold pool uses none.'),
  })
  .prefault({});

export const autoscalerSection = z
  .strictObject({
    tick: positiveDuration
      .prefault('2s')
      .describe('How often a pool with demand or replicas is looked at. Work for a sleeping pool is seen at once.'),
    idleTick: positiveDuration.prefault('10s').describe('How often a pool at zero without demand is looked at.'),
  })
  .prefault({})
  .transform(({ tick, idleTick }) => ({ tickMs: tick, idleTickMs: idleTick }));

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;

export const logSection = z
  .strictObject({
    level: z.enum(LOG_LEVELS).default('info').describe('Least serious log line that is written.'),
  })
  .prefault({});
