import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { Registry } from 'prom-client';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import type { Config } from '../../../src/config/config.ts';
import { redisMetrics } from '../../../src/platform/redis/metrics.ts';
import { openRedisLink, type RedisLink } from '../../../src/roles/redis-link.ts';
import { openServers, type TestServer, type TestServers } from '../../support/redis-cluster.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { recordingLogger } from './recording-logger.ts';

const PASSWORD = 'p4ss-of-the-queue';
const RIGHTS = readFileSync(new URL('../../../infra/redis/pilotlight.acl', import.meta.url), 'utf8').trim();
const AOF = ['appendonly yes', 'maxmemory-policy noeviction'];

let servers: TestServers;
let server: TestServer;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pilotlight-tls-'));
  servers = await openServers();
  server = await servers.start(AOF);
});
afterAll(async () => {
  await servers.close();
  rmSync(folder, { recursive: true, force: true });
});

const NO_FILES = {
  enabled: false,
  caFile: null,
  certFile: null,
  keyFile: null,
  serverName: null,
  insecureSkipVerify: false,
};

async function open(redis: Partial<Config['redis']>, log = silentLogger): Promise<RedisLink> {
  const none = { nodes: [], masterName: 'mymaster', database: 0, username: null, password: null, tls: false };
  const settings = { sentinel: none, cluster: { nodes: [] }, username: null, password: null, tls: NO_FILES };
  const config = {
    redis: { url: null, keyPrefix: 'pilotlight', ...settings, ...redis },
    installation: 'local',
    kubernetes: { enabled: false },
    data: { dir: folder },
  } as unknown as Config;
  const link = await openRedisLink({ config, log, onProgress: () => undefined }, AbortSignal.timeout(20_000));
  onTestFinished(() => link.close());
  return link;
}

const urlOf = ({ port }: TestServer, user = '') => `redis://${user}127.0.0.1:${port}`;
const userUrl = (name: string) => urlOf(server, `${name}:${PASSWORD}@`);

async function setUser(name: string, change: (rules: string[]) => string[]): Promise<void> {
  const [, , ...rules] = RIGHTS.replace('>CHANGE-ME', `>${PASSWORD}`).split(' ');
  await server.client.call('acl', 'setuser', name, 'reset', ...change(rules));
}

test('the user of the page starts without a complaint and may do nothing else', async () => {
  await setUser('least', (rules) => rules);
  const link = await open({ url: userUrl('least') });
  expect(link.version).toMatch(/^(redis|valkey) \d/);
  const user = new Redis(userUrl('least'));
  onTestFinished(() => user.disconnect());
  const forbidden: [string, ...string[]][] = [
    ['get', 'other:key'],
    ['set', 'other:key', '1'],
    ['publish', 'other:channel', '1'],
    ['keys', '*'],
    ['scan', '0'],
    ['flushall'],
    ['flushdb'],
    ['config', 'set', 'maxmemory', '1'],
    ['config', 'rewrite'],
    ['shutdown'],
    ['replicaof', 'no', 'one'],
    ['acl', 'whoami'],
    ['client', 'list'],
    ['monitor'],
    ['save'],
    ['migrate', '127.0.0.1', '1', 'pilotlight:x', '0', '1'],
    ['function', 'flush'],
    ['script', 'flush'],
  ];
  for (const [name, ...args] of forbidden) {
    await expect(user.call(name, ...args), [name, ...args].join(' ')).rejects.toThrow('NOPERM');
  }
  const inScript = user.eval("return redis.call('get', 'other:key')", 0);
  await expect(inScript).rejects.toThrow(/permission|can't access/i);
  await expect(user.subscribe('other:channel')).rejects.toThrow('NOPERM');
});

test.each([
  ['a command', '+zpopmin', (rules: string[]) => rules.filter((rule) => rule !== '+zpopmin')],
  ['scripts', '+eval', (rules: string[]) => rules.filter((rule) => rule !== '+eval')],
  ['the keys', 'keys ~pilotlight:*', (rules: string[]) => rules.filter((rule) => !rule.startsWith('~'))],
  ['the channels', 'channel &pilotlight:*', (rules: string[]) => rules.filter((rule) => !rule.startsWith('&'))],
  ['INFO', 'info', (rules: string[]) => rules.filter((rule) => rule !== '+info')],
])('a start without the right to %s names it', async (_what, named, change) => {
  await setUser('lacking', change);
  const start = open({ url: userUrl('lacking') });
  await expect(start).rejects.toThrow(named);
  await expect(start).rejects.not.toThrow(PASSWORD);
});

test('a server that evicts, is a replica, or is a sentinel, is refused with the remedy; one nearly full is complained of', async () => {
  const replica = await servers.start([...AOF, `replicaof 127.0.0.1 ${server.port}`]);
  await expect(open({ url: urlOf(replica) })).rejects.toThrow('is a replica');
  await server.client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  onTestFinished(async () => {
    await server.client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', '0');
  });
  await expect(open({ url: urlOf(server) })).rejects.toThrow('set it to "noeviction"');
  const usedBytes = Number(/used_memory:(\d+)/.exec(await server.client.info('memory'))?.[1]);
  await server.client.config('SET', 'maxmemory-policy', 'noeviction', 'maxmemory', String(Math.ceil(usedBytes * 1.08)));
  const log = recordingLogger();
  const { command } = await open({ url: urlOf(server) }, log);
  expect(JSON.stringify(log.lines)).toContain('% of its memory');
  const registry = new Registry();
  redisMetrics(registry, command);
  const told = await registry.metrics();
  expect(told).toMatch(/pilotlight_redis_available\{server="127.0.0.1:\d+"\} 1/);
  expect(told).toMatch(/pilotlight_redis_memory_limit_bytes\{.*\} \d{5,}/);
  const sentinel = await servers.start([], 'sentinel');
  await expect(open({ url: urlOf(sentinel) })).rejects.toThrow(/sentinel/);
});

interface Certificates {
  readonly ca: string;
  readonly server: string;
  readonly serverKey: string;
  readonly client: string;
  readonly clientKey: string;
}

async function makeCertificates(): Promise<Certificates> {
  const run = promisify(execFile);
  const path = (name: string) => join(folder, name);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await run('openssl', [
    'req',
    '-x509',
    ...newKey,
    '-subj',
    '/CN=test-ca',
    '-keyout',
    path('ca.key'),
    '-out',
    path('ca.crt'),
  ]);
  for (const [name, subject, names] of [
    ['server', '/CN=redis', 'DNS:redis.internal'],
    ['client', '/CN=pilotlight', 'DNS:pilotlight'],
  ] as const) {
    const issuer = ['-CA', path('ca.crt'), '-CAkey', path('ca.key')];
    const out = ['-keyout', path(`${name}.key`), '-out', path(`${name}.crt`)];
    await run('openssl', [
      'req',
      '-x509',
      ...newKey,
      ...issuer,
      '-subj',
      subject,
      '-addext',
      `subjectAltName=${names}`,
      ...out,
    ]);
  }
  return {
    ...{ ca: path('ca.crt'), server: path('server.crt'), serverKey: path('server.key') },
    ...{ client: path('client.crt'), clientKey: path('client.key') },
  };
}

/** TLS in front of a server, with its certificate, asking for that of the client. */
async function startTls({ port }: TestServer, files: Certificates): Promise<number> {
  const sockets = new Set<Socket>();
  const options = { cert: readFileSync(files.server), key: readFileSync(files.serverKey), ca: readFileSync(files.ca) };
  const front: Server = createServer({ ...options, requestCert: true, rejectUnauthorized: true }, (client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream).pipe(client);
  });
  front.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    front.close();
  });
  return (front.address() as { port: number }).port;
}

test('TLS: the authority, the name and the own certificate are what the settings say, or nothing is sent', async () => {
  const files = await makeCertificates();
  const url = `rediss://127.0.0.1:${await startTls(server, files)}`;
  const good = {
    ...NO_FILES,
    caFile: files.ca,
    certFile: files.client,
    keyFile: files.clientKey,
    serverName: 'redis.internal',
  };
  const link = await open({ url, tls: good });
  expect(await link.command.ping()).toBe('PONG');
  await expect(open({ url, tls: { ...good, caFile: null } })).rejects.toThrow(/certificate/);
  await expect(open({ url, tls: { ...good, serverName: 'another.internal' } })).rejects.toThrow(
    /altname|does not match/i,
  );
  await expect(open({ url, tls: { ...good, certFile: null, keyFile: null } })).rejects.toThrow('cannot be used');
  await expect(open({ url, tls: { ...good, caFile: join(folder, 'absent.pem') } })).rejects.toThrow('redis.tls.caFile');
  const log = recordingLogger();
  await open({ url, tls: { ...good, caFile: null, insecureSkipVerify: true } }, log);
  expect(JSON.stringify(log.lines)).toContain('redis.not_verified');
});
