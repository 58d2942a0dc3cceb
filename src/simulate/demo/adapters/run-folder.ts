import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import writeFileAtomic from 'write-file-atomic';

/** Where one run keeps everything it makes. */
export interface RunFolder {
  /** "demo-20261122-174501" and, should there be one of that name, a few more digits. */
  readonly runId: string;
  readonly path: string;
  readonly objects: string;
  readonly log: string;
  /** The file of the batch. */
  readonly input: string;
  /** What the batch gives back: rows that completed, and rows that did not. */
  readonly results: string;
  readonly errors: string;
  /** Files and records of batches, the bundled Redis, output of the model servers. */
  readonly data: string;
}

export async function makeRunFolder(parent: string, nowEpochMs: number): Promise<RunFolder> {
  const stamp = new Date(nowEpochMs).toISOString().replace(/^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+).*$/, '$1$2$3-$4$5$6');
  const parentPath = resolve(parent);
  await mkdir(parentPath, { recursive: true });
  for (let runId = `demo-${stamp}`; ; runId = `demo-${stamp}-${randomBytes(2).toString('hex')}`) {
    const path = join(parentPath, runId);
    if (!(await isNew(path))) continue;
    return {
      runId,
      path,
      objects: join(path, 'demo.yaml'),
      log: join(path, 'serve.log'),
      input: join(path, 'tickets.jsonl'),
      results: join(path, 'results.jsonl'),
      errors: join(path, 'errors.jsonl'),
      data: join(path, 'data'),
    };
  }
}

/** Holds hashes of API keys only, but is nobody else's business. */
export async function writeObjects(folder: RunFolder, yaml: string): Promise<void> {
  await writeFileAtomic(folder.objects, yaml, { mode: 0o600 });
}

async function isNew(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: 0o700 });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}
