import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { watch } from 'chokidar';

/** Editors write a file in several steps; this long after the last of them it is read. */
const SETTLE_MS = 100;
/** Look again even if no event came: network file systems and some container mounts send none. */
const LOOK_AGAIN_MS = 5_000;
/** The link that Kubernetes replaces when a mounted ConfigMap or Secret changes. */
const MOUNT_LINK = '..data';

export interface FileWatch {
  close(): Promise<void>;
}

/**
 * Calls back when any of the files, or the list of files in a folder, may have changed; also when they were replaced by
 * a rename or through a symbolic link, and now and then without cause. Never while `changed` runs.
 */
export function watchFiles(paths: readonly string[], changed: () => void): FileWatch {
  const folders = paths.map((path) => (isFolder(path) ? resolve(path) : dirname(resolve(path))));
  const files = new Set(paths.filter((path) => !isFolder(path)).map((path) => resolve(path)));
  const ours = (path: string) =>
    folders.includes(path) ||
    files.has(path) ||
    basename(path) === MOUNT_LINK ||
    (/\.(ya?ml|json)$/.test(path) && paths.some((one) => resolve(one) === dirname(path)));
  let settle: NodeJS.Timeout | undefined;
  const soon = () => {
    clearTimeout(settle);
    settle = setTimeout(changed, SETTLE_MS).unref();
  };
  const lookAgain = setInterval(changed, LOOK_AGAIN_MS).unref();
  const watcher = watch([...new Set(folders)], {
    depth: 0,
    followSymlinks: false,
    ignoreInitial: true,
    ignored: (path) => !ours(resolve(path)),
  });
  // "ready" too: what changed between the first reading and the first watch is seen then.
  watcher.on('all', soon).on('ready', soon);
  // Out of watches, or a folder went away: the timer still looks.
  watcher.on('error', soon);
  return {
    async close() {
      clearTimeout(settle);
      clearInterval(lookAgain);
      await watcher.close();
    },
  };
}

function isFolder(path: string): boolean {
  return statSync(join(path), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
