import { PilotlightError } from '../../../core/errors.ts';

const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC: 'its disk is full; free space there',
  EDQUOT: 'its disk quota is used up; raise it',
  EIO: 'its disk reports errors; check it',
  EROFS: 'its disk is read-only; remount it',
  EACCES: 'its folder is not accessible; check the permissions',
  EPERM: 'its filesystem refuses the operation; the data folder needs one with hard links',
  ENOTSUP: 'its filesystem refuses the operation; the data folder needs one with hard links',
  EMFILE: 'this process has too many files open; raise its limit (ulimit -n)',
};
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);
const RETRY_AFTER_MS = 1_000;

/** What a failed disk means, with what to do about it. */
export function describeDiskError(error: Error): string {
  const code = codeOf(error) ?? error.name;
  return `${REMEDIES[code] ?? 'the disk refused'} (${code})`;
}

/** What was thrown, if it is not an error of the disk; else `store_full` or `store_unavailable`. */
export function asStoreError(thrown: unknown): unknown {
  if (thrown instanceof PilotlightError || !(thrown instanceof Error)) return thrown;
  const code = codeOf(thrown);
  if (code === undefined) return thrown;
  const why = describeDiskError(thrown);
  if (FULL.has(code)) {
    return new PilotlightError('store_full', `The data folder takes nothing more: ${why}.`, { cause: thrown });
  }
  return new PilotlightError('store_unavailable', `The data folder cannot be used: ${why}.`, {
    cause: thrown,
    retryAfterMs: RETRY_AFTER_MS,
  });
}

/** Runs steps on the disk; failures are thrown as `asStoreError` has them. */
export async function onDisk<T>(steps: () => Promise<T>): Promise<T> {
  try {
    return await steps();
  } catch (error) {
    throw asStoreError(error);
  }
}

/** Null when there is no such file; other failures are thrown. */
export async function orMissing<T>(step: Promise<T>): Promise<T | null> {
  try {
    return await step;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}

export function isMissing(error: unknown): boolean {
  const code = error instanceof Error ? codeOf(error) : undefined;
  return code === 'ENOENT' || code === 'ENOTDIR';
}

function codeOf(error: Error & { code?: unknown }): string | undefined {
  return typeof error.code === 'string' ? error.code : undefined;
}
