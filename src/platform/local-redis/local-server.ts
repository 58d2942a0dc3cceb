import { realpath } from 'node:fs/promises';
import { PilotlightError } from '../../core/errors.ts';
import { systemClock } from '../clock.ts';
import type { RedisInspection } from '../redis/inspect.ts';
import type { ServerBinary, ServerProgram } from './binary.ts';
import { takeFolderLock } from './folder-lock.ts';
import { probeRedis } from './probe.ts';
import { endProcess, isRunning, type ProcessId, processIdentity } from './process-identity.ts';
import {
  filesOf,
  freePort,
  makeDataFolder,
  newRecord,
  readRecord,
  type ServerRecord,
  type ServerSettings,
  writeConfig,
  writeRecord,
} from './server-files.ts';
import { lastLogLines, type ServerLifetime, type SpawnedServer, spawnServer } from './spawn-server.ts';

const PROBE_TIMEOUT_MS = 1_000;
const FIRST_POLL_MS = 5;
const LONGEST_POLL_MS = 200;
/** From the start of the program to its first answer. */
const ANSWER_WITHIN_MS = 30_000;
/** Reading a large append-only file back: about 1 GB in 10 s. */
const LOADED_WITHIN_MS = 10 * 60_000;
const LOCK_WITHIN_MS = LOADED_WITHIN_MS + ANSWER_WITHIN_MS;
const STOP_GRACE_MS = 10_000;
const STOP_WITHIN_MS = 30_000;
const PORT_ATTEMPTS = 3;

export interface LocalServerOptions {
  dataDir: string;
  settings: ServerSettings;
  lifetime: ServerLifetime;
  /** Finds a program; called only when no server of the data folder runs. Throws when there is none. */
  findBinary: (previous: ServerRecord['binary']) => Promise<ServerBinary>;
  onProgress: (sentence: string) => void;
  /** Ends every wait; a server that was only just being started is ended too. */
  signal: AbortSignal;
}

export interface LocalServer {
  url: string;
  process: ProcessId;
  /** Which server, from where, at which address, for people. */
  description: string;
}

/**
 * The server of the data folder: the one that runs, else a new one on the folder's data, at the same address as before
 * if that is free. Only one server ever works on a folder. Throws when it cannot be started or does not answer in time.
 */
export async function openLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  await makeDataFolder(options.dataDir);
  // The server is known by the path of its configuration file, so a folder has one path only.
  const here = { ...options, dataDir: await realpath(options.dataDir) };
  const lock = await takeFolderLock(filesOf(here.dataDir).lock, LOCK_WITHIN_MS, options.signal);
  try {
    const record = (await readRecord(here.dataDir)) ?? (await newRecord());
    const probe = await probeRedis(urlOf(record), PROBE_TIMEOUT_MS);
    if (probe.kind === 'answered') {
      if (isOfFolder(probe.server, here.dataDir)) return await takeOver(here, record);
      // The folder is a copy of one whose server runs: it gets an address of its own.
      return await startServer(here, { ...(await newRecord()), binary: record.binary });
    }
    const isHanging = record.process !== undefined && (await isRunning(record.process, options.signal));
    return isHanging ? await takeOver(here, record) : await startServer(here, record);
  } finally {
    await lock.release();
  }
}

/** Ends the server: it writes what it holds and goes; one that does not within 10 s is killed. */
export async function stopLocalServer(server: LocalServer): Promise<void> {
  await endProcess(server.process, STOP_GRACE_MS, AbortSignal.timeout(STOP_WITHIN_MS));
}

/** Throws when the running server does not answer: a second one must not write the same files. */
async function takeOver(options: LocalServerOptions, record: ServerRecord): Promise<LocalServer> {
  const answer = await waitForAnswer(options, record, () => undefined);
  if (answer.kind === 'ready') return describe(options, record, { server: answer.server, from: 'already running' });
  const pid = record.process?.pid ?? '(unknown)';
  throw new PilotlightError(
    'queue_unavailable',
    `Redis of ${options.dataDir} runs as process ${pid} and does not answer (${answer.problem}); end that process and start again.`,
  );
}

async function startServer(options: LocalServerOptions, known: ServerRecord): Promise<LocalServer> {
  const { path, libraryFolders, origin } = await options.findBinary(known.binary);
  let record: ServerRecord = { ...known, binary: { path, libraryFolders }, process: undefined };
  for (let attempt = 1; attempt <= PORT_ATTEMPTS; attempt += 1) {
    const answer = await startOnce(options, record, { path, libraryFolders });
    if (answer.kind === 'ready') {
      const server = await describe(options, record, { server: answer.server, from: origin });
      await writeRecord(options.dataDir, { ...record, process: server.process });
      return server;
    }
    const log = await lastLogLines(options.dataDir);
    if (!/in use/i.test(log)) {
      const problem = `Redis (${path}) did not start: ${answer.problem}; its log ends with: ${log}`;
      throw new PilotlightError('queue_unavailable', problem);
    }
    record = { ...record, port: await freePort() };
  }
  throw new PilotlightError('queue_unavailable', `Redis found no free loopback port in ${PORT_ATTEMPTS} attempts.`);
}

/** A server that does not get ready is not left behind. */
async function startOnce(options: LocalServerOptions, record: ServerRecord, program: ServerProgram): Promise<Answer> {
  // Written before the start: whatever happens now, the next start finds the server by its address and password.
  await writeRecord(options.dataDir, record);
  await writeConfig(options.dataDir, record, options.settings);
  const spawned = await spawnServer(program, options.dataDir, options.lifetime);
  let isReady = false;
  try {
    const answer = await waitForAnswer(options, record, spawned.ended);
    isReady = answer.kind === 'ready';
    return answer;
  } finally {
    if (!isReady) spawned.end();
  }
}

type Answer = { kind: 'ready'; server: RedisInspection } | { kind: 'failed'; problem: string };

/** Asks until the server of this folder has loaded its data, has ended, or the time is over. */
async function waitForAnswer(
  options: LocalServerOptions,
  record: ServerRecord,
  ended: SpawnedServer['ended'],
): Promise<Answer> {
  const startedMs = systemClock.monotonicMs();
  let pollMs = FIRST_POLL_MS;
  let limitMs = ANSWER_WITHIN_MS;
  let problem = 'no answer';
  while (systemClock.monotonicMs() - startedMs < limitMs) {
    const probe = await probeRedis(urlOf(record), PROBE_TIMEOUT_MS);
    if (probe.kind === 'silent') problem = probe.problem;
    else if (!isOfFolder(probe.server, options.dataDir)) problem = 'the server of another data folder answers';
    else if (!probe.server.isLoading) return { kind: 'ready', server: probe.server };
    else if (limitMs !== LOADED_WITHIN_MS) {
      limitMs = LOADED_WITHIN_MS;
      problem = 'it is still loading its data';
      options.onProgress('Redis is loading its data.');
    }
    const end = ended();
    if (end !== undefined) return { kind: 'failed', problem: `it ended with ${end}` };
    await systemClock.sleep(pollMs, options.signal);
    pollMs = Math.min(pollMs * 2, LONGEST_POLL_MS);
  }
  return { kind: 'failed', problem };
}

async function describe(
  options: LocalServerOptions,
  record: ServerRecord,
  { server, from }: { server: RedisInspection; from: string },
): Promise<LocalServer> {
  const identity = server.pid === undefined ? undefined : await processIdentity(server.pid, options.signal);
  if (server.pid === undefined || identity === undefined) {
    throw new PilotlightError('queue_unavailable', 'Redis ended as soon as it had started.');
  }
  return {
    url: urlOf(record),
    process: { pid: server.pid, identity },
    description: `${server.flavour} ${server.version ?? ''}, ${from}, on 127.0.0.1:${record.port}`,
  };
}

function isOfFolder(server: RedisInspection, dataDir: string): boolean {
  return server.configFile === filesOf(dataDir).config;
}

function urlOf(record: ServerRecord): string {
  return `redis://:${record.password}@127.0.0.1:${record.port}/0`;
}
