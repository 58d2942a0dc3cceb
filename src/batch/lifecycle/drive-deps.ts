import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import type { NoticeSink } from '../../core/notices.ts';
import type { FileCabinet, Finalise, RowStates, RowWork, Validate } from '../ports.ts';
import type { BatchMeter } from './batch-meter.ts';
import type { HeavyWork } from './heavy-work.ts';
import type { BatchBoard, BatchIds, BatchIndex, BatchLeases, IndexedJournal, LifecycleSettings } from './ports.ts';

/** What the keeper of batches works with. */
export interface DriveDeps {
  readonly journal: IndexedJournal;
  readonly index: BatchIndex;
  readonly leases: BatchLeases;
  readonly board: BatchBoard;
  readonly blobs: BlobStore;
  readonly states: RowStates;
  readonly rows: RowWork;
  readonly validate: Validate;
  readonly finalise: Finalise;
  readonly cabinet: FileCabinet;
  readonly notices: NoticeSink;
  readonly ids: BatchIds;
  readonly heavy: HeavyWork;
  readonly settings: LifecycleSettings;
  readonly meter: BatchMeter;
  readonly clock: Clock;
  readonly log: Logger;
}
