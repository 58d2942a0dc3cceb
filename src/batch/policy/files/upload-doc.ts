import { PilotlightError } from '../../../core/errors.ts';
import type { StoredFile, UploadPurpose, UploadStatus, UploadView } from '../../../core/files.ts';
import type { TextEdges } from './text-edges.ts';

/** An upload as it was declared. */
export interface UploadDoc {
  readonly id: string;
  readonly tenant: string;
  readonly declaredBytes: number;
  readonly createdAtEpochMs: number;
  readonly expiresAtEpochMs: number;
  readonly filename: string;
  readonly purpose: UploadPurpose;
  /** Of the file it becomes. */
  readonly expiresAfterMs: number | null;
}

/** A part that was received whole. */
export interface PartDoc {
  readonly id: string;
  readonly bytes: number;
  readonly createdAtEpochMs: number;
  /** Hex. */
  readonly sha256: string;
  readonly edges: TextEdges;
}

export type UploadEnd =
  | { readonly status: 'completed'; readonly file: StoredFile; readonly partIds: readonly string[] }
  | { readonly status: 'cancelled' | 'expired' };

export function uploadView(doc: UploadDoc, end: UploadEnd | null, nowEpochMs: number): UploadView {
  const { id, tenant, declaredBytes, createdAtEpochMs, expiresAtEpochMs, filename, purpose } = doc;
  return {
    id,
    tenant,
    declaredBytes,
    createdAtEpochMs,
    expiresAtEpochMs,
    filename,
    purpose,
    status: uploadStatus(doc, end, nowEpochMs),
    file: end?.status === 'completed' ? end.file : null,
  };
}

export function uploadStatus(doc: UploadDoc, end: UploadEnd | null, nowEpochMs: number): UploadStatus {
  return end?.status ?? (nowEpochMs >= doc.expiresAtEpochMs ? 'expired' : 'pending');
}

/** Why nothing more can be done with an upload. */
export function uploadClosed(id: string, status: UploadStatus): PilotlightError {
  const message = `The upload '${id}' is ${status}; make a new one with POST /v1/uploads.`;
  return new PilotlightError('upload_closed', message, { param: 'upload_id' });
}

/** The parts of all tries of an upload may have so many bytes, as a part that failed is sent again. */
export function partsRoom(doc: UploadDoc, partBytes: number): number {
  return 2 * doc.declaredBytes + 2 * partBytes;
}

/** Parts that an upload may have. More than an S3 client ever makes (10,000). */
export const MAX_PARTS = 10_000;
