import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { StatusReport } from '../../src/core/status.ts';
import { type ResolvedRedis, resolveRedis } from '../../src/platform/local-redis/resolve.ts';
import type { ServeMessage } from '../../src/roles/announcer.ts';
import type { CpuUs } from './child.ts';
import { type BenchPool, objectsYaml } from './objects-yaml.ts';

/** Of this checkout. */
export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const MODEL_SERVER = fileURLToPath(new URL('./model-server.ts', import.meta.url));
const READY_WITHIN_MS = 60_000;
const REDIS_WITHIN_MS = 5 * 60_000;
const POLL_MS = 20;

export interface StageOptions {
  /** src/main.ts of the checkout that is measured. */
  readonly main: string;
  /** Their commands are filled in here. */
  readonly pools: readonly Omit<BenchPool, 'command'>[];
  readonly redisUrl: string | undefined;
  /** For the Node that runs `pilotlight serve`, e.g. --cpu-prof. */
  readonly nodeFlags: readonly string[];
  /** More of pilotlight's own flags. */
  readonly serveFlags?: readonly string[];
  /** More flags of the model servers. */
  readonly modelServerFlags?: readonly string[];
}

/** A Redis, `pilotlight serve` on it and the folder of both, for one run of a bench; all on loopback. */
export class Stage {
  readonly folder: string;
  readonly redis: ResolvedRedis;
  readonly apiUrl: string;
  readonly adminUrl: string;
  readonly #serve: ChildProcess;

  private constructor(folder: string, redis: ResolvedRedis, serve: ChildProcess, urls: ServeUrls) {
    this.folder = folder;
    this.redis = redis;
    this.#serve = serve;
    this.apiUrl = urls.apiUrl;
    this.adminUrl = urls.adminUrl;
  }

  static async open(options: StageOptions): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'pilotlight-bench-'));
    const redis = await resolveRedis(
      {
        url: options.redisUrl,
        dataDir: join(folder, 'redis'),
        persistence: 'aof',
        lifetime: 'with-process',
        onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
      },
      AbortSignal.timeout(REDIS_WITHIN_MS),
    );
    const pools = options.pools.map((pool) => ({
      ...pool,
      command: [...modelServerCommand(folder, pool.name), ...(options.modelServerFlags ?? [])],
    }));
    const file = join(folder, 'objects.yaml');
    await writeFile(file, objectsYaml(pools));
    const serve = spawnServe(folder, file, redis.url, options);
    const urls = await readyUrls(serve, join(folder, 'serve.log'));
    return new Stage(folder, redis, serve, urls);
  }

  /** Address of a pool's model server, once it listens; of the newest replica. */
  async modelServer(pool: string): Promise<string> {
    const deadlineMs = performance.now() + READY_WITHIN_MS;
    for (;;) {
      const text = await readFile(announceFile(this.folder, pool), 'utf8').catch(() => '');
      if (text !== '') return text;
      if (performance.now() > deadlineMs) throw new Error(`no model server of ${pool} came up (see ${this.folder})`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async status(): Promise<StatusReport> {
    return (await (await fetch(`${this.adminUrl}/status`)).json()) as StatusReport;
  }

  /** Of `pilotlight serve`. */
  get pid(): number {
    if (this.#serve.pid === undefined) throw new Error('pilotlight serve has no process');
    return this.#serve.pid;
  }

  /** CPU time of the `pilotlight serve` process, as it tells itself. */
  async serveCpu(): Promise<CpuUs> {
    const text = await (await fetch(`${this.adminUrl}/metrics`)).text();
    const seconds = /^process_cpu_seconds_total ([\d.e+-]+)/m.exec(text)?.[1];
    if (seconds === undefined) throw new Error('/metrics has no process_cpu_seconds_total');
    return { cpuUs: Number(seconds) * 1e6 };
  }

  async close(): Promise<void> {
    if (this.#serve.exitCode === null && this.#serve.signalCode === null) {
      const exited = once(this.#serve, 'exit');
      this.#serve.kill('SIGTERM');
      await exited;
    }
    await this.redis.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function announceFile(folder: string, pool: string): string {
  return join(folder, `${pool}.json`);
}

function modelServerCommand(folder: string, pool: string): readonly string[] {
  return [process.execPath, MODEL_SERVER, '--port={port}', `--announce=${announceFile(folder, pool)}`];
}

function spawnServe(folder: string, file: string, redisUrl: string, options: StageOptions): ChildProcess {
  const log = openSync(join(folder, 'serve.log'), 'a');
  const flags = ['--port', '0', '--set', 'admin.port=0', ...(options.serveFlags ?? [])];
  const serve = spawn(process.execPath, [...options.nodeFlags, options.main, 'serve', '-f', file, ...flags], {
    stdio: ['ignore', log, log, 'ipc'],
    env: {
      ...process.env,
      NODE_ENV: 'production',
      PILOTLIGHT_EXIT_WITH_PARENT: '1',
      PILOTLIGHT_DATA_DIR: join(folder, 'data'),
      PILOTLIGHT_REDIS_URL: redisUrl,
    },
  });
  closeSync(log);
  return serve;
}

interface ServeUrls {
  readonly apiUrl: string;
  readonly adminUrl: string;
}

async function readyUrls(serve: ChildProcess, logPath: string): Promise<ServeUrls> {
  const told = Promise.withResolvers<ServeUrls>();
  const refuse = (why: string): void => told.reject(new Error(`pilotlight serve ${why} (see ${logPath})`));
  const timer = setTimeout(() => refuse('was not ready in time'), READY_WITHIN_MS);
  serve.on('message', (received) => {
    const message = received as ServeMessage;
    if (message.type === 'ready') told.resolve(message);
    if (message.type === 'failed') refuse(`did not start: ${message.message}`);
  });
  serve.once('exit', () => refuse('ended'));
  try {
    return await told.promise;
  } finally {
    clearTimeout(timer);
  }
}
