import { access, constants, mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findOnPath, isExecutable } from '../../../../src/platform/local-redis/binary.ts';
import { takeFolderLock } from '../../../../src/platform/local-redis/folder-lock.ts';
import { runCommand } from '../../../../src/platform/local-redis/run-command.ts';
import { buildWithGo } from './build.ts';
import { cacheFolderName, TOOLS, type ToolName, type ToolSpec } from './catalogue.ts';
import { downloadRelease } from './download.ts';

export type FoundTool =
  | { readonly kind: 'found'; readonly path: string; readonly origin: string }
  | { readonly kind: 'missing'; readonly why: string };

export interface ToolSearch {
  /** Whether it may be downloaded or built when it is nowhere. Default true. */
  readonly fetch?: boolean;
  /** Sentences for people about what takes time. Default: to stderr. */
  readonly onProgress?: (sentence: string) => void;
  readonly signal?: AbortSignal;
  /** Where to look; default: this process's environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Best first; default: those of docs/test-cluster.md. */
  readonly caches?: readonly string[];
}

interface Roads {
  readonly env: NodeJS.ProcessEnv;
  readonly caches: readonly string[];
}

const root = fileURLToPath(new URL('../../../..', import.meta.url));
const VERSION_TIMEOUT_MS = 15_000;
/** The first build of a Kubernetes program takes minutes on two cores; others wait for it. */
const FETCH_TIMEOUT_MS = 25 * 60_000;

/**
 * The program, by the first road that has it: the folder KUBEBUILDER_ASSETS, the PATH (if new enough), a cache folder,
 * the official release checked against its published SHA-256, a build with Go. Never throws but on abort.
 */
export async function findTool(name: ToolName, search: ToolSearch = {}): Promise<FoundTool> {
  const spec = TOOLS[name];
  const { env = process.env, caches = cacheFolders(env) } = search;
  const roads = { env, caches };
  const present = await findPresent(name, spec, roads);
  if (present !== null) return present;
  if (search.fetch === false) return { kind: 'missing', why: `${name} is not in ${describe(name, roads)}` };
  const signal = AbortSignal.any([AbortSignal.timeout(FETCH_TIMEOUT_MS), ...(search.signal ? [search.signal] : [])]);
  try {
    return await fetchTool(name, spec, roads, search.onProgress ?? toStderr, signal);
  } catch (error) {
    search.signal?.throwIfAborted();
    return { kind: 'missing', why: `${name}: ${error instanceof Error ? error.message : String(error)}` };
  }
}

async function findPresent(name: ToolName, spec: ToolSpec, { env, caches }: Roads): Promise<FoundTool | null> {
  const assets = env['KUBEBUILDER_ASSETS'];
  if (assets !== undefined && (await isExecutable(join(assets, name)))) {
    return { kind: 'found', path: join(assets, name), origin: 'KUBEBUILDER_ASSETS' };
  }
  const onPath = await findOnPath([name], env['PATH'] ?? '');
  if (onPath !== undefined && (await isNewEnough(onPath, spec))) return { kind: 'found', path: onPath, origin: 'PATH' };
  for (const folder of caches) {
    const path = join(folder, cacheFolderName(spec), name);
    if (await isExecutable(path)) return { kind: 'found', path, origin: 'cache' };
  }
  return null;
}

/** One process fetches at a time; whoever waited finds it in the cache. */
async function fetchTool(
  name: ToolName,
  spec: ToolSpec,
  roads: Roads,
  onProgress: (sentence: string) => void,
  signal: AbortSignal,
): Promise<FoundTool> {
  const cache = await firstWritable(roads.caches);
  if (cache === null)
    return { kind: 'missing', why: `${name}: no cache folder of ${roads.caches.join(', ')} is writable` };
  const path = join(cache, cacheFolderName(spec), name);
  await mkdir(dirname(path), { recursive: true });
  const lock = await takeFolderLock(join(cache, `${name}.lock`), FETCH_TIMEOUT_MS, signal);
  try {
    if (await isExecutable(path)) return { kind: 'found', path, origin: 'cache' };
    const problems: string[] = [];
    if (spec.release !== null) {
      const problem = await downloadRelease(spec.release, path, signal);
      if (problem === null) return { kind: 'found', path, origin: 'release' };
      problems.push(problem);
    }
    if (spec.build !== null) {
      onProgress(
        `Building ${name} ${spec.version} with Go for the tests; minutes the first time, kept in ${dirname(path)}.`,
      );
      const problem = await buildWithGo(spec.build, path, roads.env, signal);
      if (problem === null) return { kind: 'found', path, origin: 'Go build' };
      problems.push(problem);
    }
    return { kind: 'missing', why: `${name} is not in ${describe(name, roads)}; ${problems.join('; ')}` };
  } finally {
    await lock.release();
  }
}

/** The checkout's own cache first, then the user's. */
function cacheFolders(env: NodeJS.ProcessEnv): string[] {
  const userCache = env['XDG_CACHE_HOME'] ?? join(env['HOME'] ?? homedir(), '.cache');
  return [join(root, '.cache', 'cluster-tools'), join(userCache, 'pilotlight', 'cluster-tools')];
}

/** Fetched programs go to the user's cache, so that a fresh clone finds them; to the checkout when there is no home. */
async function firstWritable(caches: readonly string[]): Promise<string | null> {
  for (const folder of caches.toReversed()) {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
      return folder;
    } catch {
      // A home that is read-only or missing: the checkout may do.
    }
  }
  return null;
}

async function isNewEnough(path: string, { versionArgs, minimum: [major, minor] }: ToolSpec): Promise<boolean> {
  const signal = AbortSignal.timeout(VERSION_TIMEOUT_MS);
  const run = await runCommand(path, versionArgs, { timeoutMs: VERSION_TIMEOUT_MS, signal }).catch(() => null);
  if (run === null || !run.ok) return false;
  const [, foundMajor = '0', foundMinor = '0'] = /(\d+)\.(\d+)/.exec(run.output) ?? [];
  return Number(foundMajor) > major || (Number(foundMajor) === major && Number(foundMinor) >= minor);
}

function describe(name: ToolName, { caches }: Roads): string {
  return `KUBEBUILDER_ASSETS, on the PATH (${TOOLS[name].minimum.join('.')} or newer) or in ${caches.join(', ')}`;
}

function toStderr(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}
