import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy that can be told to misbehave, between a client and a server that do not know of it. */
export interface TcpProxy {
  port: number;
  /** What the server has answered and nobody heard. */
  readonly swallowedBytes: number;
  /** From now on nothing that the server answers reaches the client. */
  swallowReplies(): void;
  /** Cuts every connection; new ones work as at the start. */
  cut(): void;
  /** Cuts every connection and accepts none until `cut` is called. */
  refuse(): void;
  close(): Promise<void>;
}

export async function startTcpProxy(targetPort: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  let swallows = false;
  let swallowedBytes = 0;
  let refuses = false;
  const server = createServer((client) => {
    if (refuses) {
      client.destroy();
      return;
    }
    const upstream = connect(targetPort, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.pipe(upstream);
    upstream.on('data', (chunk) => {
      if (swallows) swallowedBytes += chunk.byteLength;
      else client.write(chunk);
    });
  });
  const cutAll = () => {
    for (const socket of sockets) socket.destroy();
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    get swallowedBytes() {
      return swallowedBytes;
    },
    swallowReplies() {
      swallows = true;
    },
    cut() {
      swallows = false;
      refuses = false;
      cutAll();
    },
    refuse() {
      refuses = true;
      cutAll();
    },
    async close() {
      cutAll();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
