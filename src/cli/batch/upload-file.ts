import { openAsBlob } from 'node:fs';
import { basename } from 'node:path';
import { formatBytes } from '../../core/units.ts';
import { expectJson } from '../client.ts';
import type { CliContext } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PatientClient } from '../patience.ts';
import { inParallel } from '../submit/in-parallel.ts';
import { startProgress } from '../submit/progress.ts';

/** A larger file goes in parts: one that is lost on the way is sent again, not the whole file. */
const PART_BYTES = 16 * 1024 ** 2;
const PARTS_IN_FLIGHT = 3;
const PART_TIMEOUT_MS = 10 * 60_000;

export interface FileState {
  readonly id: string;
  readonly bytes: number;
  readonly filename: string;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly purpose: string;
}

/** Sends a file for batches and returns it as stored. Memory stays flat whatever its size. */
export async function uploadFile(
  client: PatientClient,
  path: string,
  context: CliContext,
  signal: AbortSignal,
): Promise<FileState> {
  const content = await openAsBlob(path).catch((thrown: unknown) => {
    throw new CliError(EXIT.USAGE, `"${path}" cannot be read; check that it is there and readable`, { cause: thrown });
  });
  return content.size <= PART_BYTES
    ? uploadWhole(client, path, content, signal)
    : uploadParts(client, path, content, context, signal);
}

async function uploadWhole(
  client: PatientClient,
  path: string,
  content: Blob,
  signal: AbortSignal,
): Promise<FileState> {
  const body = new FormData();
  body.append('purpose', 'batch');
  body.append('file', content, basename(path));
  const answer = await client.send({ method: 'POST', path: '/v1/files', body, signal, timeoutMs: PART_TIMEOUT_MS });
  return expectJson(answer) as FileState;
}

async function uploadParts(
  client: PatientClient,
  path: string,
  content: Blob,
  context: CliContext,
  signal: AbortSignal,
): Promise<FileState> {
  const post = async (subPath: string, body: string | FormData): Promise<unknown> => {
    const request = {
      method: 'POST',
      path: `/v1/uploads${subPath}`,
      body,
      signal,
      timeoutMs: PART_TIMEOUT_MS,
    } as const;
    return expectJson(await client.send(request));
  };
  const wanted = { filename: basename(path), purpose: 'batch', bytes: content.size, mime_type: 'application/jsonl' };
  const upload = (await post('', JSON.stringify(wanted))) as { readonly id: string };
  const count = Math.ceil(content.size / PART_BYTES);
  context.stderr(`sending ${formatBytes(content.size)} in ${count} parts\n`);
  const progress = await startProgress(context, 'parts', count, 0);
  const ids: string[] = [];
  try {
    await inParallel(Array(count).keys(), PARTS_IN_FLIGHT, signal, async (index) => {
      const body = new FormData();
      body.append('data', content.slice(index * PART_BYTES, (index + 1) * PART_BYTES), 'part');
      const part = (await post(`/${encodeURIComponent(upload.id)}/parts`, body)) as { readonly id: string };
      ids[index] = part.id;
      progress.step();
    });
  } finally {
    progress.stop();
  }
  signal.throwIfAborted();
  const completed = await post(`/${encodeURIComponent(upload.id)}/complete`, JSON.stringify({ part_ids: ids }));
  return (completed as { readonly file: FileState }).file;
}
