import { existsSync } from 'node:fs';
import { access, constants, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Where fetched servers are kept, best first: `.cache` of the checkout (if this is one), the user's cache, the data folder. */
export function cacheFolders(dataDir: string, env: NodeJS.ProcessEnv): string[] {
  const packageRoot = fileURLToPath(new URL('../../..', import.meta.url));
  const inCheckout = existsSync(join(packageRoot, 'src', 'platform')) ? [join(packageRoot, '.cache', 'redis')] : [];
  const userCache = env.XDG_CACHE_HOME ?? join(env.HOME ?? homedir(), '.cache');
  return [...inCheckout, join(userCache, 'pilotlight', 'redis'), join(dataDir, 'cache')];
}

/** The first of the folders that exists or can be made, and can be written. */
export async function firstWritable(folders: readonly string[]): Promise<string | undefined> {
  for (const folder of folders) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
      return folder;
    } catch {
      // A read-only checkout or a home that does not exist: the next one may do.
    }
  }
  return undefined;
}
