import { createWriteStream } from 'node:fs';
import { rename, rm, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../core/errors.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PatientClient } from '../patience.ts';

const TRIES = 5;
const PAUSE_MS = 1_000;

/**
 * Writes a stored file to `path`: first beside it, so that a file under that name is always whole. A download that breaks
 * off goes on where it stopped.
 */
export async function downloadFile(
  client: PatientClient,
  fileId: string,
  path: string,
  signal: AbortSignal,
): Promise<void> {
  const partPath = `${path}.part`;
  await rm(partPath, { force: true });
  for (let tries = 1; ; tries += 1) {
    const broken = await continueDownload(client, fileId, partPath, signal);
    if (broken === null) break;
    signal.throwIfAborted();
    if (tries === TRIES) {
      const message = `the download of ${fileId} broke off ${TRIES} times: ${broken.message}; run the same command again`;
      throw new CliError(EXIT.FAILED, message, { cause: broken });
    }
    await sleep(PAUSE_MS, undefined, { signal });
  }
  await rename(partPath, path);
}

/** Null = it is whole; otherwise why it broke off. Throws what trying again would not change. */
async function continueDownload(
  client: PatientClient,
  fileId: string,
  partPath: string,
  signal: AbortSignal,
): Promise<Error | null> {
  const path = `/v1/files/${encodeURIComponent(fileId)}/content`;
  const had = await stat(partPath).catch(() => null);
  const from = had?.size ?? 0;
  try {
    const { status, body } = await client.download({
      path,
      signal,
      ...(from > 0 && { headers: { range: `bytes=${from}-` } }),
    });
    if (body === null) return new Error('the answer has no body');
    const flags = from > 0 && status === 206 ? 'a' : 'w';
    await pipeline(Readable.fromWeb(body), createWriteStream(partPath, { flags, mode: 0o600 }), { signal });
    return null;
  } catch (thrown) {
    if (thrown instanceof CliError && thrown.exitCode !== EXIT.UNREACHABLE) throw thrown;
    const { code } = thrown as { readonly code?: string };
    if (code === 'ENOSPC' || code === 'EACCES' || code === 'ENOENT') {
      throw new CliError(EXIT.FAILED, `"${partPath}" cannot be written (${code}); name another file`, {
        cause: thrown,
      });
    }
    return asError(thrown);
  }
}
