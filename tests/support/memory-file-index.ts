import type { FileIndex, FileListRequest, ListedFile } from '../../src/batch/files/ports.ts';
import type { Page, StoredFile } from '../../src/core/files.ts';

/** A FileIndex that forgets when told to. */
export class MemoryFileIndex implements FileIndex {
  /** Called before each operation; what it throws is the operation's failure. */
  fault: () => void = () => undefined;
  readonly #files = new Map<string, StoredFile>();
  readonly #gone = new Map<string, number>();
  readonly #uploads = new Map<string, Map<string, number>>();
  #complete = false;
  #building = new Set<symbol>();
  #sweepLeased = false;

  lose(): void {
    this.#files.clear();
    this.#gone.clear();
    this.#uploads.clear();
    this.#building = new Set();
    this.#complete = false;
    this.#sweepLeased = false;
  }

  add(file: StoredFile): Promise<void> {
    return this.#answer(() => {
      if (!this.#files.has(file.id)) this.#files.set(file.id, file);
    });
  }

  remove(id: string): Promise<void> {
    return this.#answer(() => {
      const file = this.#files.get(id);
      if (file) this.#gone.set(id, file.createdAtEpochMs);
      this.#files.delete(id);
    });
  }

  totals(tenant: string): Promise<{ readonly files: number; readonly bytes: number }> {
    return this.#answer(() => {
      const files = this.#of(tenant);
      return { files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
    });
  }

  page(tenant: string, { after, limit, purpose, order }: FileListRequest): Promise<Page<StoredFile> | null> {
    return this.#answer(() => {
      const sign = order === 'asc' ? 1 : -1;
      const createdAt =
        after === null ? undefined : (this.#files.get(after)?.createdAtEpochMs ?? this.#gone.get(after));
      if (after !== null && createdAt === undefined) return null;
      const start = { id: after ?? '', createdAtEpochMs: createdAt ?? 0 };
      const found = this.#of(tenant)
        .filter((file) => purpose === null || file.purpose === purpose)
        .filter((file) => after === null || byAge(file, start) * sign > 0)
        .sort((one, other) => byAge(one, other) * sign);
      return { items: found.slice(0, limit), hasMore: found.length > limit };
    });
  }

  listed(ids: readonly string[]): Promise<readonly (ListedFile | null)[]> {
    return this.#answer(() => ids.map((id) => this.#files.get(id) ?? null));
  }

  isComplete(): Promise<boolean> {
    return this.#answer(() => this.#complete);
  }

  beginRebuild(): Promise<() => Promise<void>> {
    const token = Symbol('rebuild');
    return this.#answer(() => {
      this.#building.add(token);
      return () =>
        this.#answer(() => {
          this.#complete ||= this.#building.has(token);
        });
    });
  }

  leaseSweep(): Promise<boolean> {
    return this.#answer(() => {
      const isFree = !this.#sweepLeased;
      this.#sweepLeased = true;
      return isFree;
    });
  }

  openUpload(tenant: string, id: string, expiresAt: number, now: number, max: number): Promise<boolean> {
    return this.#answer(() => {
      const open = this.#uploads.get(tenant) ?? new Map<string, number>();
      this.#uploads.set(tenant, open);
      for (const [other, endsAt] of open) if (endsAt <= now) open.delete(other);
      if (open.size >= max) return false;
      open.set(id, expiresAt);
      return true;
    });
  }

  closeUpload(tenant: string, id: string): Promise<void> {
    return this.#answer(() => void this.#uploads.get(tenant)?.delete(id));
  }

  #of(tenant: string): StoredFile[] {
    return [...this.#files.values()].filter((file) => file.tenant === tenant);
  }

  async #answer<T>(act: () => T): Promise<T> {
    await Promise.resolve();
    this.fault();
    return act();
  }
}

function byAge(one: Pick<StoredFile, 'id' | 'createdAtEpochMs'>, other: Pick<StoredFile, 'id' | 'createdAtEpochMs'>) {
  if (one.createdAtEpochMs !== other.createdAtEpochMs) return one.createdAtEpochMs - other.createdAtEpochMs;
  if (one.id === other.id) return 0;
  return one.id < other.id ? -1 : 1;
}
