import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { z } from 'zod';
import { PilotlightError } from '../../../core/errors.ts';

/** What `pilotlight serve` tells whoever started it over an IPC channel. */
const serveMessage = z.discriminatedUnion('type', [
  z.object({ type: z.literal('progress'), sentence: z.string() }),
  z.object({
    type: z.literal('ready'),
    apiUrl: z.string(),
    adminUrl: z.string(),
    redisSource: z.string(),
    pid: z.number(),
  }),
  z.object({ type: z.literal('failed'), message: z.string() }),
]);

export interface ServeAddress {
  readonly apiUrl: string;
  readonly adminUrl: string;
  readonly redisSource: string;
  readonly pid: number;
}

export interface ServeCommand {
  /** Program and arguments, `serve` included. */
  readonly words: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Its output goes there, appended. */
  readonly logPath: string;
}

export interface ServeListener {
  progress(sentence: string): void;
  ready(address: ServeAddress, deaths: number): void;
  /** It ended though nobody asked it to; it is being started again. */
  died(how: string): void;
}

/** Fetching a Redis on a slow network is the longest of it. */
const READY_WITHIN_MS = 10 * 60_000;
const STOP_WITHIN_MS = 60_000;
/** In one run; a process that dies more often has a fault that another start does not mend. */
const MAX_DEATHS = 10;

/**
 * `pilotlight serve` as a child that is started again when it dies.
 *
 * | state    | leaves by                                                                                    |
 * | -------- | -------------------------------------------------------------------------------------------- |
 * | starting | ready → up; exit or silence → starting again; the first start, or too many deaths → failed    |
 * | up       | exit → starting again, on the same ports; stop → stopping                                     |
 * | stopping | exit → stopped; too slow → killed, then stopped                                               |
 * | stopped, failed | –                                                                                     |
 */
export class ServeProcess {
  readonly #command: ServeCommand;
  readonly #listener: ServeListener;
  #child: ChildProcess | null = null;
  #exited: Promise<void> = Promise.resolve();
  /** Settled = ready, or failed for good. */
  #ready = pending<ServeAddress>();
  /** Of the last one that was ready: the next one gets the same ports, so that printed addresses stay right. */
  #lastAddress: ServeAddress | null = null;
  #isUp = false;
  /** What the child said before it ended. */
  #failure: string | null = null;
  #deaths = 0;
  #isStopping = false;

  constructor(command: ServeCommand, listener: ServeListener) {
    this.#command = command;
    this.#listener = listener;
  }

  /** Times that it ended though nobody had asked it to. */
  get deaths(): number {
    return this.#deaths;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** Starts it. Resolves when it is ready, rejects with a PilotlightError that says why it cannot start. */
  start(signal: AbortSignal): Promise<ServeAddress> {
    this.#spawn();
    return this.address(signal);
  }

  /** Where it listens, as soon as it is ready. Rejects when it cannot be started, or with the signal's reason. */
  async address(signal: AbortSignal): Promise<ServeAddress> {
    signal.throwIfAborted();
    const aborted = pending<never>();
    const onAbort = () => aborted.reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await Promise.race([this.#ready.promise, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends it as a crash would: SIGKILL. Unless it is being stopped, it is started again. */
  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  /** Ends it in good order. Resolves with false when it had to be killed. */
  async stop(): Promise<boolean> {
    this.#isStopping = true;
    this.#child?.kill('SIGTERM');
    let inTime = true;
    const limit = setTimeout(() => {
      inTime = false;
      this.kill();
    }, STOP_WITHIN_MS);
    await this.#exited;
    clearTimeout(limit);
    return inTime;
  }

  #spawn(): void {
    const { words, environment, logPath } = this.#command;
    const [program = '', ...args] = [...words, ...portFlags(this.#lastAddress)];
    const log = openSync(logPath, 'a', 0o600);
    const child = spawn(program, args, {
      env: { ...environment, PILOTLIGHT_EXIT_WITH_PARENT: '1' },
      // A session of its own: the terminal's Ctrl-C reaches the demo alone, which then stops everything in order.
      detached: true,
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    this.#child = child;
    this.#failure = null;
    this.#exited = this.#watch(child);
  }

  async #watch(child: ChildProcess): Promise<void> {
    const silence = setTimeout(() => child.kill('SIGKILL'), READY_WITHIN_MS);
    child.on('message', (received) => {
      const { data: told } = serveMessage.safeParse(received);
      if (told?.type === 'progress') this.#listener.progress(told.sentence);
      if (told?.type === 'failed') this.#failure = told.message;
      if (told?.type !== 'ready') return;
      clearTimeout(silence);
      this.#isUp = true;
      this.#lastAddress = told;
      this.#listener.ready(told, this.#deaths);
      this.#ready.resolve(told);
    });
    const how = await new Promise<string>((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code ?? 'unknown'}`));
    });
    clearTimeout(silence);
    this.#child = null;
    this.#onEnd(this.#failure ?? how);
  }

  #onEnd(how: string): void {
    if (this.#isUp) this.#ready = pending();
    this.#isUp = false;
    if (this.#isStopping || this.#lastAddress === null || this.#deaths >= MAX_DEATHS) {
      const message = `the serving process ended: ${how} (its log: ${this.#command.logPath})`;
      this.#ready.reject(new PilotlightError('internal_error', message));
      return;
    }
    this.#deaths += 1;
    this.#listener.died(how);
    this.#spawn();
  }
}

/** A promise to be settled from outside, whose rejection nobody has to hear. */
function pending<T>(): PromiseWithResolvers<T> {
  const promise = Promise.withResolvers<T>();
  promise.promise.catch(() => undefined);
  return promise;
}

function portFlags(address: ServeAddress | null): readonly string[] {
  if (address === null) return [];
  return ['--port', new URL(address.apiUrl).port, '--admin-port', new URL(address.adminUrl).port];
}
