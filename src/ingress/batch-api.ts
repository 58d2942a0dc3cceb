import type { BatchService } from '../core/batches.ts';
import type { FileService, UploadService } from '../core/files.ts';
import type { HandlerDeps } from './exchange.ts';

export interface BatchApiSettings {
  /** What `completion_window` may say. */
  readonly windows: readonly string[];
  readonly fileBytes: number;
  readonly uploadPartBytes: number;
}

/** Files, uploads and batches. */
export interface BatchApi {
  readonly files: FileService;
  readonly uploads: UploadService;
  readonly batches: BatchService;
  readonly settings: BatchApiSettings;
}

export interface BatchApiDeps extends HandlerDeps {
  readonly api: BatchApi;
}
