import type { BlobStore } from '../../core/blobs.ts';
import type { Clock } from '../../core/clock.ts';
import type { FileService, UploadService } from '../../core/files.ts';
import type { Logger } from '../../core/logger.ts';
import type { FileLimits } from '../policy/files/file-rules.ts';
import type { FileCabinet } from '../ports.ts';
import { FileIntake } from './file-intake.ts';
import { FileRecords } from './file-records.ts';
import { FileSweep } from './file-sweep.ts';
import { IndexKeeper } from './index-keeper.ts';
import type { Digests, FileIds, FileIndex } from './ports.ts';
import { StoredFiles } from './stored-files.ts';
import { StoredUploads } from './stored-uploads.ts';
import { UploadRecords } from './upload-records.ts';

export interface FilesDeps {
  readonly store: BlobStore;
  readonly index: FileIndex;
  readonly digests: Digests;
  readonly ids: FileIds;
  readonly clock: Clock;
  readonly log: Logger;
  readonly limits: FileLimits;
  /** Whether the batch may still read its file; asked of batches that hold one for more than an hour. */
  readonly isUnfinished: (batchId: string) => Promise<boolean>;
}

export interface Files {
  readonly files: FileService;
  readonly uploads: UploadService;
  readonly cabinet: FileCabinet;
  readonly sweep: FileSweep;
  /** Files and parts being received now. */
  readonly receiving: () => number;
  /** Ends what goes on in the background, but for the sweep, which its own signal ends. */
  close(): void;
}

/** Files and uploads over a blob store. */
export function openFiles(deps: FilesDeps): Files {
  const records = new FileRecords(deps);
  const uploadRecords = new UploadRecords(deps.store);
  const intake = new FileIntake(deps);
  const keeper = new IndexKeeper({ ...deps, records });
  const files = new StoredFiles({ ...deps, records, intake, keeper });
  const uploads = new StoredUploads({ ...deps, records: uploadRecords, files, intake });
  const sweep = new FileSweep({ ...deps, files: records, uploads: uploadRecords, keeper });
  return { files, uploads, cabinet: files, sweep, receiving: () => intake.open, close: () => keeper.close() };
}
