import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { sync as writeFileAtomic } from 'write-file-atomic';
import { CliError, EXIT } from '../exit-codes.ts';

/** What is known of the submission of one input file; kept beside it, so that the same command goes on after anything. */
export interface SubmissionNote {
  readonly url: string;
  readonly bytes: number;
  readonly modifiedAtEpochMs: number;
  /** What the batch was asked for, as it is sent; another wish is another batch. */
  readonly wishes: string;
  readonly idempotencyKey: string;
  readonly fileId: string | null;
  readonly batchId: string | null;
}

/** The note of an earlier run for this very submission, or a new one. Throws a CliError when it belongs to another. */
export function openNote(notePath: string, inputPath: string, url: string, wishes: string): SubmissionNote {
  const { size, mtimeMs } = inputStat(inputPath);
  const fresh: SubmissionNote = {
    url,
    bytes: size,
    modifiedAtEpochMs: Math.floor(mtimeMs),
    wishes,
    idempotencyKey: randomUUID(),
    fileId: null,
    batchId: null,
  };
  if (!existsSync(notePath)) return fresh;
  const known = readNote(notePath);
  const same = (['url', 'bytes', 'modifiedAtEpochMs', 'wishes'] as const).every((key) => known[key] === fresh[key]);
  if (same) return known;
  const batch = known.batchId === null ? '' : ` (batch ${known.batchId})`;
  const why = `"${notePath}" is of an earlier submission${batch} with another content, address or other wishes`;
  throw new CliError(EXIT.USAGE, `${why}; delete it to submit the file anew`);
}

export function saveNote(notePath: string, note: SubmissionNote): void {
  writeFileAtomic(notePath, `${JSON.stringify(note, null, 2)}\n`, { mode: 0o600 });
}

function readNote(notePath: string): SubmissionNote {
  try {
    return JSON.parse(readFileSync(notePath, 'utf8')) as SubmissionNote;
  } catch {
    throw new CliError(EXIT.USAGE, `"${notePath}" cannot be read; move it away to submit the file anew`);
  }
}

function inputStat(path: string): { readonly size: number; readonly mtimeMs: number } {
  try {
    return statSync(path);
  } catch {
    throw new CliError(EXIT.USAGE, `"${path}" cannot be read; check that it is there and readable`);
  }
}
