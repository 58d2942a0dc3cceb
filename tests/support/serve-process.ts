import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { StatusReport } from '../../src/core/status.ts';
import type { ServeMessage } from '../../src/roles/announcer.ts';
import { commandLine, descendants } from './processes.ts';
import { type DedicatedRedis, startDedicatedRedis } from './redis.ts';
import { until } from './until.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const START_DEADLINE_MS = 60_000;

/** A `pilotlight serve` process with a data folder and a Redis that outlive it, started again as often as a test wants. */
export class ServeProcess {
  readonly folder: string;
  /** Its Redis, which a test may kill and restart. */
  readonly redis: DedicatedRedis;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #main: string;
  readonly #file: string;
  #child: ChildProcess | null = null;
  #ready: Extract<ServeMessage, { type: 'ready' }> | null = null;

  constructor(
    folder: string,
    redis: DedicatedRedis,
    environment: Readonly<Record<string, string>> = {},
    tree?: string,
  ) {
    this.folder = folder;
    this.redis = redis;
    this.#environment = environment;
    this.#main = tree === undefined ? MAIN : join(tree, 'src', 'main.ts');
    this.#file = join(folder, 'objects.yaml');
  }

  get apiUrl(): string {
    return this.#told().apiUrl;
  }

  get adminUrl(): string {
    return this.#told().adminUrl;
  }

  get pid(): number {
    return this.#told().pid;
  }

  /** Starts it on the ports that it had before, if it ran before. */
  async start(): Promise<void> {
    const ports = this.#ready
      ? ['--port', new URL(this.#ready.apiUrl).port, '--set', `admin.port=${new URL(this.#ready.adminUrl).port}`]
      : ['--port', '0', '--set', 'admin.port=0'];
    const child = this.#spawn(ports);
    const [message] = (await Promise.race([
      firstOf(child, 'ready', 'failed'),
      once(child, 'exit').then(() => [{ type: 'failed', message: 'it exited before it was ready' }]),
    ])) as [ServeMessage];
    if (message.type !== 'ready')
      throw new Error(`serve did not start: ${JSON.stringify(message)}\n${await this.log()}`);
    this.#ready = message;
  }

  /** Runs it to its end and tells how it ended, for starts that must fail. */
  async runToEnd(extra: readonly string[]): Promise<{ exitCode: number | null; output: string }> {
    const child = this.#spawn(extra);
    const [exitCode] = (await once(child, 'exit')) as [number | null];
    return { exitCode, output: await this.log() };
  }

  /** SIGKILL, as the kernel's out-of-memory killer would. Returns when it is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM; returns the exit code once everything has stopped. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async status(): Promise<StatusReport> {
    return (await (await fetch(`${this.#told().adminUrl}/status`)).json()) as StatusReport;
  }

  /** What the admin listener answers, as JSON. */
  async admin(method: 'GET' | 'POST', path: string): Promise<unknown> {
    const answer = await fetch(`${this.#told().adminUrl}${path}`, { method });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  /** The only pool. */
  async pool(): Promise<StatusReport['pools'][number]> {
    const [pool] = (await this.status()).pools;
    if (!pool) throw new Error('the status has no pool');
    return pool;
  }

  async untilPool(what: string, holds: (pool: StatusReport['pools'][number]) => boolean, deadlineMs?: number) {
    await until(async () => holds(await this.pool()), what, deadlineMs);
  }

  /** The simulators it runs, their shims left out. */
  async modelServerPids(): Promise<number[]> {
    const pids = await this.childPids();
    const commands = await Promise.all(pids.map(commandLine));
    return pids.filter((_, index) => /^\S*node\S* .* model-sim /.test(commands[index] ?? ''));
  }

  /** Everything that it started, at this moment. */
  childPids(): Promise<number[]> {
    return descendants(this.pid);
  }

  async log(): Promise<string> {
    return readFile(join(this.folder, 'serve.log'), 'utf8').catch(() => '');
  }

  async writeObjects(yaml: string): Promise<void> {
    await writeFile(this.#file, yaml);
  }

  #spawn(extra: readonly string[]): ChildProcess {
    const child = spawn(process.execPath, [this.#main, 'serve', '-f', this.#file, ...extra], {
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      env: {
        ...process.env,
        PILOTLIGHT_EXIT_WITH_PARENT: '1',
        PILOTLIGHT_DATA_DIR: join(this.folder, 'data'),
        PILOTLIGHT_REDIS_URL: this.redis.url,
        ...this.#environment,
      },
    });
    const log = createWriteStream(join(this.folder, 'serve.log'), { flags: 'a' });
    child.stdout?.pipe(log, { end: false });
    child.stderr?.pipe(log, { end: false });
    this.#child = child;
    return child;
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return null;
    const ended = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    return (await ended)[0];
  }

  #told(): Extract<ServeMessage, { type: 'ready' }> {
    if (!this.#ready) throw new Error('serve was not started');
    return this.#ready;
  }
}

export interface PrepareOptions {
  /** Registers the clean-up: the end of the test, unless a hook passes `afterAll`. */
  readonly atEnd?: (cleanUp: () => Promise<void>) => void;
  /** Variables on top: PILOTLIGHT_REDIS_URL '' leaves its Redis alone. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Root of another checkout, whose program runs. */
  readonly tree?: string | undefined;
}

/** Prepares a serve process in a folder of its own; it is stopped, and the folder removed, when the test ends. */
export async function prepareServe(
  yaml: string,
  { atEnd = onTestFinished, environment, tree }: PrepareOptions = {},
): Promise<ServeProcess> {
  const folder = await mkdtemp(join(tmpdir(), 'pilotlight-serve-'));
  const serve = new ServeProcess(folder, await startDedicatedRedis({ atEnd }), environment, tree);
  await serve.writeObjects(yaml);
  atEnd(async () => {
    await serve.stop();
    await rm(folder, { recursive: true, force: true });
  });
  return serve;
}

function firstOf(child: ChildProcess, ...types: ServeMessage['type'][]): Promise<[ServeMessage]> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`serve told nothing for ${START_DEADLINE_MS} ms`)),
      START_DEADLINE_MS,
    );
    child.on('message', (message) => {
      if (!types.includes((message as ServeMessage).type)) return;
      clearTimeout(timer);
      resolve([message as ServeMessage]);
    });
  });
}
