import { type Disk, type DiskFile, localDisk } from '../../src/platform/blobs/folder/disk.ts';

type Step = 'create' | 'write' | 'sync' | 'place' | 'probe';

export interface WatchedDisk extends Disk {
  syncs: number;
  probes: number;
  failing: { step: Step; code: string } | null;
  holdSyncs(): void;
  releaseSyncs(): void;
  /** Resolves when a sync is being held. */
  syncStarted(): Promise<void>;
}

/** The real disk, with its steps counted, held or made to fail. */
export function watchedDisk(): WatchedDisk {
  let held: Promise<void> | null = null;
  let release: () => void = () => undefined;
  let started: () => void = () => undefined;
  let hasStarted: Promise<void> = Promise.resolve();
  const failAt = (step: Step): void => {
    if (disk.failing?.step === step) throw Object.assign(new Error(`${disk.failing.code}: made to fail`), disk.failing);
  };
  const watched = (file: DiskFile): DiskFile => ({
    ...file,
    async write(content, positionBytes) {
      if (disk.failing?.step === 'write') await file.write(content.subarray(0, 100), positionBytes);
      failAt('write');
      await file.write(content, positionBytes);
    },
    async sync() {
      failAt('sync');
      started();
      if (held) await held;
      disk.syncs += 1;
      await file.sync();
    },
  });
  const disk: WatchedDisk = {
    syncs: 0,
    probes: 0,
    failing: null,
    holdSyncs() {
      held = new Promise((resolve) => (release = resolve));
      hasStarted = new Promise((resolve) => (started = resolve));
    },
    releaseSyncs() {
      held = null;
      release();
    },
    syncStarted: () => hasStarted,
    async create(path) {
      failAt('create');
      return watched(await localDisk.create(path));
    },
    async draft(path) {
      failAt('create');
      return watched(await localDisk.draft(path));
    },
    place(draft, path, ifAbsent) {
      failAt('place');
      return localDisk.place(draft, path, ifAbsent);
    },
    async probe(folder) {
      disk.probes += 1;
      failAt('probe');
      await localDisk.probe(folder);
    },
  };
  return disk;
}
