import { randomBytes } from 'node:crypto';
import type { Clock } from '../../../core/clock.ts';
import type { FileIds } from '../../files/ports.ts';

/** 48 bits of time, then 128 of chance, in hex. */
export function fileIds(clock: Clock): FileIds {
  const unique = () =>
    `${Math.floor(clock.epochMs()).toString(16).padStart(12, '0')}${randomBytes(16).toString('hex')}`;
  return {
    file: () => `file-${unique()}`,
    upload: () => `upload_${unique()}`,
    part: () => `part_${unique()}`,
  };
}
