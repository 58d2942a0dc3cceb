import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { asError } from '../core/errors.ts';
import type { Problem } from './problem.ts';
import { MAX_FILE_BYTES } from './yaml-documents.ts';

/** Files one set of `-f` arguments may name; more is a wrong folder. */
const MAX_FILES = 1_000;

export interface InputFile {
  /** As the user wrote it (a folder's files: folder/name). */
  readonly name: string;
  readonly text: string;
  readonly modifiedEpochMs: number;
}

export interface InputFiles {
  readonly files: readonly InputFile[];
  readonly problems: readonly Problem[];
}

/**
 * Reads every named file, and of a named folder each *.yaml, *.yml and *.json in name order (no sub-folders, no hidden
 * files). What cannot be read is a problem.
 */
export function readInputFiles(paths: readonly string[]): InputFiles {
  const files: InputFile[] = [];
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const name of paths.flatMap((path) => listOne(path, problems))) {
    try {
      const real = realpathSync(name);
      if (seen.has(real)) continue;
      seen.add(real);
      if (files.length >= MAX_FILES) {
        problems.push(fileProblem(name, `more than ${MAX_FILES} files; name a smaller folder`));
        break;
      }
      const { size, mtimeMs } = statSync(name);
      if (size > MAX_FILE_BYTES) problems.push(fileProblem(name, 'larger than 4Mi; split it, or name the right file'));
      else files.push({ name, text: readFileSync(name, 'utf8'), modifiedEpochMs: Math.round(mtimeMs) });
    } catch (thrown) {
      problems.push(fileProblem(name, `cannot be read: ${reasonOf(thrown)}`));
    }
  }
  return { files, problems };
}

function listOne(path: string, problems: Problem[]): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name));
    if (names.length === 0) problems.push(fileProblem(path, 'the folder has no *.yaml, *.yml or *.json file'));
    return names.sort().map((name) => join(path, name));
  } catch (thrown) {
    problems.push(fileProblem(path, `cannot be read: ${reasonOf(thrown)}; check the -f argument`));
    return [];
  }
}

function reasonOf(thrown: unknown): string {
  const error = asError(thrown) as NodeJS.ErrnoException;
  if (error.code === 'ENOENT') return 'no such file or folder';
  if (error.code === 'EACCES') return 'permission denied';
  return error.message;
}

function fileProblem(source: string, message: string): Problem {
  return { severity: 'error', source, object: null, path: '', message };
}
