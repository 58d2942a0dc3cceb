import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import type { LearnedStateStore } from '../ports.ts';

/** One file, replaced whole: a crash leaves the old or the new content. */
export function learnedStateFile(path: string): LearnedStateStore {
  return {
    async load() {
      try {
        return JSON.parse(await readFile(path, 'utf8')) as unknown;
      } catch {
        // Absent at the first start, or damaged: either way it is learned again.
        return null;
      }
    },
    async save(state) {
      await mkdir(dirname(path), { recursive: true });
      await writeFileAtomic(path, JSON.stringify(state));
    },
  };
}
