import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import writeFileAtomic from 'write-file-atomic';
import { z } from 'zod';

/**
 * What a data folder remembers of its server, in a file that only its owner can read. Port and password stay the same
 * over restarts, so a client that knew the address finds the server again.
 */
const serverRecord = z.object({
  port: z.int().min(1).max(65_535),
  password: z.string().min(1),
  binary: z.object({ path: z.string(), libraryFolders: z.array(z.string()) }).optional(),
  process: z.object({ pid: z.int().positive(), identity: z.string() }).optional(),
});

export type ServerRecord = z.infer<typeof serverRecord>;

const OWNER_ONLY = 0o600;

/** Paths inside a data folder. */
export const filesOf = (dataDir: string) => ({
  record: join(dataDir, 'server.json'),
  config: join(dataDir, 'redis.conf'),
  log: join(dataDir, 'redis.log'),
  lock: join(dataDir, 'start.lock'),
});

/** The record of an earlier start, or nothing when there was none or it cannot be read. */
export async function readRecord(dataDir: string): Promise<ServerRecord | undefined> {
  try {
    return serverRecord.parse(JSON.parse(await readFile(filesOf(dataDir).record, 'utf8')));
  } catch {
    return undefined;
  }
}

export async function writeRecord(dataDir: string, record: ServerRecord): Promise<void> {
  await writeFileAtomic(filesOf(dataDir).record, `${JSON.stringify(record, null, 2)}\n`, { mode: OWNER_ONLY });
}

export interface ServerSettings {
  /** `aof`: survives a restart, losing at most the last second. `none`: memory only. */
  persistence: 'aof' | 'none';
  /** Logical databases. */
  databases: number;
}

/** Writes the configuration of the server; the password is in it, so it is the owner's only. */
export async function writeConfig(dataDir: string, record: ServerRecord, settings: ServerSettings): Promise<void> {
  await writeFileAtomic(filesOf(dataDir).config, serverConfig(dataDir, record, settings), { mode: OWNER_ONLY });
}

/** The text of redis.conf. Snapshots are off: the append-only file alone holds the data. */
export function serverConfig(dataDir: string, record: ServerRecord, settings: ServerSettings): string {
  const lines = [
    'bind 127.0.0.1',
    `port ${record.port}`,
    'protected-mode yes',
    `requirepass ${record.password}`,
    `dir ${quoted(dataDir)}`,
    'daemonize no',
    'logfile ""',
    'save ""',
    `appendonly ${settings.persistence === 'aof' ? 'yes' : 'no'}`,
    'appendfsync everysec',
    // After a kill or a full disk the last command may be cut off; the rest still loads.
    'aof-load-truncated yes',
    'maxmemory-policy noeviction',
    `databases ${settings.databases}`,
  ];
  return `${lines.join('\n')}\n`;
}

/** A record for a folder that has none: a free port and a password nobody can guess. */
export async function newRecord(): Promise<ServerRecord> {
  return { port: await freePort(), password: randomBytes(32).toString('base64url') };
}

/** A loopback port that is free now. Another process may take it before the caller does. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no loopback port is free');
  return address.port;
}

export async function makeDataFolder(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
}

/** Redis reads double quotes with C escapes. */
function quoted(path: string): string {
  return `"${path.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}
