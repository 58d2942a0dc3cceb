import { z } from 'zod';
import { positiveDuration } from '../fields.ts';

export const timeoutsSection = z
  .strictObject({
    maxHold: positiveDuration
      .prefault('10m')
      .describe('Longest wait of a held call for a slot; then 503 with a hint to the job API.'),
    maxStreamHold: positiveDuration
      .prefault('1h')
      .describe('The same for a stream, whose client sees progress while it waits.'),
    idle: positiveDuration
      .prefault('2m')
      .describe('Longest silence of a model server: before the first byte and between two.'),
    overall: positiveDuration.prefault('30m').describe('Longest time from the slot to the last byte of an answer.'),
    connect: positiveDuration.prefault('2s').describe('Connecting to a model server.'),
    clientStall: positiveDuration
      .prefault('1m')
      .describe('A client that reads nothing for this long while an answer is ready is cut off.'),
    drain: positiveDuration
      .prefault('30s')
      .describe('After SIGTERM: how long running calls may finish. Below the grace period of whoever stops it.'),
  })
  .prefault({})
  .transform((timeouts) => ({
    maxHoldMs: timeouts.maxHold,
    maxStreamHoldMs: timeouts.maxStreamHold,
    idleMs: timeouts.idle,
    overallMs: timeouts.overall,
    connectMs: timeouts.connect,
    clientStallMs: timeouts.clientStall,
    drainMs: timeouts.drain,
  }));
