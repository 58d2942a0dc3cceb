import { readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';

/** Every TypeScript file under src, as sorted paths from the root: src/main.ts. */
export async function sourceFiles(root: string): Promise<string[]> {
  const entries = await readdir(join(root, 'src'), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}
