import { PilotlightError } from '../../../core/errors.ts';
import { missing, requiredString, wrongType, wrongValue } from '../fields.ts';
import type { JsonObject } from '../json-body.ts';
import { expiresAfterMs } from './expires-after.ts';

/** As Node's numbers hold them exactly. */
const MAX_BYTES = Number.MAX_SAFE_INTEGER;

export interface UploadRequest {
  readonly filename: string;
  readonly purpose: string;
  readonly bytes: number;
  readonly mimeType: string;
  readonly expiresAfterMs: number | null;
}

/** The body of POST /v1/uploads. Throws for what is wrong with it. */
export function parseUpload(body: JsonObject): UploadRequest {
  const { bytes } = body;
  const filename = required(body, 'filename');
  const purpose = required(body, 'purpose');
  if (bytes === undefined) throw missing('bytes');
  if (typeof bytes !== 'number' || !Number.isInteger(bytes)) throw wrongType('bytes', 'an integer', bytes);
  if (bytes < 1 || bytes > MAX_BYTES) throw wrongValue('bytes', 'must be the size of the file, at least 1');
  const mimeType = required(body, 'mime_type');
  return { filename, purpose, bytes, mimeType, expiresAfterMs: expiresAfterMs(body.expires_after, 'expires_after') };
}

/** The body of POST /v1/uploads/{id}/complete. */
export function parseCompletion(body: JsonObject): {
  readonly partIds: readonly string[];
  readonly md5: string | null;
} {
  const { part_ids: partIds, md5 = null } = body;
  if (partIds === undefined) throw missing('part_ids');
  if (!Array.isArray(partIds)) throw wrongType('part_ids', 'an array of ids', partIds);
  const stray: unknown = partIds.find((id) => typeof id !== 'string');
  if (stray !== undefined) throw wrongType('part_ids', 'an array of ids', stray);
  if (md5 !== null && (typeof md5 !== 'string' || !/^[0-9a-f]{32}$/i.test(md5))) {
    throw wrongValue('md5', 'must be 32 hexadecimal digits');
  }
  return { partIds: partIds as readonly string[], md5 };
}

function required(body: JsonObject, name: string): string {
  const value = requiredString(body, name, name);
  if (value instanceof PilotlightError) throw value;
  return value;
}
