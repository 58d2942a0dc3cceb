import { PilotlightError } from '../../../core/errors.ts';
import { FILE_PURPOSES, type UploadPurpose } from '../../../core/files.ts';
import { formatBytes } from '../../../core/units.ts';

/** What may be kept. The settings of section `batches`. */
export interface FileLimits {
  readonly fileBytes: number;
  /** Of a file with the purpose `batch`. */
  readonly batchFileBytes: number;
  readonly uploadPartBytes: number;
  readonly tenantFiles: number;
  readonly tenantBytes: number;
  /** Files and parts being received by this process. */
  readonly uploadsAtOnce: number;
  /** Nothing is taken in when the store has less room than this. */
  readonly freeBytes: number;
  readonly fileExtensions: readonly string[];
  readonly fileRetentionMs: number;
  readonly uploadLifetimeMs: number;
}

/** Range of `expires_after.seconds` (https://platform.openai.com/docs/api-reference/files/create). */
const EXPIRES_AFTER_MS = { min: 3_600_000, max: 2_592_000_000 };

/** File names of common file systems are at most so long. */
const MAX_FILENAME_CHARACTERS = 255;

export function checkedPurpose(purpose: string): UploadPurpose {
  const known = FILE_PURPOSES.find((candidate) => candidate === purpose);
  if (known !== undefined) return known;
  const message = `Invalid 'purpose': must be one of ${FILE_PURPOSES.join(', ')}; batch input has the purpose 'batch'.`;
  throw new PilotlightError('invalid_value', message, { param: 'purpose' });
}

/** The name without its folders and control characters. */
export function checkedFilename(filename: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const name = (filename.split(/[/\\]/).at(-1) ?? '').replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, '').trim();
  const problem = name === '' ? 'must not be empty' : `must have at most ${MAX_FILENAME_CHARACTERS} characters`;
  if (name === '' || name.length > MAX_FILENAME_CHARACTERS) {
    throw new PilotlightError('invalid_value', `Invalid 'filename': ${problem}.`, { param: 'filename' });
  }
  return name.toWellFormed();
}

/** Batch input says what it is by its name. */
export function checkExtension(filename: string, purpose: UploadPurpose, extensions: readonly string[]): void {
  if (purpose !== 'batch') return;
  const at = filename.lastIndexOf('.');
  const extension = at < 0 ? '' : filename.slice(at).toLowerCase();
  if (extensions.some((allowed) => allowed.toLowerCase() === extension)) return;
  const allowed = extensions.map((one) => (one === '' ? 'no extension' : one)).join(' or ');
  const message = `Invalid file format for Batch API. Must be ${allowed} (batches.fileExtensions).`;
  throw new PilotlightError('invalid_file', message, { param: 'file' });
}

export function notUtf8(): PilotlightError {
  return new PilotlightError('invalid_file', 'Invalid file for Batch API. Must be utf-8 encoded.', { param: 'file' });
}

export function emptyFile(): PilotlightError {
  return new PilotlightError('invalid_file', 'The file is empty.', { param: 'file' });
}

/** When a file that is made now ends; null = never. */
export function expiryOf(
  file: { readonly expiresAfterMs: number | null; readonly purpose: string },
  nowEpochMs: number,
  retentionMs: number,
): number | null {
  const { expiresAfterMs, purpose } = file;
  if (expiresAfterMs !== null) return nowEpochMs + expiresAfterMs;
  return purpose === 'batch' || purpose === 'batch_output' ? nowEpochMs + retentionMs : null;
}

export function checkExpiresAfter(expiresAfterMs: number | null): void {
  if (expiresAfterMs === null) return;
  const { min, max } = EXPIRES_AFTER_MS;
  if (expiresAfterMs >= min && expiresAfterMs <= max) return;
  const message = `Invalid 'expires_after.seconds': must be ${min / 1_000} to ${max / 1_000}.`;
  throw new PilotlightError('invalid_value', message, { param: 'expires_after.seconds' });
}

/** The most bytes a file of this purpose may have, and the setting that says so. */
export function sizeLimit(purpose: string, limits: FileLimits): { readonly bytes: number; readonly setting: string } {
  if (purpose === 'batch' && limits.batchFileBytes < limits.fileBytes) {
    return { bytes: limits.batchFileBytes, setting: 'batches.profile' };
  }
  return { bytes: limits.fileBytes, setting: 'batches.file' };
}

export function fileTooLarge({ bytes, setting }: { bytes: number; setting: string }): PilotlightError {
  const message = `File is too large. The limit is ${formatBytes(bytes)} (${setting}).`;
  return new PilotlightError('file_too_large', message, { param: 'file' });
}

export function storeFull(freeBytes: number): PilotlightError {
  const message = `The store has less than ${formatBytes(freeBytes)} left (batches.freeBytes); nothing more is taken in. Delete files, or tell the operator.`;
  return new PilotlightError('store_full', message);
}

/** Why a tenant that keeps so much may not add so many bytes; null = it may. */
export function quotaProblem(
  kept: { readonly files: number; readonly bytes: number },
  addedBytes: number,
  limits: FileLimits,
): PilotlightError | null {
  if (kept.files >= limits.tenantFiles) {
    const message = `You keep ${kept.files} files, and may keep ${limits.tenantFiles} (batches.tenantFiles). Delete some first.`;
    return new PilotlightError('files_full', message);
  }
  if (kept.bytes + addedBytes <= limits.tenantBytes) return null;
  const message = `Your files would have more than ${formatBytes(limits.tenantBytes)} together (batches.tenantBytes). Delete some first.`;
  return new PilotlightError('files_full', message);
}

export function fileNotFound(id: string): PilotlightError {
  return new PilotlightError('file_not_found', `No such File object: ${shown(id)}`, { param: 'id' });
}

export function shown(id: string): string {
  return id.length > 128 ? `${id.slice(0, 128)}…` : id;
}
