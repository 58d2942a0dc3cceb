import { access, constants, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import { isAtLeast, MINIMUM_REDIS_VERSION } from '../redis/version.ts';
import { runCommand } from './run-command.ts';

const VERSION_TIMEOUT_MS = 10_000;

export interface ServerProgram {
  path: string;
  /** Folders of shared libraries that were unpacked beside it. */
  libraryFolders: string[];
}

/** A program that may be a server. */
export interface Candidate extends ServerProgram {
  /** Where it came from, for people: "fetched with pip". */
  origin: string;
}

/** A server program that was seen to run here. */
export interface ServerBinary extends Candidate {
  flavour: string;
  version: string;
}

export type Checked = { ok: true; binary: ServerBinary } | { ok: false; problem: string };

/** Runs `--version`: only a program that starts on this machine and is new enough counts. Rejects only on abort. */
export async function checkBinary(candidate: Candidate, signal: AbortSignal): Promise<Checked> {
  const env = serverEnvironment(candidate.libraryFolders);
  const run = await runCommand(candidate.path, ['--version'], { env, timeoutMs: VERSION_TIMEOUT_MS, signal });
  if (!run.ok) return run;
  const [, flavour, version] = /(redis|valkey) server v=(\d+\.\d+\.\d+)/i.exec(run.output) ?? [];
  if (!flavour || !version) return { ok: false, problem: `${candidate.path} is no Redis or Valkey server` };
  if (!isAtLeast(version, MINIMUM_REDIS_VERSION)) {
    return { ok: false, problem: `${candidate.path} is version ${version}, ${MINIMUM_REDIS_VERSION} is needed` };
  }
  return { ok: true, binary: { ...candidate, flavour: flavour.toLowerCase(), version } };
}

/** The environment that the server needs, and nothing else of ours: no keys or tokens reach it. */
export function serverEnvironment(libraryFolders: readonly string[]): NodeJS.ProcessEnv {
  const path = process.env.PATH ?? '';
  return libraryFolders.length > 0 ? { PATH: path, LD_LIBRARY_PATH: libraryFolders.join(delimiter) } : { PATH: path };
}

/** The first program of one of these names on the search path, names before folders. */
export async function findOnPath(names: readonly string[], searchPath: string): Promise<string | undefined> {
  for (const name of names) {
    for (const folder of searchPath.split(delimiter).filter(isAbsolute)) {
      const path = join(folder, name);
      if (await isExecutable(path)) return path;
    }
  }
  return undefined;
}

export async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
