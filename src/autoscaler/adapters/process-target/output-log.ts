import { closeSync, openSync, readSync, statSync } from 'node:fs';
import { copyFile, readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';

const TAIL_BYTES = 4_096;
const TAIL_LINES = 4;
const TAIL_CHARS = 600;

/**
 * Cuts a log that has grown past `maxBytes`: its content moves to "<path>.1", the file starts again at zero. The writer
 * keeps its descriptor (opened for appending), so what it writes between copy and cut is lost; never the newest lines.
 */
export async function capLog(path: string, maxBytes: number): Promise<void> {
  const info = await stat(path).catch(() => null);
  if (info === null || info.size <= maxBytes) return;
  await copyFile(path, `${path}.1`);
  await truncate(path, 0);
}

/** Deletes the logs in `folder` that no running replica writes (`inUse`, file names), but for the `keep` newest. */
export async function pruneLogs(folder: string, inUse: ReadonlySet<string>, keep: number): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.log') && !inUse.has(name));
  const aged = await Promise.all(
    names.map(async (name) => ({ name, modifiedMs: (await stat(join(folder, name)).catch(() => null))?.mtimeMs ?? 0 })),
  );
  const old = aged.sort((a, b) => b.modifiedMs - a.modifiedMs).slice(keep);
  const paths = old.flatMap(({ name }) => [join(folder, name), join(folder, `${name}.1`)]);
  await Promise.all(paths.map((path) => rm(path, { force: true })));
}

/** The last lines of a log on one line, for messages to people; '' when there are none. */
export function logTail(path: string): string {
  try {
    const descriptor = openSync(path, 'r');
    try {
      const size = statSync(path).size;
      const buffer = Buffer.alloc(Math.min(TAIL_BYTES, size));
      readSync(descriptor, buffer, 0, buffer.length, size - buffer.length);
      const lines = buffer.toString('utf8').split('\n');
      const printable = lines.map((line) => line.replace(/[^\x20-\x7e\u00a0-\uffff]/g, '').trim());
      return printable.filter(Boolean).slice(-TAIL_LINES).join(' | ').slice(-TAIL_CHARS);
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return '';
  }
}
