import { Redis, type RedisOptions } from 'ioredis';
import type { Logger } from '../../core/logger.ts';

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

export interface RedisClientOptions {
  /** redis:// or rediss://, with user, password and database where needed (see parseRedisUrl). */
  url: string;
  purpose: RedisPurpose;
  log: Logger;
}

/** A client that connects in the background and reconnects for ever. Never throws on connection trouble: it is logged. */
export function createRedis(options: RedisClientOptions): Redis {
  const client = new Redis(options.url, {
    ...BY_PURPOSE[options.purpose],
    connectionName: `pilotlight-${options.purpose}`,
    connectTimeout: CONNECT_TIMEOUT_MS,
    retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, MAX_RECONNECT_DELAY_MS) * (0.75 + Math.random() / 2),
    // After a managed fail-over the old primary stays reachable, read-only: a new connection finds the new one.
    reconnectOnError: (error) => error.message.includes('READONLY'),
  });
  if (options.purpose === 'subscriber') outliveLostRenewals(client);
  logConnection(client, options);
  return client;
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
export async function whenReady(client: Redis, timeoutMs: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  if (client.status === 'ready') return;
  const deadline = AbortSignal.timeout(timeoutMs);
  let lastError = new Error(`Redis did not answer within ${timeoutMs} ms`);
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const onReady = () => resolve(undefined);
  const onEnd = () => reject(new Error('the Redis client was closed'));
  const onError = (error: Error) => {
    lastError = error;
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

/** One warning when the connection is lost and one line when it is back; the attempts between are debug lines. */
function logConnection(client: Redis, { log, purpose }: RedisClientOptions): void {
  let isDown = false;
  client.on('error', (error: Error & { code?: string }) => {
    const fields = { purpose, code: error.code, problem: withoutSecrets(error.message, client.options) };
    if (isDown) log.debug(fields, 'redis.connection_failed');
    else log.warn(fields, 'redis.connection_failed');
    isDown = true;
  });
  client.on('ready', () => {
    log.debug({ purpose, afterFailure: isDown }, 'redis.connected');
    if (isDown) log.info({ purpose }, 'redis.connection_recovered');
    isDown = false;
  });
}

function withoutSecrets(text: string, { password }: RedisOptions): string {
  return password ? text.replaceAll(password, '***') : text;
}
