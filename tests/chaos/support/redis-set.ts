import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { takeFreePort } from '../../../src/autoscaler/adapters/process-target/free-port.ts';
import { type ServerProgram, serverEnvironment } from '../../../src/platform/local-redis/binary.ts';
import { cacheFolders } from '../../../src/platform/local-redis/cache-folders.ts';
import { findServer } from '../../../src/platform/local-redis/find-server.ts';
import { until } from '../../support/until.ts';
import { ServerProcess } from './server-process.ts';
import { type Hole, TcpProxy } from './tcp-proxy.ts';

const HOST = '127.0.0.1';
const NAME = 'chaos';
const SENTINELS = 3;
const DOWN_AFTER_MS = 1_500;
const FOUND_WITHIN_MS = 60_000;
const READY_WITHIN_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** Nothing listens there. */
const NOWHERE = 1;
/** So long the sentinels may take to tell a primary of before that it is none any more. */
const DEMOTED_WITHIN_MS = 15_000;

/**
 * How clients find the primary. `address`: one address that leads to whomever the sentinels name, without the sentinels or the
 * replication going that way, so that a fault of it is one of the clients' network. `sentinels`: clients ask the sentinels;
 * each data server is reached through a proxy by everybody, so that a fault of it cuts a data server off: a split brain, which
 * min-replicas-to-write bounds.
 */
export type Access = 'address' | 'sentinels';

interface Node {
  readonly port: number;
  readonly process: ServerProcess;
  /** What others call it by. */
  readonly front: TcpProxy;
}

/** A primary and its replica, both with an append-only file, and three sentinels. Replication is asynchronous. */
export class RedisSet {
  readonly access: Access;
  /** Leads to the primary. */
  readonly #front: TcpProxy;
  readonly #nodes: readonly [Node, Node];
  readonly #sentinels: readonly Sentinel[];
  readonly #looking: NodeJS.Timeout;
  #failovers = 0;

  private constructor(access: Access, nodes: readonly [Node, Node], sentinels: readonly Sentinel[], front: TcpProxy) {
    this.access = access;
    this.#nodes = nodes;
    this.#sentinels = sentinels;
    this.#front = front;
    let isLooking = false;
    this.#looking = setInterval(() => {
      if (isLooking) return;
      isLooking = true;
      void this.#follow().finally(() => {
        isLooking = false;
      });
    }, LOOK_EVERY_MS);
  }

  static async start(folder: string, access: Access = 'address'): Promise<RedisSet> {
    const program = await findProgram(folder);
    const taken = new Set<number>();
    const nodeOf = async (primary: Node | null): Promise<Node> => {
      const port = await takeFreePort(HOST, taken);
      const front = await TcpProxy.open(at(port));
      const own = { port, announced: access === 'address' ? port : front.address.port };
      const process = await dataServer(program, folder, {
        ...own,
        access,
        replicaOf: primary && addressOf(primary, access),
      });
      return { port, front, process };
    };
    const first = await nodeOf(null);
    const nodes = [first, await nodeOf(first)] as const;
    for (const { process } of nodes) process.start();
    await Promise.all(nodes.map(({ port }) => untilAnswers(port)));
    const sentinels: Sentinel[] = [];
    for (let count = 0; count < SENTINELS; count += 1) {
      sentinels.push(await Sentinel.open(program, folder, await takeFreePort(HOST, taken), addressOf(first, access)));
    }
    for (const { process } of sentinels) process.start();
    const set = new RedisSet(access, nodes, sentinels, await TcpProxy.open(at(first.port)));
    await set.untilWhole();
    return set;
  }

  /** Section `redis` of a Configuration. */
  get settings(): Readonly<Record<string, unknown>> {
    if (this.access === 'address') return { url: this.url };
    return { sentinel: { nodes: this.#sentinels.map(({ port }) => `${HOST}:${port}`), masterName: NAME } };
  }

  /** Leads to the primary, whatever the access. */
  get url(): string {
    return `redis://${HOST}:${this.#front.address.port}/0`;
  }

  /** The clients' way to the primary, or everybody's. */
  cut(): void {
    this.#way.cut();
  }

  /** That way; "none": every way. */
  hole(hole: Hole): void {
    for (const { front } of hole === 'none' ? this.#nodes : []) front.hole('none');
    (hole === 'none' ? this.#front : this.#way).hole(hole);
  }

  delay(delayMs: number): void {
    this.#way.delayMs = delayMs;
  }

  get #way(): TcpProxy {
    return this.access === 'address' ? this.#front : this.primary.front;
  }

  /** How often the sentinels have named another primary. */
  get failovers(): number {
    return this.#failovers;
  }

  get primary(): Node {
    return this.#nodes.find(({ port }) => port === this.#front.target.port) ?? this.#nodes[0];
  }

  get replica(): Node {
    return this.#nodes.find(({ port }) => port !== this.#front.target.port) ?? this.#nodes[1];
  }

  sentinel(index: number): ServerProcess {
    return (this.#sentinels[index] as Sentinel).process;
  }

  get sentinels(): number {
    return this.#sentinels.length;
  }

  /** The replica hears nothing more from the primary, so it stays behind. */
  async holdReplication(): Promise<void> {
    await ask(this.replica.port, 'REPLICAOF', HOST, `${NOWHERE}`);
  }

  /**
   * Both data servers run and replicate, and every sentinel knows all others. Starts what does not run. `demotion`: who tells a
   * primary of before that it is none any more: we, as what starts it in a cluster does, or the sentinels in their own time.
   */
  async untilWhole(demotion: 'ours' | 'of sentinels' = 'ours'): Promise<void> {
    this.hole('none');
    for (const front of [this.#front, ...this.#nodes.map((node) => node.front)]) front.delayMs = 0;
    for (const { process } of [...this.#nodes, ...this.#sentinels]) {
      process.resume();
      process.start();
    }
    const beganMs = performance.now();
    const isWhole = () => this.#isWhole(demotion === 'ours' || performance.now() - beganMs > DEMOTED_WITHIN_MS);
    await until(isWhole, 'primary, replica and sentinels know each other', READY_WITHIN_MS);
  }

  /** Waits until another primary than that one is named. */
  async untilOther(port: number): Promise<void> {
    await until(() => this.#front.target.port !== port, 'the sentinels have named another primary', READY_WITHIN_MS);
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    await Promise.all([...this.#sentinels, ...this.#nodes].map(({ process }) => process.kill()));
    for (const sentinel of this.#sentinels) sentinel.client.disconnect();
    await Promise.all([this.#front, ...this.#nodes.map(({ front }) => front)].map((front) => front.close()));
  }

  /** What most sentinels say counts. */
  async #follow(): Promise<void> {
    const told = await Promise.all(this.#sentinels.map((sentinel) => sentinel.primaryPort()));
    const port = told.find((one) => one !== null && told.filter((other) => other === one).length * 2 > SENTINELS);
    const node = this.#nodes.find((each) => addressOf(each, this.access) === port);
    if (node === undefined || node.port === this.#front.target.port) return;
    this.#failovers += 1;
    this.#front.retarget(at(node.port));
  }

  /** `mayTell`: the old primary is told by us, not by the sentinels. */
  async #isWhole(mayTell: boolean): Promise<boolean> {
    const [role, , replicas] = await ask(this.primary.port, 'ROLE').catch(() => [null, null, null] as const);
    const replica = await ask(this.replica.port, 'ROLE').catch(() => null);
    if (role !== 'master' || replica === null) return false;
    const primaryPort = addressOf(this.primary, this.access);
    // The sentinels tell it too, some ten seconds later.
    if (mayTell && (replica[0] !== 'slave' || replica[2] !== primaryPort))
      await ask(this.replica.port, 'REPLICAOF', HOST, `${primaryPort}`).catch(() => undefined);
    if (
      replica[0] !== 'slave' ||
      replica[2] !== primaryPort ||
      replica[3] !== 'connected' ||
      !Array.isArray(replicas) ||
      replicas.length !== 1
    )
      return false;
    return (await Promise.all(this.#sentinels.map((sentinel) => sentinel.knowsAll()))).every(Boolean);
  }
}

class Sentinel {
  readonly process: ServerProcess;
  readonly client: Redis;
  readonly port: number;

  private constructor(process: ServerProcess, port: number) {
    this.process = process;
    this.port = port;
    this.client = new Redis({ host: HOST, port, commandTimeout: 500, retryStrategy: () => 100, lazyConnect: true });
    this.client.on('error', () => undefined);
  }

  static async open(program: ServerProgram, folder: string, port: number, primary: number): Promise<Sentinel> {
    const config = [
      ...[`bind ${HOST}`, `port ${port}`, 'protected-mode no', `dir ${join(folder, `sentinel-${port}`)}`],
      `sentinel monitor ${NAME} ${HOST} ${primary} 2`,
      `sentinel down-after-milliseconds ${NAME} ${DOWN_AFTER_MS}`,
      `sentinel failover-timeout ${NAME} 6000`,
      `sentinel parallel-syncs ${NAME} 1`,
    ];
    return new Sentinel(await serverOf(program, folder, `sentinel-${port}`, config, ['--sentinel']), port);
  }

  async primaryPort(): Promise<number | null> {
    const answer = (await this.client.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', NAME).catch(() => null)) as
      | readonly [string, string]
      | null;
    return answer === null ? null : Number(answer[1]);
  }

  async knowsAll(): Promise<boolean> {
    const answer = (await this.client.call('SENTINEL', 'MASTER', NAME).catch(() => null)) as readonly string[] | null;
    if (answer === null) return false;
    const field = (name: string) => answer[answer.indexOf(name) + 1];
    return (
      field('num-slaves') === '1' && field('num-other-sentinels') === `${SENTINELS - 1}` && field('flags') === 'master'
    );
  }
}

interface DataServer {
  readonly port: number;
  /** That it tells others. */
  readonly announced: number;
  readonly access: Access;
  /** Port of the first primary. */
  readonly replicaOf: number | null;
}

async function dataServer(
  program: ServerProgram,
  folder: string,
  { port, announced, access, replicaOf }: DataServer,
): Promise<ServerProcess> {
  const config = [
    ...[`bind ${HOST}`, `port ${port}`, 'protected-mode no', 'save ""', 'appendonly yes', 'appendfsync everysec'],
    ...['maxmemory-policy noeviction', 'repl-diskless-sync yes', 'repl-diskless-sync-delay 0', 'repl-timeout 10'],
    ...[`replica-announce-ip ${HOST}`, `replica-announce-port ${announced}`, `dir ${join(folder, `redis-${port}`)}`],
    ...(access === 'address'
      ? []
      : ['min-replicas-to-write 1', 'min-replicas-max-lag 3', 'repl-ping-replica-period 1']),
    ...(replicaOf === null ? [] : [`replicaof ${HOST} ${replicaOf}`]),
  ];
  return serverOf(program, folder, `redis-${port}`, config, []);
}

/** The port that others call it by. */
function addressOf({ port, front }: Node, access: Access): number {
  return access === 'address' ? port : front.address.port;
}

async function serverOf(
  program: ServerProgram,
  folder: string,
  name: string,
  config: readonly string[],
  args: readonly string[],
): Promise<ServerProcess> {
  await mkdir(join(folder, name), { recursive: true });
  const file = join(folder, `${name}.conf`);
  await writeFile(file, `${config.join('\n')}\n`);
  return new ServerProcess({
    command: [program.path, file, ...args],
    env: serverEnvironment(program.libraryFolders),
    cwd: folder,
    logFile: join(folder, `${name}.log`),
  });
}

async function findProgram(folder: string): Promise<ServerProgram> {
  const search = {
    previous: undefined,
    searchPath: process.env['PATH'] ?? '',
    caches: cacheFolders(folder, process.env),
  };
  const found = await findServer({ ...search, onProgress: () => undefined }, AbortSignal.timeout(FOUND_WITHIN_MS));
  if (found.kind === 'none') throw new Error(`no Redis could be had: ${found.problems.join('; ')}`);
  return found.binary;
}

async function ask(port: number, command: string, ...args: readonly string[]): Promise<readonly unknown[]> {
  const client = new Redis({ host: HOST, port, commandTimeout: 1_000, retryStrategy: null, lazyConnect: true });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return (await client.call(command, ...args)) as readonly unknown[];
  } finally {
    client.disconnect();
  }
}

async function untilAnswers(port: number): Promise<void> {
  const answers = () =>
    ask(port, 'ROLE').then(
      () => true,
      () => false,
    );
  await until(answers, `the server on port ${port} answers`, READY_WITHIN_MS);
}

function at(port: number) {
  return { host: HOST, port };
}
