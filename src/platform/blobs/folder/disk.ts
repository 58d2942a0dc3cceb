import { constants, type FileHandle, link, mkdir, open, rename, unlink } from 'node:fs/promises';
import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { isMissing } from './disk-errors.ts';

/** The few things the store does to a disk, so that tests can make each of them fail. */
export interface Disk {
  /** Creates a file that must not exist, and the folder it is in; both survive a power cut. */
  create(path: string): Promise<DiskFile>;
  /** The same for a file whose name need not survive. */
  draft(path: string): Promise<DiskFile>;
  /**
   * Gives a synced draft its name, in a folder that is made when missing; survives a power cut. The draft is gone
   * afterwards. With `ifAbsent` a file of that name stays as it is, and the answer is false.
   */
  place(draft: string, path: string, ifAbsent: boolean): Promise<boolean>;
  /** Resolves when a file in the folder can be written and synced. */
  probe(folder: string): Promise<void>;
}

export interface DiskFile {
  /** Writes all of it, or rejects; then any part of it may be on the disk. */
  write(bytes: Uint8Array, positionBytes: number): Promise<void>;
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

const PROBE_BYTES = 4_096;
/** Another process may remove an empty folder between making it and using it; not again and again. */
const MAKE_FOLDER_TRIES = 5;

export const localDisk: Disk = {
  async create(path) {
    const handle = await createFile(path);
    try {
      await syncFolder(dirname(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    return diskFile(handle);
  },

  async draft(path) {
    return diskFile(await createFile(path));
  },

  async place(draft, path, ifAbsent) {
    const folder = dirname(path);
    if (!ifAbsent) {
      await inFolder(folder, () => rename(draft, path));
      await syncFolder(folder);
      return true;
    }
    const isNew = await inFolder(folder, () => linkIfAbsent(draft, path));
    if (isNew) await syncFolder(folder);
    await unlink(draft);
    return isNew;
  },

  async probe(folder) {
    // No key has a "~" in it.
    const path = join(folder, `~probe-${randomUUID()}`);
    const handle = await createFile(path);
    try {
      await handle.write(Buffer.alloc(PROBE_BYTES));
      await handle.datasync();
    } finally {
      await handle.close();
      await unlink(path);
    }
  },
};

function createFile(path: string): Promise<FileHandle> {
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR;
  return inFolder(dirname(path), () => open(path, flags, 0o600));
}

function diskFile(handle: FileHandle): DiskFile {
  return {
    async write(bytes, positionBytes) {
      // A full disk shows as a short write first; the next one then says ENOSPC.
      for (let done = 0; done < bytes.byteLength; ) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.byteLength - done, positionBytes + done);
        done += bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    truncate: (sizeBytes) => handle.truncate(sizeBytes),
    close: () => handle.close(),
  };
}

async function linkIfAbsent(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/** Runs a step that needs the folder, and makes it when it is missing. */
async function inFolder<T>(folder: string, step: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await step();
    } catch (error) {
      if (!isMissing(error) || tries === MAKE_FOLDER_TRIES) throw error;
      await makeFolder(folder);
    }
  }
}

async function makeFolder(folder: string): Promise<void> {
  const topmost = await mkdir(folder, { recursive: true, mode: 0o700 });
  if (topmost === undefined) return;
  for (let made = folder; ; made = dirname(made)) {
    await syncFolder(dirname(made)).catch((error: unknown) => {
      // Removed again by another process, as it was empty: the step that needs it finds out.
      if (!isMissing(error)) throw error;
    });
    if (made === topmost || made === dirname(made)) return;
  }
}

/** A new name is durable only once its folder is synced. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
