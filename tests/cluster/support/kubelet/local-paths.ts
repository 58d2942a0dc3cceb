import { join } from 'node:path';
import type { Pod } from './objects.ts';

/** A bind address that means "all", with nothing of a longer address around it. */
const ANY_ADDRESS = /(?<![\d.])0\.0\.0\.0(?![\d.])|\[::\](?=:|$)|^::$/g;

/**
 * What makes a container's texts fit a machine without containers: paths below a mount lead into the pod's folder, and
 * "all addresses" becomes the pod's own, because on loopback every pod shares its ports with all others.
 */
export class LocalTexts {
  readonly #root: string;
  readonly #podIp: string;
  readonly #mounts: RegExp | null;

  constructor(pod: Pod, root: string, podIp: string) {
    this.#root = root;
    this.#podIp = podIp;
    const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const paths = containers.flatMap(({ volumeMounts = [] }) =>
      volumeMounts.map(({ mountPath }) => trimmed(mountPath)),
    );
    const distinct = [...new Set(paths)].sort((one, other) => other.length - one.length).map(RegExp.escape);
    this.#mounts =
      distinct.length === 0 ? null : new RegExp(`(?<![\\w./-])(?:${distinct.join('|')})(?=$|[^\\w.-])`, 'g');
  }

  path(mountPath: string): string {
    return join(this.#root, trimmed(mountPath));
  }

  text(text: string): string {
    const addressed = text.replaceAll(ANY_ADDRESS, this.#podIp);
    return this.#mounts === null ? addressed : addressed.replaceAll(this.#mounts, (path) => join(this.#root, path));
  }
}

function trimmed(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
