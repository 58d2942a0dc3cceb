import type { KubeObject } from '../../core/kubernetes.ts';

/**
 * The objects of one resource in one namespace, as lists and watch events tell them. Pure.
 *
 * A writer may put in what the server answered to its write (`applyLocal`), to see it before the watch brings it. That
 * object stays until the watch tells of the same or a later state. Resource versions are compared for this alone, as
 * decimal numbers (the API documents that since 1.35, and every server behaved so before); where they are no numbers,
 * local writes are not taken.
 */
export class ObjectStore<T extends KubeObject> {
  #objects = new Map<string, T>();
  /** Local writes since the list that runs now began. */
  #writtenDuringList: Map<string, T> | null = null;
  /** Resource version up to which everything that happened is known. */
  #seen = '';

  get size(): number {
    return this.#objects.size;
  }

  values(): IterableIterator<T> {
    return this.#objects.values();
  }

  get(name: string): T | undefined {
    return this.#objects.get(name);
  }

  /** Where a watch goes on; '' before the first list. */
  get seen(): string {
    return this.#seen;
  }

  /** To be called before the first page of a list is asked for. */
  beginList(): void {
    this.#writtenDuringList = new Map();
  }

  /** What a complete list says. Returns what is new, changed or gone, the gone as last known. */
  replace(items: readonly T[], resourceVersion: string): T[] {
    const before = this.#objects;
    const next = new Map(items.map((item) => [item.metadata.name, item]));
    for (const [name, written] of this.#writtenDuringList ?? []) {
      // The list may have been read before this write; what it shows of the object is then older.
      const listed = next.get(name)?.metadata.resourceVersion ?? resourceVersion;
      if (isNewer(written.metadata.resourceVersion, listed)) next.set(name, written);
    }
    this.#writtenDuringList = null;
    this.#objects = next;
    this.#seen = resourceVersion;
    const changed = [...next.values()].filter((item) => !isSameState(before.get(item.metadata.name), item));
    const gone = [...before.values()].filter((item) => !next.has(item.metadata.name));
    return [...changed, ...gone];
  }

  /** One watch event. Returns whether it told anything new. */
  apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): boolean {
    const { name, resourceVersion } = object.metadata;
    this.#advance(resourceVersion);
    const known = this.#objects.get(name);
    // Only a local write can be ahead of the watch.
    if (known && isNewer(known.metadata.resourceVersion, resourceVersion)) return false;
    if (type === 'DELETED') return this.#objects.delete(name);
    this.#objects.set(name, object);
    return !isSameState(known, object);
  }

  /** A bookmark: nothing changed up to here. */
  bookmark(resourceVersion: string | undefined): void {
    this.#advance(resourceVersion);
  }

  /**
   * The server's answer to a write of ours. Returns whether it was taken: only when it is newer than all that is known
   * of this object, so that a late answer never brings back an object that is gone.
   */
  applyLocal(object: T): boolean {
    const { name, resourceVersion } = object.metadata;
    const known = this.#objects.get(name)?.metadata.resourceVersion ?? this.#seen;
    if (!isNewer(resourceVersion, known)) return false;
    this.#objects.set(name, object);
    this.#writtenDuringList?.set(name, object);
    return true;
  }

  #advance(resourceVersion: string | undefined): void {
    if (resourceVersion !== undefined && resourceVersion !== '') this.#seen = resourceVersion;
  }
}

/** False as well when they cannot be compared. */
function isNewer(one: string | undefined, other: string | undefined): boolean {
  if (!isNumber(one) || !isNumber(other)) return false;
  return one.length === other.length ? one > other : one.length > other.length;
}

function isNumber(text: string | undefined): text is string {
  return text !== undefined && /^[1-9][0-9]*$/.test(text);
}

function isSameState(one: KubeObject | undefined, other: KubeObject): boolean {
  const version = one?.metadata.resourceVersion;
  return version !== undefined && version === other.metadata.resourceVersion;
}
