/**
 * Where files and uploads lie in the blob store.
 *
 * | key                          | is                                                                        |
 * | ---------------------------- | ------------------------------------------------------------------------- |
 * | files/ID.json                | the file: written once, its existence makes it one                        |
 * | files/ID.data                | its content, unless it came as an upload                                  |
 * | file-holds/ID/BATCH          | an unfinished batch reads it                                              |
 * | uploads/ID/upload.json       | the upload as it was declared                                             |
 * | uploads/ID/PART.data, .json  | a part, and what is known of its bytes; the second makes it one           |
 * | uploads/ID/end.json          | how it ended; written once, the first end wins                            |
 */
export const FILES_PREFIX = 'files/';
export const UPLOADS_PREFIX = 'uploads/';

const FILE_ID = /^file-[0-9A-Za-z_-]{1,120}$/;
const UPLOAD_ID = /^upload_[0-9a-f]{44}$/;
const PART_ID = /^part_[0-9a-f]{44}$/;
const BATCH_ID = /^[0-9A-Za-z_-]{1,128}$/;
const FILE_KEY = /^files\/(file-[0-9A-Za-z_-]{1,120})\.(data|json)$/;
const UPLOAD_KEY = /^uploads\/(upload_[0-9a-f]{44})\/(upload|end|part_[0-9a-f]{44})\.(data|json)$/;

export const isFileId = (id: string): boolean => FILE_ID.test(id);
export const isUploadId = (id: string): boolean => UPLOAD_ID.test(id);
export const isPartId = (id: string): boolean => PART_ID.test(id);
export const isBatchId = (id: string): boolean => BATCH_ID.test(id);

export const fileDocKey = (id: string): string => `${FILES_PREFIX}${id}.json`;
export const fileDataKey = (id: string): string => `${FILES_PREFIX}${id}.data`;
export const holdsPrefix = (id: string): string => `file-holds/${id}/`;
export const holdKey = (id: string, batchId: string): string => `${holdsPrefix(id)}${batchId}`;

export const uploadPrefix = (id: string): string => `${UPLOADS_PREFIX}${id}/`;
export const uploadDocKey = (id: string): string => `${uploadPrefix(id)}upload.json`;
export const uploadEndKey = (id: string): string => `${uploadPrefix(id)}end.json`;
export const partDataKey = (id: string, partId: string): string => `${uploadPrefix(id)}${partId}.data`;
export const partDocKey = (id: string, partId: string): string => `${uploadPrefix(id)}${partId}.json`;

/** The file that an upload becomes: always the same one, so that completing it again makes no second. */
export function fileIdOfUpload(uploadId: string): string {
  return `file-${uploadId.slice('upload_'.length)}`;
}

/** Which file a key belongs to; null = none. */
export function fileOfKey(key: string): { readonly id: string; readonly kind: 'data' | 'json' } | null {
  const [, id, kind] = FILE_KEY.exec(key) ?? [];
  return id !== undefined && (kind === 'data' || kind === 'json') ? { id, kind } : null;
}

/** Which upload a key belongs to, and which part when it is the content of one; null = none. */
export function uploadOfKey(key: string): { readonly id: string; readonly dataOfPart: string | null } | null {
  const [, id, name, kind] = UPLOAD_KEY.exec(key) ?? [];
  if (id === undefined || name === undefined) return null;
  return { id, dataOfPart: kind === 'data' ? name : null };
}
