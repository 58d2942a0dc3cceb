import { randomUUID } from 'node:crypto';
import type { Clock } from '../../core/clock.ts';
import type { IdSource } from '../ports.ts';

/** Ids after UUID version 7 (RFC 9562): 48 bits of time, then 74 of chance, so that they sort by age in stores and logs. */
export function uniqueIds(clock: Clock): IdSource {
  return {
    requestId: () => `req_${uuid7(clock.epochMs())}`,
    responseId: () => `resp_${uuid7(clock.epochMs())}`,
    jobId: () => `job_${uuid7(clock.epochMs())}`,
    chance: Math.random,
  };
}

function uuid7(epochMs: number): string {
  const chance = randomUUID();
  const time = Math.floor(epochMs).toString(16).padStart(12, '0');
  return `${time}7${chance.slice(15, 18)}${chance.slice(19, 23)}${chance.slice(24)}`;
}
