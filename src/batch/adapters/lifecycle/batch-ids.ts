import { createHash, randomBytes } from 'node:crypto';
import type { BatchIds } from '../../lifecycle/ports.ts';

const HEX_DIGITS = 32;

/** Ids that nobody can guess, and ids that everybody derives alike: 128 bits each. */
export const batchIds: BatchIds = {
  next: () => `batch_${randomBytes(HEX_DIGITS / 2).toString('hex')}`,
  derived: (prefix, ...parts) =>
    `${prefix}_${createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, HEX_DIGITS)}`,
};
