import type { RedisClient } from '../../../platform/redis/connection.ts';
import { type BackendFactory, QueueKeys, RedisConnection, RedisQueueBackend } from 'bullmq';
import type { Wake } from './wake.ts';

/** A Worker of an idle queue looks at it this often, whatever it was told. */
const IDLE_TICK_MS = 250;
/** After a failed fetch; without it a Worker would ask a lost Redis as fast as it can. */
const FETCH_RETRY_MS = 250;

/** What a Worker's fetches obey. */
export interface FetchGate {
  readonly isOpen: boolean;
  readonly wake: Wake;
}

type BackendOptions = ConstructorParameters<typeof RedisQueueBackend>[4] & { readonly prefix?: string };

/**
 * The BullMQ backend over the process's one command connection. It differs from BullMQ's own in three ways:
 * - waiting for work means sleeping on our wake signal, not BZPOPMIN on a connection per Worker;
 * - while the gate is closed nothing is fetched (BullMQ's `pause(true)` lets a blocked Worker claim one more);
 * - a failed fetch waits before it is reported.
 */
class SharedBackend extends RedisQueueBackend {
  readonly #gate: FetchGate;

  constructor(connection: RedisConnection, gate: FetchGate, name: string, opts: BackendOptions) {
    const keys = new QueueKeys(opts.prefix);
    super(connection, name, keys.getKeys(name), (type) => keys.toKey(name, type), opts, undefined, false);
    this.#gate = gate;
  }

  override async moveToActive(token: string, name?: string): Promise<never[]> {
    const nothing: never[] = [];
    if (!this.#gate.isOpen) return nothing;
    try {
      return (await super.moveToActive(token, name)) as never[];
    } catch (error) {
      await new Promise((resolve) => setTimeout(resolve, FETCH_RETRY_MS));
      throw error;
    }
  }

  override async waitForJob(timeoutS: number): Promise<null> {
    await this.#gate.wake.sleep(Math.min(timeoutS * 1_000, IDLE_TICK_MS));
    return null;
  }

  /** Ends a wait: a closing Worker would else sit it out. */
  override disconnectBlocking(): Promise<void> {
    this.#gate.wake.fire();
    return Promise.resolve();
  }
}

/** A connection that all queues and Workers of this process share. Rejects when Redis is lost before it has answered once. */
export async function shareConnection(client: RedisClient): Promise<RedisConnection> {
  const connection = new RedisConnection(client, { shared: true, blocking: false, skipVersionCheck: true });
  // Connection errors are the client's to report; without a listener they would be thrown.
  connection.on('error', () => undefined);
  await connection.client;
  return connection;
}

export function backendOver(connection: RedisConnection, gate: FetchGate): BackendFactory<RedisQueueBackend> {
  return (name, opts) => new SharedBackend(connection, gate, name, opts);
}
