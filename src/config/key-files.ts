import type { TenantSettings } from './config.ts';
import { keysOf } from './identities.ts';
import { watchFiles } from './objects/watch-files.ts';

export interface KeyFilesListener {
  /** The keys of all tenants, after those of a file changed. */
  readonly changed: (tenants: readonly TenantSettings[]) => void;
  /** Files that cannot be used now; what they said before still holds. Told once for each change. */
  readonly refused: (problems: readonly string[]) => void;
}

/**
 * Follows the `keysFile` of tenants: a Secret that is rotated takes effect within seconds, without a restart. A file
 * that is missing or malformed for a while changes nothing. Null when no tenant has such a file.
 */
export function followKeyFiles(
  tenants: readonly TenantSettings[],
  { changed, refused }: KeyFilesListener,
): { close(): Promise<void> } | null {
  const files = tenants.flatMap(({ keysFile }) => keysFile ?? []);
  if (files.length === 0) return null;
  let current = fingerprint(tenants.map(({ keys }) => keys));
  let told = '';
  return watchFiles(files, () => {
    const problems: string[] = [];
    const read = tenants.map((tenant, index) => ({
      ...tenant,
      keys: keysOf(tenant, (problem) => problems.push(`tenants[${index}].keysFile: ${problem}`)),
    }));
    const toTell = problems.join('\n');
    if (toTell !== told && problems.length > 0) refused(problems);
    told = toTell;
    const now = fingerprint(read.map(({ keys }) => keys));
    if (problems.length > 0 || now === current) return;
    current = now;
    changed(read);
  });
}

function fingerprint(keys: readonly (readonly string[])[]): string {
  return JSON.stringify(keys);
}
