import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis';
import type { Logger } from '../../core/logger.ts';
import { anyNodeConnector } from './any-node-connector.ts';
import { type RedisTarget, type RedisTls, tlsOptions } from './target.ts';

/** What adapters send commands through, whatever Redis is behind it. */
export type RedisClient = Redis | Cluster;

/**
 * | purpose    | for                              | while Redis is away                                   | limit of a wait          |
 * | ---------- | -------------------------------- | ----------------------------------------------------- | ------------------------ |
 * | command    | scripts, BullMQ, everything else | rejects at once, in flight and new; nothing is resent | COMMAND_TIMEOUT_MS       |
 * | subscriber | (s)subscribe only                | subscriptions wait and are renewed                    | the caller's             |
 * | blocking   | BZPOPMIN and other blocking reads | the read waits and is sent again                     | BLOCKING_TIMEOUT_MS      |
 *
 * A `command` is therefore executed at most once; `redisFailure` says what its rejection means. What a `blocking` read
 * popped just as its connection broke is gone: pop hints, never work.
 */
export type RedisPurpose = 'command' | 'subscriber' | 'blocking';

/** Far above the slowest script, and short enough that a caller still hears of it inside its own deadline. */
const COMMAND_TIMEOUT_MS = 2_000;
/** With a command in flight and no byte for this long the connection is dead (no FIN ever came) and is replaced. */
const SOCKET_TIMEOUT_MS = 4_000;
const CONNECT_TIMEOUT_MS = 5_000;
/** Ends a blocking read that asked for no timeout or whose connection died silently; it then reads as empty. */
const BLOCKING_TIMEOUT_MS = 30_000;
const BLOCKING_GRACE_MS = 1_000;
const MAX_RECONNECT_DELAY_MS = 1_000;
/** A tenth of a second apart. */
const MAX_REDIRECTIONS = 10;
/** How soon a cluster's new primary is known where no answer tells of it. */
const SLOTS_REFRESH_MS = 2_000;
/** Nodes of which is remembered that they are away. */
const MAX_KNOWN_DOWN = 1_000;

const BY_PURPOSE = {
  command: {
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    commandTimeout: COMMAND_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
  },
  // No command timeout: ioredis renews subscriptions by itself after a reconnect and nobody would catch that rejection.
  subscriber: { maxRetriesPerRequest: null },
  blocking: {
    maxRetriesPerRequest: null,
    blockingTimeout: BLOCKING_TIMEOUT_MS,
    blockingTimeoutGrace: BLOCKING_GRACE_MS,
  },
} satisfies Record<RedisPurpose, RedisOptions>;

/** exactOptionalPropertyTypes: ioredis wants this one given or left out. */
type Options = Omit<RedisOptions, 'replyMapping'>;

export interface RedisClientOptions {
  /** redis:// or rediss://, with user, password and database where needed (see parseRedisUrl). */
  url: string;
  /** For rediss:// only. */
  tls?: RedisTls | null;
  purpose: RedisPurpose;
  log: Logger;
}

export interface OpenRedisOptions extends Pick<RedisClientOptions, 'purpose' | 'log'> {
  target: RedisTarget;
}

/** A client that connects in the background and reconnects for ever. Never throws on connection trouble: it is logged. */
export function createRedis(options: RedisClientOptions): Redis {
  const tls = options.tls && new URL(options.url).protocol === 'rediss:' ? { tls: tlsOptions(options.tls) } : {};
  return watched(new Redis(options.url, { ...commonOptions(options.purpose), ...tls }), options);
}

/**
 * The same for any kind of Redis. In a cluster a `command` client knows all nodes; a `subscriber` is a plain connection to
 * one node after the other, because every node hears every message.
 */
export function openRedis({ target, purpose, log }: OpenRedisOptions & { purpose: 'subscriber' }): Redis;
export function openRedis({ target, purpose, log }: OpenRedisOptions): RedisClient;
export function openRedis({ target, purpose, log }: OpenRedisOptions): RedisClient {
  if (target.kind === 'single') return createRedis({ url: target.url, tls: target.tls, purpose, log });
  const { username, password } = target.login;
  const tls = target.tls === null ? null : tlsOptions(target.tls);
  const options: Options = {
    ...commonOptions(purpose),
    ...(username === null ? {} : { username }),
    ...(password === null ? {} : { password }),
    ...(tls === null ? {} : { tls }),
  };
  if (target.kind === 'sentinel')
    return watched(new Redis({ ...options, ...sentinelOptions(target) }), { purpose, log });
  if (purpose === 'subscriber') {
    return watched(new Redis({ ...options, Connector: anyNodeConnector(target.nodes, tls) }), { purpose, log });
  }
  return openCluster(target, options, { purpose, log });
}

function commonOptions(purpose: RedisPurpose): Options {
  return {
    ...BY_PURPOSE[purpose],
    connectionName: `pilotlight-${purpose}`,
    // CLIENT SETINFO came with 7.2: no right for it can be given before.
    disableClientInfo: true,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: reconnectDelayMs,
    // After a managed fail-over the old primary stays reachable, as a replica: a new connection finds the new one.
    reconnectOnError: (error) => /^(READONLY|MASTERDOWN) /.test(error.message),
  };
}

/** Until a client that ended by itself connects again. */
const COME_BACK_MS = 250;

function reconnectDelayMs(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 10), MAX_RECONNECT_DELAY_MS) * (0.75 + Math.random() / 2);
}

function sentinelOptions(target: Extract<RedisTarget, { kind: 'sentinel' }>): Options {
  const { username, password } = target.sentinelLogin;
  return {
    sentinels: target.sentinels.map(({ host, port }) => ({ host, port })),
    name: target.masterName,
    db: target.database,
    ...(username === null ? {} : { sentinelUsername: username }),
    ...(password === null ? {} : { sentinelPassword: password }),
    ...(target.sentinelTls === null ? {} : { sentinelTLS: tlsOptions(target.sentinelTls) }),
    enableTLSForSentinelMode: target.tls !== null,
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: reconnectDelayMs,
    // Sentinels tell of a fail-over before the old primary, cut off perhaps, notices that it is none any more.
    failoverDetector: true,
  };
}

function openCluster(
  target: Extract<RedisTarget, { kind: 'cluster' }>,
  redisOptions: Options,
  watch: Pick<RedisClientOptions, 'purpose' | 'log'>,
): Cluster {
  const options = {
    redisOptions,
    enableOfflineQueue: watch.purpose !== 'command',
    clusterRetryStrategy: reconnectDelayMs,
    // 0 = a command whose connection was lost is not sent again: nobody knows whether it was executed.
    retryDelayOnFailover: 0,
    // What a node answers with MOVED, ASK, TRYAGAIN or CLUSTERDOWN it has not executed; these are followed, for a second.
    maxRedirections: MAX_REDIRECTIONS,
    slotsRefreshTimeout: COMMAND_TIMEOUT_MS,
    slotsRefreshInterval: SLOTS_REFRESH_MS,
    // Names are looked up by each connection, so that certificates are compared with names and not with addresses.
    dnsLookup: (address, done) => done(null, address),
  } satisfies ClusterOptions;
  const cluster = new Cluster(
    target.nodes.map(({ host, port }) => ({ host, port })),
    options,
  );
  // Connected before they are needed: a command for a node that is not is refused.
  cluster.on('+node', (node: Redis) => {
    if (node.status === 'wait') node.connect().catch(() => undefined);
  });
  cluster.setMaxListeners(0);
  logConnection(cluster, watch, redisOptions);
  return cluster;
}

function watched(client: Redis, watch: Pick<RedisClientOptions, 'purpose' | 'log'>): Redis {
  if (watch.purpose === 'subscriber') outliveLostRenewals(client);
  comeBack(client, watch.log);
  logConnection(client, watch, client.options);
  return client;
}

/**
 * ioredis 6 ends a client for good when a sentinel tells of a fail-over while a connection is being made: it takes the
 * connector that was closed for that for the caller's wish. One that nobody closed connects again.
 */
function comeBack(client: Redis, log: Logger): void {
  let isClosed = false;
  const disconnect = client.disconnect.bind(client);
  client.disconnect = (reconnect = false) => {
    isClosed ||= !reconnect;
    disconnect(reconnect);
  };
  const quit = client.quit.bind(client);
  client.quit = (...args: Parameters<typeof quit>) => {
    isClosed = true;
    return quit(...args);
  };
  client.on('end', () => {
    if (isClosed) return;
    log.warn({}, 'redis.connection_ended');
    setTimeout(() => {
      if (!isClosed && client.status === 'end') client.connect().catch(() => undefined);
    }, COME_BACK_MS);
  });
}

/**
 * ioredis 6 renews subscriptions after a reconnect and never looks at the outcome: a connection that closes meanwhile
 * would end the process with an unhandled rejection. Who subscribes himself still gets his rejection.
 */
function outliveLostRenewals(client: Redis): void {
  const send = client.sendCommand.bind(client);
  client.sendCommand = (command, stream) => {
    const reply = send(command, stream);
    Promise.resolve(reply).catch(() => undefined);
    return reply;
  };
}

/**
 * Resolves when commands can be sent. Rejects with the signal's reason, with the last connection error after
 * `timeoutMs`, or when the client is closed.
 */
export async function whenReady(client: RedisClient, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  if (client.status === 'ready') return;
  const deadline = AbortSignal.timeout(timeoutMs);
  let lastError = new Error(`Redis did not answer within ${timeoutMs} ms`);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const onReady = () => resolve(undefined);
  const onEnd = () => reject(new Error('the Redis client was closed'));
  const onError = (error: Error) => {
    const { lastNodeError } = error as { lastNodeError?: Error };
    lastError = lastNodeError ?? error;
  };
  client.on('ready', onReady).on('end', onEnd).on('error', onError);
  deadline.addEventListener('abort', () => reject(lastError));
  const onAbort = () => reject(signal?.reason as Error);
  signal?.addEventListener('abort', onAbort);
  try {
    if (client.status === 'end') onEnd();
    await promise;
  } finally {
    client.off('ready', onReady).off('end', onEnd).off('error', onError);
    signal?.removeEventListener('abort', onAbort);
  }
}

/**
 * What a rejected command means: `not_sent`: Redis never saw it. `refused`: Redis answered with an error.
 * `unknown`: the connection was lost or silent after it was sent; it may have been executed, once at most.
 */
export type RedisFailure = 'not_sent' | 'refused' | 'unknown';

export function redisFailure(error: unknown): RedisFailure {
  if (isReplyError(error)) return 'refused';
  const isOffline = error instanceof Error && error.message.startsWith("Stream isn't writeable");
  return isOffline ? 'not_sent' : 'unknown';
}

/** Whether the server itself answered with this error. */
export function isReplyError(error: unknown): error is Error {
  return error instanceof Error && error.name === 'ReplyError';
}

/** One warning when a connection is lost and one line when it is back; the attempts between are debug lines. */
function logConnection(
  client: RedisClient,
  { log, purpose }: Pick<RedisClientOptions, 'purpose' | 'log'>,
  secrets: Options,
): void {
  /** Addresses of nodes; '' = the client as a whole. */
  const down = new Set<string>();
  const failed = (error: Error & { code?: string }, node = '') => {
    const fields = { purpose, node, code: error.code, problem: withoutSecrets(error.message, secrets) };
    if (down.has(node)) log.debug(fields, 'redis.connection_failed');
    else log.warn(fields, 'redis.connection_failed');
    if (down.size < MAX_KNOWN_DOWN) down.add(node);
  };
  const ready = (node = '') => {
    const afterFailure = down.delete(node);
    log.debug({ purpose, node, afterFailure }, 'redis.connected');
    if (afterFailure) log.info({ purpose, node }, 'redis.connection_recovered');
  };
  client.on('error', (error: Error) => failed(error));
  client.on('ready', () => ready());
  client.on('node error', failed);
  client.on('+node', (node: Redis) => node.on('ready', () => ready(`${node.options.host}:${node.options.port}`)));
}

function withoutSecrets(text: string, { password, sentinelPassword }: Options): string {
  let shown = text;
  for (const secret of [password, sentinelPassword]) if (secret) shown = shown.replaceAll(secret, '***');
  return shown;
}
