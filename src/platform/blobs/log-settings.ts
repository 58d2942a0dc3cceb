import type { SegmentLogSettings } from '../../core/blobs.ts';

export const LOG_DEFAULTS: SegmentLogSettings = {
  gatherMs: 2,
  batchBytes: 4 * 1_048_576,
  pendingBytes: 64 * 1_048_576,
  roomTimeoutMs: 10_000,
  segmentBytes: 64 * 1_048_576,
  segmentAgeMs: 3_600_000,
};
