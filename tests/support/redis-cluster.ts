import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { cacheFolders } from '../../src/platform/local-redis/cache-folders.ts';
import { findServer } from '../../src/platform/local-redis/find-server.ts';
import { slotOf } from '../../src/platform/redis/slot.ts';
import { until } from './until.ts';

const START_WITHIN_MS = 20_000;
const SLOTS = 16_384;
/** Becomes the server; a watcher ends it when our end of the pipe closes, however this process ends. */
const END_WITH_PARENT = 'exec 3<&0; (read -r _ <&3 || kill -KILL $$) & exec "$@" 3<&- </dev/null';

export interface TestServer {
  readonly port: number;
  readonly pid: number;
  readonly client: Redis;
  kill(): Promise<void>;
  /** On the same folder and port. */
  restart(): Promise<void>;
}

export interface TestServers {
  start(settings: readonly string[], mode?: 'server' | 'sentinel', port?: number): Promise<TestServer>;
  /** Ends all by their pids and removes their folders. */
  close(): Promise<void>;
}

/** Real servers on loopback, each in a folder of its own, ended with the test file. */
export async function openServers(): Promise<TestServers> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-redis-'));
  const found = await findServer(
    {
      previous: undefined,
      searchPath: process.env['PATH'] ?? '',
      caches: cacheFolders(folder, process.env),
      onProgress: () => undefined,
    },
    AbortSignal.timeout(120_000),
  );
  if (found.kind === 'none') throw new Error(`no Redis for the tests: ${found.problems.join('; ')}`);
  const { path, libraryFolders } = found.binary;
  const all: TestServer[] = [];
  const run = async (config: string, args: readonly string[]): Promise<ChildProcess> => {
    const env = { LD_LIBRARY_PATH: libraryFolders.join(':') };
    const child = spawn('/bin/sh', ['-c', END_WITH_PARENT, 'sh', path, config, ...args], {
      ...{ cwd: folder, env: { ...env, PATH: process.env['PATH'] } },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.stdin.on('error', () => undefined);
    child.once('exit', () => child.stdin.end('\n'));
    await once(child, 'spawn');
    return child;
  };
  return {
    async start(settings, mode = 'server', wantedPort) {
      const port = wantedPort ?? (await freePort());
      const config = join(folder, `${port}.conf`);
      const data =
        mode === 'server' ? [`dir ${folder}`, 'save ""', `dbfilename ${port}.rdb`, `appenddirname aof-${port}`] : [];
      await writeFile(config, [`port ${port}`, 'bind 127.0.0.1', ...data, ...settings, ''].join('\n'));
      const args = mode === 'sentinel' ? ['--sentinel'] : [];
      let child = await run(config, args);
      const password = settings.find((line) => line.startsWith('requirepass '))?.slice('requirepass '.length);
      const client = new Redis({
        ...{ port, host: '127.0.0.1', enableReadyCheck: false, maxRetriesPerRequest: 0, retryStrategy: () => 50 },
        ...(password === undefined ? {} : { password }),
      });
      client.on('error', () => undefined);
      const answers = () =>
        until(async () => (await client.ping().catch(() => '')) === 'PONG', 'the servers are ready', START_WITHIN_MS);
      const kill = async () => {
        if (child.exitCode !== null || child.signalCode !== null) return;
        const gone = once(child, 'exit');
        child.kill('SIGKILL');
        await gone;
      };
      await answers();
      const server: TestServer = {
        port,
        client,
        get pid() {
          return child.pid ?? 0;
        },
        kill,
        async restart() {
          await kill();
          child = await run(config, args);
          await answers();
        },
      };
      all.push(server);
      return server;
    },
    async close() {
      for (const server of all) {
        server.client.disconnect();
        await server.kill();
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface TestCluster {
  readonly primaries: readonly TestServer[];
  readonly replicas: readonly TestServer[];
  readonly nodes: readonly string[];
  ownerOf(key: string): Promise<TestServer>;
  replicaOf(primary: TestServer): TestServer;
  /** Moves the slot of a key, key by key, as people do it. */
  moveSlot(key: string, from: TestServer, to: TestServer): Promise<void>;
}

/** A cluster of three primaries, with a replica each where wanted. */
export async function startCluster(
  servers: TestServers,
  withReplicas: boolean,
  more: readonly string[] = [],
): Promise<TestCluster> {
  const settings = [
    'cluster-enabled yes',
    'cluster-node-timeout 1000',
    'appendonly yes',
    'maxmemory-policy noeviction',
  ];
  settings.push('cluster-replica-validity-factor 0', 'repl-diskless-sync-delay 0');
  settings.push(...more);
  const count = withReplicas ? 6 : 3;
  const all: TestServer[] = [];
  while (all.length < count) {
    const port = await clusterPort();
    all.push(await servers.start([...settings, `cluster-config-file nodes-${port}.conf`], 'server', port));
  }
  const primaries = all.slice(0, 3);
  const replicas = all.slice(3);
  for (const [index, { client }] of primaries.entries()) {
    const first = Math.ceil((index * SLOTS) / 3);
    const last = Math.ceil(((index + 1) * SLOTS) / 3) - 1;
    await client.call('cluster', 'addslotsrange', first, last);
    await client.call('cluster', 'set-config-epoch', index + 1);
  }
  for (const { client } of all.slice(1)) await client.call('cluster', 'meet', '127.0.0.1', all[0]?.port ?? 0);
  await knowsAll(all);
  for (const [index, { client }] of replicas.entries()) {
    await client.call('cluster', 'replicate', await idOf(primaries[index]!));
  }
  const isReady = async () => {
    const infos = await Promise.all(all.map(({ client }) => client.cluster('INFO')));
    const links = await Promise.all(replicas.map(({ client }) => client.info('replication')));
    return (
      infos.every((info) => info.includes('cluster_state:ok')) && links.every((info) => info.includes('link_status:up'))
    );
  };
  await until(isReady, 'the servers are ready', START_WITHIN_MS);
  return {
    primaries,
    replicas,
    nodes: all.map(({ port }) => `127.0.0.1:${port}`),
    async ownerOf(key) {
      const slot = slotOf(key);
      for (const server of all) {
        const ranges = (await server.client.cluster('SLOTS').catch(() => [])) as [number, number, [string, number]][];
        const range = ranges.find(([first, last]) => first <= slot && slot <= last);
        const owner = all.find(({ port }) => port === range?.[2][1]);
        if (owner) return owner;
      }
      throw new Error(`nobody owns the slot of ${key}`);
    },
    replicaOf: (primary) => replicas[primaries.indexOf(primary)]!,
    async moveSlot(key, from, to) {
      const slot = slotOf(key);
      await to.client.call('cluster', 'setslot', slot, 'importing', await idOf(from));
      await from.client.call('cluster', 'setslot', slot, 'migrating', await idOf(to));
      for (;;) {
        const keys = (await from.client.call('cluster', 'getkeysinslot', slot, 100)) as string[];
        if (keys.length === 0) break;
        await from.client.call('migrate', '127.0.0.1', to.port, '', 0, 5_000, 'KEYS', ...keys);
      }
      for (const { client } of [to, from, ...primaries]) {
        await client.call('cluster', 'setslot', slot, 'node', await idOf(to)).catch(() => undefined);
      }
    },
  };
}

export interface TestSentinels {
  /** The first is the primary at the start. */
  readonly data: readonly [TestServer, TestServer];
  readonly sentinels: readonly TestServer[];
  /** "127.0.0.1:26379" */
  readonly addresses: readonly string[];
}

export const MASTER_NAME = 'queue';

/** A primary, its replica, and three sentinels that take it for dead after `downAfterMs`. */
export async function startSentinels(
  servers: TestServers,
  { downAfterMs, password }: { readonly downAfterMs: number; readonly password: string },
): Promise<TestSentinels> {
  const settings = [
    'appendonly yes',
    `requirepass ${password}`,
    `masterauth ${password}`,
    'repl-diskless-sync-delay 0',
  ];
  const primary = await servers.start(settings);
  const replica = await servers.start([...settings, `replicaof 127.0.0.1 ${primary.port}`]);
  const follows = async () => (await replica.client.info('replication')).includes('master_link_status:up');
  await until(follows, 'the replica follows', START_WITHIN_MS);
  const lines = [
    `sentinel monitor ${MASTER_NAME} 127.0.0.1 ${primary.port} 2`,
    `sentinel auth-pass ${MASTER_NAME} ${password}`,
    `sentinel down-after-milliseconds ${MASTER_NAME} ${downAfterMs}`,
    `sentinel failover-timeout ${MASTER_NAME} 10000`,
    `requirepass ${password}-watch`,
  ];
  const sentinels: TestServer[] = [];
  while (sentinels.length < 3) sentinels.push(await servers.start(lines, 'sentinel'));
  const knowsAllOthers = async () => {
    const told = await Promise.all(sentinels.map(({ client }) => client.info('sentinel')));
    return told.every((text) => text.includes('slaves=1,sentinels=3'));
  };
  await until(knowsAllOthers, 'the sentinels know each other', START_WITHIN_MS);
  return { data: [primary, replica], sentinels, addresses: sentinels.map(({ port }) => `127.0.0.1:${port}`) };
}

async function knowsAll(all: readonly TestServer[]): Promise<void> {
  await until(
    async () => {
      const infos = await Promise.all(all.map(({ client }) => client.cluster('INFO')));
      return infos.every((info) => info.includes(`cluster_known_nodes:${all.length}`));
    },
    'the servers are ready',
    START_WITHIN_MS,
  );
}

async function idOf({ client }: TestServer): Promise<string> {
  return String(await client.call('cluster', 'myid'));
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** The bus of a node listens 10,000 above it. */
async function clusterPort(): Promise<number> {
  for (;;) {
    const port = await freePort();
    if (port + 10_000 < 65_536) return port;
    // What the system gives is above the bus's reach: take one far below it.
    if (port - 25_000 > 10_000) return port - 25_000;
  }
}
