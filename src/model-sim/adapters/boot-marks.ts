import { closeSync, openSync } from 'node:fs';

/**
 * True for the first `boots` callers of all processes that share `path`. Each leaves a file, `path`.1, `path`.2, …;
 * creating one is atomic, so simulators that start together are told apart. Throws what the file system throws.
 */
export function isAmongFirstBoots(path: string, boots: number): boolean {
  for (let boot = 1; boot <= boots; boot += 1) {
    try {
      closeSync(openSync(`${path}.${boot}`, 'wx'));
      return true;
    } catch (thrown) {
      if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
    }
  }
  return false;
}
