/** BullMQ 6.7 recommends 6.2; the ledger uses nothing newer. */
export const MINIMUM_REDIS_VERSION = '6.2';

/** Whether "7.0.15" is at least "6.2"; missing parts are zero. */
export function isAtLeast(version: string, minimum: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [index, wanted] of minimum.split('.').map(Number).entries()) {
    const part = parts[index] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}
