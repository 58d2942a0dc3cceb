import { createServer, type Server, Socket } from 'node:net';
import type { AddressInfo } from 'node:net';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** Which way nothing passes. What is sent meanwhile arrives late, as over a network that comes back. */
export type Hole = 'none' | 'to_server' | 'to_client' | 'both';

/** A TCP connection between two others that can be cut, stopped one way, slowed down, or led elsewhere. */
export class TcpProxy {
  readonly address: Address;
  delayMs = 0;
  #target: Address;
  #hole: Hole = 'none';
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();

  private constructor(server: Server, target: Address) {
    this.#server = server;
    this.#target = target;
    const { address, port } = server.address() as AddressInfo;
    this.address = { host: address, port };
    server.on('connection', (client: Socket) => this.#join(client));
  }

  /** Port 0: any free one. */
  static async open(target: Address, listen: Address = { host: '127.0.0.1', port: 0 }): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: false, pauseOnConnect: true });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(listen.port, listen.host, resolve);
    });
    return new TcpProxy(server, target);
  }

  get target(): Address {
    return this.#target;
  }

  /** New connections lead there; those that are open to another place are cut. */
  retarget(target: Address): void {
    if (target.host === this.#target.host && target.port === this.#target.port) return;
    this.#target = target;
    this.cut();
  }

  /** Both sides of every connection see it closed. */
  cut(): void {
    for (const pair of [...this.#pairs]) pair.cut();
  }

  hole(hole: Hole): void {
    this.#hole = hole;
    for (const pair of this.#pairs) pair.hole(hole);
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket): void {
    const pair = new Pair(client, this.#target, {
      delayMs: () => this.delayMs,
      onGone: () => this.#pairs.delete(pair),
    });
    this.#pairs.add(pair);
    pair.hole(this.#hole);
  }
}

interface PairOptions {
  readonly delayMs: () => number;
  readonly onGone: () => void;
}

class Pair {
  readonly #lanes: { readonly toServer: Lane; readonly toClient: Lane };
  readonly #sockets: readonly Socket[];

  constructor(client: Socket, target: Address, { delayMs, onGone }: PairOptions) {
    const server = new Socket();
    server.pause();
    server.connect(target.port, target.host);
    for (const socket of [client, server]) socket.setNoDelay(true);
    this.#sockets = [client, server];
    this.#lanes = { toServer: new Lane(client, server, delayMs), toClient: new Lane(server, client, delayMs) };
    let open = 2;
    for (const socket of this.#sockets) {
      socket.once('close', () => {
        open -= 1;
        if (open === 0) onGone();
      });
    }
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  hole(hole: Hole): void {
    this.#lanes.toServer.hold(hole === 'to_server' || hole === 'both');
    this.#lanes.toClient.hold(hole === 'to_client' || hole === 'both');
  }
}

/** One direction. While it is held nothing is read, so the sender fills its buffers; its end is not told either. */
class Lane {
  readonly #from: Socket;
  readonly #to: Socket;
  #isHeld = false;
  #isOver = false;
  #lastDueMs = 0;
  readonly #late: (() => void)[] = [];

  constructor(from: Socket, to: Socket, delayMs: () => number) {
    this.#from = from;
    this.#to = to;
    from.on('error', () => undefined);
    from.on('data', (chunk: Buffer) => this.#pass(delayMs(), () => this.#write(chunk)));
    to.on('drain', () => {
      if (!this.#isHeld) from.resume();
    });
    from.once('close', () => {
      this.#isOver = true;
      if (!this.#isHeld) this.#pass(delayMs(), () => to.destroySoon());
    });
  }

  hold(isHeld: boolean): void {
    this.#isHeld = isHeld;
    if (isHeld) this.#from.pause();
    else if (this.#isOver) this.#pass(0, () => this.#to.destroySoon());
    else this.#from.resume();
  }

  #write(chunk: Buffer): void {
    if (!this.#to.destroyed && !this.#to.write(chunk)) this.#from.pause();
  }

  /** In order, however the delay changes and however late timers are: what is due takes whatever waits longest. */
  #pass(delayMs: number, then: () => void): void {
    if (delayMs === 0 && this.#late.length === 0) {
      then();
      return;
    }
    const nowMs = performance.now();
    this.#lastDueMs = Math.max(this.#lastDueMs, nowMs + delayMs);
    this.#late.push(then);
    setTimeout(() => this.#late.shift()?.(), this.#lastDueMs - nowMs);
  }
}
