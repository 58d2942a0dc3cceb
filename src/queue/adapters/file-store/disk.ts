import { constants, type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The few things the log does to a disk, so that tests can make each of them fail. */
export interface Disk {
  /** Creates a file that must not exist, and the folder it is in; both survive a power cut. */
  create(path: string): Promise<LogFile>;
  /** Resolves when a file in the folder can be written and synced. */
  probe(folder: string): Promise<void>;
}

export interface LogFile {
  /** Writes all of it, or rejects; then any part of it may be on the disk. */
  write(bytes: Uint8Array, positionBytes: number): Promise<void>;
  sync(): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

const PROBE_BYTES = 4_096;

export const localDisk: Disk = {
  async create(path) {
    // Another process's sweep may remove the empty folder between the two steps: once more, then.
    const handle = await createIn(path).catch((error: unknown) => {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      return createIn(path);
    });
    try {
      await syncFolder(dirname(path));
    } catch (error) {
      await handle.close();
      throw error;
    }
    return logFile(handle);
  },
  async probe(folder) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, `probe-${process.pid}`);
    const handle = await open(path, 'w', 0o600);
    try {
      await handle.write(Buffer.alloc(PROBE_BYTES));
      await handle.datasync();
    } finally {
      await handle.close();
      await unlink(path);
    }
  },
};

async function createIn(path: string): Promise<FileHandle> {
  const folder = dirname(path);
  if (await mkdir(folder, { recursive: true, mode: 0o700 })) await syncFolder(dirname(folder));
  return open(path, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR, 0o600);
}

function logFile(handle: FileHandle): LogFile {
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

/** A new name is durable only once its folder is synced. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
