import type { Page, PageRequest, StoredFile } from '../../core/files.ts';
import type { TextEdges } from '../policy/files/text-edges.ts';

export interface FileListRequest extends PageRequest {
  readonly purpose: string | null;
  readonly order: 'asc' | 'desc';
}

/** What the index knows of a file by its id alone. */
export interface ListedFile {
  readonly tenant: string;
  readonly expiresAtEpochMs: number | null;
}

/**
 * Which files each tenant has, in order; a copy of what the store knows, and quicker. Throws `queue_unavailable` while
 * Redis does not answer.
 */
export interface FileIndex {
  /** Does nothing for a file that it has. */
  add(file: StoredFile): Promise<void>;
  /** A page may still begin after it, for an hour. */
  remove(id: string, tenant: string): Promise<void>;
  totals(tenant: string): Promise<{ readonly files: number; readonly bytes: number }>;
  /** Null = it never heard of `after`. */
  page(tenant: string, request: FileListRequest): Promise<Page<StoredFile> | null>;
  /** In the order of the ids; null for those it does not have. */
  listed(ids: readonly string[]): Promise<readonly (ListedFile | null)[]>;
  /** False when it has lost what it knew, or never was filled from the store. */
  isComplete(): Promise<boolean>;
  /** Begins to fill it; the function says that all files were added. It counts only if nothing was lost meanwhile. */
  beginRebuild(): Promise<() => Promise<void>>;
  /** True for one caller among all processes in each span. */
  leaseSweep(forMs: number): Promise<boolean>;
  /** Counts an open upload of the tenant until it ends by itself; false = it has `max` already. */
  openUpload(tenant: string, id: string, expiresAtEpochMs: number, nowEpochMs: number, max: number): Promise<boolean>;
  closeUpload(tenant: string, id: string): Promise<void>;
}

/** Looks at bytes as they pass. */
export interface ByteWatch {
  update(bytes: Uint8Array): void;
  /** Once, at the end. `sha256` as hex. */
  end(): { readonly sha256: string; readonly edges: TextEdges };
}

export interface Digests {
  watch(): ByteWatch;
  /** SHA-256 of texts, hex. */
  ofTexts(texts: readonly string[]): string;
  md5(): { update(bytes: Uint8Array): void; hex(): string };
}

/** Ids that sort by age, with 128 bits of chance. */
export interface FileIds {
  file(): string;
  upload(): string;
  part(): string;
}
