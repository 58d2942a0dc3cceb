import { createConnection, type Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { AbstractConnector } from 'ioredis';
import type { RedisAddress } from './target.ts';

const DISCONNECT_TIMEOUT_MS = 2_000;

/**
 * How a plain client reaches whichever node of a cluster answers: each attempt goes to the next one. Channels that are
 * not sharded are heard at every node.
 */
export function anyNodeConnector(nodes: readonly RedisAddress[], tls: ConnectionOptions | null) {
  let next = Math.floor(Math.random() * nodes.length);
  return class AnyNodeConnector extends AbstractConnector {
    constructor() {
      super(DISCONNECT_TIMEOUT_MS);
    }

    connect(): Promise<Socket | TLSSocket> {
      const node = nodes[next % nodes.length];
      if (node === undefined) return Promise.reject(new Error('no node of the cluster is named'));
      const { host, port } = node;
      next += 1;
      this.connecting = true;
      const stream = tls === null ? createConnection({ host, port }) : connect({ ...tls, host, port });
      this.stream = stream;
      stream.once('error', (error: Error) => {
        this.firstError = error;
      });
      return Promise.resolve(stream);
    }
  };
}
