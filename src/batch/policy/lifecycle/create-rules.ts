import type { BatchRequest } from '../../../core/batches.ts';
import { PilotlightError } from '../../../core/errors.ts';
import type { StoredFile } from '../../../core/files.ts';
import { parseDuration } from '../../../core/units.ts';

export interface CreateLimits {
  /** Paths that rows may name. */
  readonly endpoints: readonly string[];
  /** What `completion_window` may say, e.g. "24h". */
  readonly windows: readonly string[];
  /** Of an input file. */
  readonly batchFileBytes: number;
}

/** OpenAI's limits of metadata (https://platform.openai.com/docs/api-reference/batch/create). */
const METADATA = { pairs: 16, keyChars: 64, valueChars: 512 } as const;
/** OpenAI's limits of `output_expires_after.seconds`: an hour to 30 days. */
const OUTPUT_EXPIRY = { minMs: 3_600_000, maxMs: 2_592_000_000 } as const;
const MAX_ATTEMPTS = 20;
/** Wide enough for any job, so that a slip of the keyboard does not keep files for years. */
const MAX_WINDOW_MS = 30 * 24 * 3_600_000;
const SHOWN_CHARS = 64;

/** "24h", "30m", "7d" in milliseconds; null for anything else, and for windows beyond 30 days. */
export function windowMs(window: string): number | null {
  const parsed = parseDuration(window);
  return parsed.ok && parsed.value > 0 && parsed.value <= MAX_WINDOW_MS ? parsed.value : null;
}

/** What is wrong with the request itself; null = nothing. Its file and its objective are checked elsewhere. */
export function refuseRequest(request: BatchRequest, limits: CreateLimits, nowEpochMs: number): PilotlightError | null {
  return (
    refuseEndpoint(request, limits) ??
    refuseWindow(request, limits) ??
    refuseMetadata(request.metadata) ??
    refuseOutputExpiry(request.outputExpiresAfterMs) ??
    refuseWishes(request, nowEpochMs)
  );
}

/** What is wrong with the file as the input of a batch; null = nothing. */
export function refuseFile(file: StoredFile, { batchFileBytes }: CreateLimits): PilotlightError | null {
  if (file.purpose !== 'batch') {
    const message = `The file '${file.id}' has the purpose '${file.purpose}'; a batch reads files of purpose 'batch'. Upload it again with purpose=batch.`;
    return wrong('input_file_id', message);
  }
  if (file.bytes > batchFileBytes) {
    const message = `The file '${file.id}' has ${file.bytes} bytes; an input file of a batch may have ${batchFileBytes}. Split it into several files.`;
    return new PilotlightError('file_too_large', message, { param: 'input_file_id' });
  }
  return null;
}

/** A later end of the window: after the present one, at most 30 days from now. */
export function refuseExtension(
  expiresAtEpochMs: number,
  { presentEpochMs, nowEpochMs }: { readonly presentEpochMs: number; readonly nowEpochMs: number },
): PilotlightError | null {
  if (!Number.isFinite(expiresAtEpochMs) || expiresAtEpochMs <= presentEpochMs) {
    const message = `Its window ends at ${iso(presentEpochMs)} already; name a later time.`;
    return wrong('expires_at', message);
  }
  if (expiresAtEpochMs > nowEpochMs + MAX_WINDOW_MS) {
    return wrong('expires_at', `A window may end 30 days from now at the latest: ${iso(nowEpochMs + MAX_WINDOW_MS)}.`);
  }
  return null;
}

function refuseEndpoint({ endpoint }: BatchRequest, { endpoints }: CreateLimits): PilotlightError | null {
  if (endpoints.includes(endpoint)) return null;
  return wrong('endpoint', `The endpoint '${shown(endpoint)}' is not among those of batches: ${endpoints.join(', ')}.`);
}

function refuseWindow({ completionWindow }: BatchRequest, { windows }: CreateLimits): PilotlightError | null {
  const usable = windows.filter((window) => windowMs(window) !== null);
  if (usable.includes(completionWindow)) return null;
  const message = `The completion window '${shown(completionWindow)}' is not offered. You can use: ${usable.join(', ')}.`;
  return wrong('completion_window', message);
}

function refuseMetadata(metadata: BatchRequest['metadata']): PilotlightError | null {
  if (metadata === null) return null;
  const pairs = Object.entries(metadata);
  if (pairs.length > METADATA.pairs) {
    return wrong('metadata', `metadata has ${pairs.length} pairs; ${METADATA.pairs} are allowed.`);
  }
  for (const [key, value] of pairs as [string, unknown][]) {
    if (key.length > METADATA.keyChars) {
      const message = `The metadata key '${shown(key)}…' has ${key.length} characters; ${METADATA.keyChars} are allowed.`;
      return wrong('metadata', message);
    }
    if (typeof value !== 'string') {
      return new PilotlightError('invalid_type', `The metadata value of '${shown(key)}' is not a string.`, {
        param: 'metadata',
      });
    }
    if (value.length > METADATA.valueChars) {
      const message = `The metadata value of '${shown(key)}' has ${value.length} characters; ${METADATA.valueChars} are allowed.`;
      return wrong('metadata', message);
    }
  }
  return null;
}

function refuseOutputExpiry(expiresAfterMs: number | null): PilotlightError | null {
  if (expiresAfterMs === null) return null;
  if (expiresAfterMs >= OUTPUT_EXPIRY.minMs && expiresAfterMs <= OUTPUT_EXPIRY.maxMs) return null;
  const { minMs, maxMs } = OUTPUT_EXPIRY;
  const message = `output_expires_after.seconds is ${expiresAfterMs / 1_000}; it may be ${minMs / 1_000} to ${maxMs / 1_000}.`;
  return wrong('output_expires_after.seconds', message);
}

function refuseWishes({ wishes, completionWindow }: BatchRequest, nowEpochMs: number): PilotlightError | null {
  const { maxAttempts, deadlineEpochMs } = wishes;
  if (maxAttempts !== null && !(Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= MAX_ATTEMPTS)) {
    const message = `pilotlight.max_attempts is ${maxAttempts}; it may be 1 to ${MAX_ATTEMPTS}.`;
    return wrong('pilotlight.max_attempts', message);
  }
  if (deadlineEpochMs === null) return null;
  const endEpochMs = nowEpochMs + (windowMs(completionWindow) ?? 0);
  if (!(deadlineEpochMs > nowEpochMs)) {
    return wrong('pilotlight.deadline', 'pilotlight.deadline is in the past; name a later time.');
  }
  if (deadlineEpochMs > endEpochMs) {
    const message = `pilotlight.deadline is after the end of the completion window (${iso(endEpochMs)}); choose a longer window or an earlier deadline.`;
    return wrong('pilotlight.deadline', message);
  }
  return null;
}

function wrong(param: string, message: string): PilotlightError {
  return new PilotlightError('invalid_value', message, { param });
}

function shown(text: string): string {
  return text.slice(0, SHOWN_CHARS);
}

/** Years beyond what a Date can say never get here. */
function iso(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
