import type { ByteRange } from './blobs.ts';

/** Files as the OpenAI API has them (https://platform.openai.com/docs/api-reference/files). */
export const FILE_PURPOSES = ['assistants', 'batch', 'fine-tune', 'vision', 'user_data', 'evals'] as const;
export type UploadPurpose = (typeof FILE_PURPOSES)[number];
export type FilePurpose = UploadPurpose | 'batch_output';

export interface StoredFile {
  /** "file-…", 128 random bits or more; of an output file derived from its batch. */
  readonly id: string;
  readonly tenant: string;
  readonly bytes: number;
  readonly createdAtEpochMs: number;
  /** After this it is gone. Null = it stays until it is deleted. */
  readonly expiresAtEpochMs: number | null;
  /** As the caller named it; shown, never used as a path. */
  readonly filename: string;
  readonly purpose: FilePurpose;
  /** Blobs that make up its content, in order: one, or the parts of an upload. */
  readonly parts: readonly FilePart[];
  /** Changes with the content; safe inside an ETag. */
  readonly etag: string;
}

export interface FilePart {
  readonly key: string;
  readonly bytes: number;
}

export interface NewFile {
  readonly tenant: string;
  readonly filename: string;
  /** From its creation; null = the default of its purpose (30 days for `batch`, none for others). */
  readonly expiresAfterMs: number | null;
}

/** A file that is being sent: bytes first, for the purpose may come after them. */
export interface FileSpool {
  /** Bytes so far. */
  readonly bytes: number;
  /** Makes it a file. Throws for what cannot be one (`purpose`, extension, UTF-8, empty); then it is discarded. */
  commit(file: NewFile & { readonly purpose: string }): Promise<StoredFile>;
  /** No error when it was committed. */
  discard(): Promise<void>;
}

export interface PageRequest {
  /** Id of the last one seen; null = from the start. */
  readonly after: string | null;
  readonly limit: number;
}

export interface Page<T> {
  readonly items: readonly T[];
  readonly hasMore: boolean;
}

/** Refusals are thrown as PilotlightError; another tenant's file is `file_not_found`. */
export interface FileService {
  /** Reads the source to its end into the store. Counts against the tenant's and the process's uploads. */
  receive(tenant: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<FileSpool>;
  get(id: string, tenant: string): Promise<StoredFile>;
  list(
    tenant: string,
    page: PageRequest & { readonly purpose: string | null; readonly order: 'asc' | 'desc' },
  ): Promise<Page<StoredFile>>;
  read(file: StoredFile, range?: ByteRange, signal?: AbortSignal): AsyncIterable<Uint8Array>;
  /** `file_in_use` while an unfinished batch reads it. */
  delete(id: string, tenant: string): Promise<void>;
}

export type UploadStatus = 'pending' | 'completed' | 'cancelled' | 'expired';

/** A large file sent in parts (https://platform.openai.com/docs/api-reference/uploads). */
export interface UploadView {
  readonly id: string;
  readonly tenant: string;
  readonly declaredBytes: number;
  readonly createdAtEpochMs: number;
  readonly expiresAtEpochMs: number;
  readonly filename: string;
  readonly purpose: UploadPurpose;
  readonly status: UploadStatus;
  readonly file: StoredFile | null;
}

export interface UploadPart {
  readonly id: string;
  readonly uploadId: string;
  readonly createdAtEpochMs: number;
}

export interface UploadService {
  create(
    upload: NewFile & { readonly purpose: string; readonly bytes: number; readonly mimeType: string },
  ): Promise<UploadView>;
  addPart(id: string, tenant: string, source: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<UploadPart>;
  /** `partIds` is the order. `md5` of the whole, as 32 hex digits, is checked when given. Repeating it gives the same answer. */
  complete(id: string, tenant: string, partIds: readonly string[], md5: string | null): Promise<UploadView>;
  cancel(id: string, tenant: string): Promise<UploadView>;
  get(id: string, tenant: string): Promise<UploadView>;
}
