import { z } from 'zod';
import { positiveDuration } from '../fields.ts';

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
