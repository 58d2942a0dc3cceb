import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RecordHeader } from '../../jobs/ports.ts';
import { decodeHeader, decodePreamble, isBodyIntact, PREAMBLE_BYTES, type Preamble } from './record.ts';
import { isRunName, type SegmentId, segmentOfFile, segmentPath } from './segment-name.ts';

/** Read at once: holds some hundred records, and is skipped over when a body is larger. */
const CHUNK_BYTES = 262_144;

export interface SegmentFile {
  readonly id: SegmentId;
  readonly sizeBytes: number;
  readonly modifiedEpochMs: number;
  /** The newest of its run: only there can a tail be torn. */
  readonly isLast: boolean;
}

export interface SegmentRecord {
  readonly header: RecordHeader;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  readonly bodyBytes: number;
}

/** Where the whole records of a segment end, and whether anything lies behind them. */
export interface SegmentEnd {
  readonly wholeBytes: number;
  readonly strayBytes: number;
}

/** Every segment of every run, oldest first. A folder that does not exist yet is empty. */
export async function listSegments(folder: string): Promise<SegmentFile[]> {
  const runs = (await namesIn(folder)).filter(isRunName);
  const perRun = await Promise.all(runs.map((run) => segmentsOfRun(folder, run)));
  return perRun.flat().sort((a, b) => a.id.createdEpochMs - b.id.createdEpochMs);
}

/**
 * The whole records of a segment up to `untilBytes`, in order; returns where they end. The first record that is not
 * whole (length, CRC) ends it: a process died while writing. Bodies are read and checked only if asked.
 */
export async function* scanSegment(
  path: string,
  untilBytes: number,
  { checkBodies }: { checkBodies: boolean },
): AsyncGenerator<SegmentRecord, SegmentEnd> {
  const handle = await open(path, 'r');
  try {
    const window = new ReadWindow(handle, untilBytes);
    let offsetBytes = 0;
    for (;;) {
      const record = await readRecord(window, offsetBytes, untilBytes, checkBodies);
      if (!record) return { wholeBytes: offsetBytes, strayBytes: untilBytes - offsetBytes };
      yield record;
      offsetBytes += record.lengthBytes;
    }
  } finally {
    await handle.close();
  }
}

async function readRecord(
  window: ReadWindow,
  offsetBytes: number,
  untilBytes: number,
  checkBodies: boolean,
): Promise<SegmentRecord | null> {
  const preamble = decodePreamble(await window.bytes(offsetBytes, PREAMBLE_BYTES));
  if (!preamble) return null;
  const headBytes = PREAMBLE_BYTES + preamble.headerBytes;
  const lengthBytes = headBytes + preamble.bodyBytes;
  if (offsetBytes + lengthBytes > untilBytes) return null;
  const header = decodeHeader(await window.bytes(offsetBytes, headBytes));
  if (!header || (checkBodies && !(await hasIntactBody(window, offsetBytes + headBytes, preamble)))) return null;
  return { header, offsetBytes, lengthBytes, bodyBytes: preamble.bodyBytes };
}

async function hasIntactBody(window: ReadWindow, offsetBytes: number, preamble: Preamble): Promise<boolean> {
  return isBodyIntact(preamble, await window.bytes(offsetBytes, preamble.bodyBytes));
}

/** One chunk of a file, moved forward as it is read. */
class ReadWindow {
  readonly #handle: FileHandle;
  readonly #untilBytes: number;
  #startBytes = 0;
  #chunk: Buffer = Buffer.alloc(0);

  constructor(handle: FileHandle, untilBytes: number) {
    this.#handle = handle;
    this.#untilBytes = untilBytes;
  }

  /** Valid until the next call; shorter at the end. */
  async bytes(offsetBytes: number, lengthBytes: number): Promise<Buffer> {
    const isInside =
      offsetBytes >= this.#startBytes && offsetBytes + lengthBytes <= this.#startBytes + this.#chunk.byteLength;
    if (!isInside) {
      const wantedBytes = Math.min(Math.max(lengthBytes, CHUNK_BYTES), this.#untilBytes - offsetBytes);
      this.#chunk = await readFully(this.#handle, offsetBytes, Math.max(0, wantedBytes));
      this.#startBytes = offsetBytes;
    }
    const start = offsetBytes - this.#startBytes;
    return this.#chunk.subarray(start, start + lengthBytes);
  }
}

async function readFully(handle: FileHandle, offsetBytes: number, lengthBytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const { bytesRead } = await handle.read(buffer, done, lengthBytes - done, offsetBytes + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return buffer.subarray(0, done);
}

async function segmentsOfRun(folder: string, run: string): Promise<SegmentFile[]> {
  const ids = (await namesIn(join(folder, run)))
    .map((name) => segmentOfFile(run, name))
    .filter((id) => id !== null)
    .sort((a, b) => a.createdEpochMs - b.createdEpochMs);
  const files: SegmentFile[] = [];
  for (const id of ids) {
    const found = await stat(segmentPath(folder, id)).catch(ignoreMissing);
    if (!found) continue;
    files.push({ id, sizeBytes: found.size, modifiedEpochMs: found.mtimeMs, isLast: id === ids.at(-1) });
  }
  return files;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await readdir(folder).catch(ignoreMissing)) ?? [];
}

/** Another process's sweep may remove what was just listed. */
export function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
