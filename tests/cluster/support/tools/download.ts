import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdtemp, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { findOnPath } from '../../../../src/platform/local-redis/binary.ts';
import { runCommand } from '../../../../src/platform/local-redis/run-command.ts';
import type { Release } from './catalogue.ts';

/** Long enough for a host that can be reached, short enough not to be noticed where none can. */
const REACHED_WITHIN_MS = 4_000;
const LOADED_WITHIN_MS = 5 * 60_000;
const UNPACKED_WITHIN_MS = 60_000;

/**
 * Loads the release, refuses it when its SHA-256 is not the published one, and moves the program to `path` in one step.
 * Returns what went wrong, or null. Rejects only on abort.
 */
export async function downloadRelease(release: Release, path: string, signal: AbortSignal): Promise<string | null> {
  const draft = await mkdtemp(join(dirname(path), '.loading-'));
  try {
    const wanted = await publishedChecksum(release, signal);
    const file = join(draft, basename(release.url));
    await load(release.url, file, signal);
    const found = await sha256(file);
    if (found !== wanted) return `${release.url} has SHA-256 ${found}, published is ${wanted}`;
    const program = release.member === undefined ? file : await unpack(file, draft, release.member, signal);
    await chmod(program, 0o755);
    await rename(program, path);
    return null;
  } catch (error) {
    signal.throwIfAborted();
    return `${release.url} cannot be had (${error instanceof Error ? error.message : String(error)})`;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The file holds one digest, or lines "DIGEST  NAME". */
async function publishedChecksum(release: Release, signal: AbortSignal): Promise<string> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(REACHED_WITHIN_MS)]);
  const response = await fetch(release.checksumUrl, { signal: within });
  if (!response.ok) throw new Error(`${release.checksumUrl} answered ${response.status}`);
  const text = await response.text();
  const name = basename(release.url);
  const line = text.split('\n').find((each) => each.trim().endsWith(name)) ?? text;
  const digest = /\b[0-9a-f]{64}\b/.exec(line)?.[0];
  if (digest === undefined) throw new Error(`${release.checksumUrl} holds no SHA-256`);
  return digest;
}

async function load(url: string, file: string, signal: AbortSignal): Promise<void> {
  const within = AbortSignal.any([signal, AbortSignal.timeout(LOADED_WITHIN_MS)]);
  const response = await fetch(url, { signal: within });
  if (!response.ok || response.body === null) throw new Error(`it answered ${response.status}`);
  const target = await open(file, 'w');
  try {
    for await (const chunk of response.body) await target.write(chunk as Uint8Array);
  } finally {
    await target.close();
  }
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function unpack(archive: string, folder: string, member: string, signal: AbortSignal): Promise<string> {
  const tar = await findOnPath(['tar'], process.env['PATH'] ?? '');
  if (tar === undefined) throw new Error('no tar on the PATH');
  const options = { timeoutMs: UNPACKED_WITHIN_MS, signal };
  const unpacked = await runCommand(tar, ['-xzf', archive, '-C', folder, member], options);
  if (!unpacked.ok) throw new Error(unpacked.problem);
  return join(folder, member);
}
