import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { Script, Step } from './model-server-script.ts';

export interface ScriptedServer {
  readonly url: string;
  /** Calls that arrived, their bodies. */
  readonly bodies: readonly string[];
  /** Connections that are open now. */
  readonly connections: number;
  close(): Promise<void>;
}

/** A real server on loopback that plays one script per call, the last one for all further calls. Raw TCP, so that it can
 *  break every rule of HTTP. */
export async function scriptedHttpServer(...scripts: readonly Script[]): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  const bodies: string[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => undefined);
    let received = '';
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
      for (let call = takeCall(received); call; call = takeCall(received)) {
        received = call.rest;
        const script = scripts[Math.min(bodies.length, scripts.length - 1)] ?? [];
        bodies.push(call.body);
        void play(socket, script === 'refuse' ? [{ do: 'reset' }] : script);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  };
  if (scripts[0] === 'refuse') await close();
  return {
    url: `http://127.0.0.1:${port}`,
    bodies,
    get connections() {
      return sockets.size;
    },
    close,
  };
}

function takeCall(received: string): { body: string; rest: string } | null {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return null;
  const length = Number(/content-length: (\d+)/iu.exec(received.slice(0, headEnd))?.[1] ?? 0);
  const end = headEnd + 4 + length;
  return received.length < end ? null : { body: received.slice(headEnd + 4, end), rest: received.slice(end) };
}

async function play(socket: Socket, script: readonly Step[]): Promise<void> {
  for (const step of script) {
    if (socket.destroyed) return;
    await new Promise<void>((resolve) => write(socket, step, resolve));
  }
}

function write(socket: Socket, step: Step, then: () => void): void {
  switch (step.do) {
    case 'head': {
      const headers = Object.entries(step.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 ${step.status} X\r\n${headers.join('')}transfer-encoding: chunked\r\n\r\n`, () => then());
      return;
    }
    case 'send': {
      const bytes = Buffer.from(step.bytes);
      if (bytes.length === 0) {
        then();
        return;
      }
      socket.write(`${bytes.length.toString(16)}\r\n`);
      socket.write(bytes);
      // A turn apart, so that steps arrive as chunks of their own.
      socket.write('\r\n', () => setTimeout(then, 2));
      return;
    }
    case 'end':
      socket.write('0\r\n\r\n', () => then());
      return;
    case 'reset':
      socket.resetAndDestroy();
      {
        then();
        return;
      }
    case 'garbage':
      socket.write('zzz this is no chunk size\r\n\r\n', () => then());
      return;
    case 'hang':
      return;
  }
}
