import type { Page, StoredFile, UploadPart, UploadView } from '../../../core/files.ts';
import { seconds, secondsOrNull } from '../seconds.ts';

/** Files, uploads and parts as the OpenAI API shows them (https://platform.openai.com/docs/api-reference/files/object). */
export function fileObject(file: StoredFile) {
  return {
    id: file.id,
    object: 'file',
    bytes: file.bytes,
    created_at: seconds(file.createdAtEpochMs),
    expires_at: secondsOrNull(file.expiresAtEpochMs),
    filename: file.filename,
    purpose: file.purpose,
    // Deprecated and still required. Clients wait for it to become `processed`.
    status: 'processed',
    status_details: null,
  };
}

export function uploadObject(upload: UploadView) {
  return {
    id: upload.id,
    object: 'upload',
    bytes: upload.declaredBytes,
    created_at: seconds(upload.createdAtEpochMs),
    expires_at: seconds(upload.expiresAtEpochMs),
    filename: upload.filename,
    purpose: upload.purpose,
    status: upload.status,
    file: upload.file && fileObject(upload.file),
  };
}

export function partObject(part: UploadPart) {
  return {
    id: part.id,
    object: 'upload.part',
    created_at: seconds(part.createdAtEpochMs),
    upload_id: part.uploadId,
  };
}

/** A page of a list; clients go on after the id of its last item. */
export function listObject<T>(page: Page<T>, show: (item: T) => { readonly id: string }) {
  const data = page.items.map(show);
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: page.hasMore,
  };
}
