import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { Random } from '../core/random.ts';
import { isAmongFirstBoots } from './adapters/boot-marks.ts';
import { CallJournal } from './adapters/call-journal.ts';
import { EngineLoop } from './adapters/engine-loop.ts';
import { simServer } from './adapters/http-server.ts';
import { OpenCalls } from './adapters/open-calls.ts';
import type { ModelSimOptions } from './options.ts';
import { AdapterRegistry } from './policy/adapter-registry.ts';
import { serverError } from './policy/api-error.ts';
import { Engine } from './policy/engine.ts';
import type { Faults } from './policy/faults.ts';
import type { Phase } from './policy/phases.ts';
import { sped } from './policy/time-model.ts';
import { VllmMetrics } from './policy/vllm-metrics.ts';
import type { SimState } from './sim-state.ts';

/** After the last answer, how long callers may take to read it. */
const FLUSH_MS = 1_000;
/** Between the death of the engine and the end of the process; vLLM takes "seconds". */
const DYING_MS = 2_000;

/** One line for each phase that the simulator enters. */
export interface PhaseLine {
  readonly phase: Phase;
  readonly atEpochMs: number;
  /** Where it listens, from the moment it does. */
  readonly url: string | null;
  readonly exitCode?: number;
  readonly error?: string;
}

export interface ModelSimDeps {
  readonly clock: Clock;
  readonly random: Random;
  announce(line: PhaseLine): void;
}

/** One simulated model server. The table of its life is in policy/phases.ts. */
export class ModelSim implements SimState {
  readonly options: ModelSimOptions;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly loop: EngineLoop;
  readonly metrics: VllmMetrics;
  readonly adapters: AdapterRegistry;
  readonly calls: OpenCalls;
  readonly startedAtEpochMs: number;
  /** Resolves with the exit code when everything is closed. */
  readonly done: Promise<number>;
  phase: Phase = 'starting';
  faults: Faults;
  readonly #deps: ModelSimDeps;
  readonly #server: Server;
  readonly #halted = new AbortController();
  #url: string | null = null;
  #resolveDone: (exitCode: number) => void = () => undefined;

  constructor(options: ModelSimOptions, deps: ModelSimDeps) {
    this.options = options;
    this.clock = deps.clock;
    this.#deps = deps;
    this.startedAtEpochMs = deps.clock.epochMs();
    this.faults = options.faults;
    this.engine = new Engine({ ...options, time: sped(options, options.speed) });
    this.engine.slowFactor = options.faults.slowFactor;
    this.loop = new EngineLoop(this.engine, deps.clock, (report) => this.calls.stepDone(report));
    this.metrics = new VllmMetrics(this.engine, { ...options, modelName: options.models[0] ?? '' });
    const journal = options.journal === '' ? null : new CallJournal(options.journal, deps.clock);
    this.calls = new OpenCalls(this.loop, this.metrics, journal);
    this.adapters = new AdapterRegistry(options.maxAdapters > 0, options.models);
    for (const { name, path } of options.adapters)
      this.adapters.load(name, path, Math.floor(this.startedAtEpochMs / 1_000));
    this.#server = simServer(this);
    this.done = new Promise((resolve) => {
      this.#resolveDone = resolve;
    });
  }

  /** "http://127.0.0.1:8000" from the moment it listens, else null. */
  get url(): string | null {
    return this.#url;
  }

  /** Goes through the phases until it is ready. What fails on the way ends it; it never rejects. */
  async boot(): Promise<void> {
    const { bootStartMs, bootLoadMs, loadingAnswers, speed, crashAtBoot } = this.options;
    try {
      this.#announce();
      await this.#pass(bootStartMs / speed);
      if (loadingAnswers === '503') await this.#listen();
      this.#enter('loading');
      await this.#pass(bootLoadMs / speed / 2);
      if (this.#crashesAtBoot()) {
        this.crash(crashAtBoot);
        return;
      }
      await this.#pass(bootLoadMs / speed / 2);
      if (loadingAnswers === 'refuse') await this.#listen();
      this.#enter('ready');
    } catch (thrown) {
      if (!this.#halted.signal.aborted) this.#end('crashed', 1, asError(thrown).message);
    }
  }

  /** What SIGTERM does: see --shutdown-timeout. Does nothing when it is under way or over. */
  shutdown(): void {
    if (this.phase === 'starting' || this.phase === 'loading') this.#end('stopped', 0);
    if (this.phase !== 'ready') return;
    this.#enter('draining');
    if (this.faults.hangOnShutdown) {
      this.loop.stop();
      return;
    }
    void this.#drain();
  }

  /** What a second SIGTERM does: ends at once, with the code that a shell shows for SIGTERM. */
  halt(): void {
    this.#end('stopped', 143);
  }

  crash(exitCode: number): void {
    this.#end('crashed', exitCode);
  }

  killEngine(): void {
    this.#enter('dead');
    this.calls.failAll(serverError('The simulated engine died.'));
    void this.#pass(DYING_MS / this.options.speed)
      .then(() => this.crash(1))
      .catch(() => undefined); // halted before
  }

  async #drain(): Promise<void> {
    try {
      await this.#untilNoCalls(this.options.shutdownTimeoutMs);
      this.calls.abortAll();
      await this.#untilNoCalls(FLUSH_MS);
      this.#end('stopped', 0);
    } catch {
      // Halted: that has ended everything.
    }
  }

  async #untilNoCalls(timeoutMs: number): Promise<void> {
    if (this.calls.size === 0 || timeoutMs === 0) return;
    const empty = new Promise<void>((resolve) => this.calls.onEmpty(resolve));
    await Promise.race([empty, this.#pass(timeoutMs)]);
  }

  #crashesAtBoot(): boolean {
    const { crashAtBoot, crashAtBootRatio, crashFirstBoots, crashMarks } = this.options;
    if (crashAtBoot === 0 || this.#deps.random.next() >= crashAtBootRatio) return false;
    return crashFirstBoots === 0 || isAmongFirstBoots(crashMarks, crashFirstBoots);
  }

  /** Rejects when the simulator is halted meanwhile. */
  #pass(delayMs: number): Promise<void> {
    return this.clock.sleep(delayMs, this.#halted.signal);
  }

  async #listen(): Promise<void> {
    const { host, port } = this.options;
    try {
      const listening = once(this.#server, 'listening');
      this.#server.listen(port, host);
      await listening;
    } catch (thrown) {
      const why = (thrown as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'it is in use' : asError(thrown).message;
      throw new Error(
        `cannot listen on ${host} port ${port}: ${why}; choose another with --port, 0 takes any free one`,
        {
          cause: thrown,
        },
      );
    }
    const address = this.#server.address() as AddressInfo;
    this.#url = `http://${address.family === 'IPv6' ? `[${address.address}]` : address.address}:${address.port}`;
  }

  #enter(phase: Phase): void {
    this.phase = phase;
    this.#announce();
  }

  #announce(ending: { exitCode?: number; error?: string } = {}): void {
    this.#deps.announce({ phase: this.phase, atEpochMs: this.clock.epochMs(), url: this.#url, ...ending });
  }

  /** The first call counts. */
  #end(phase: 'stopped' | 'crashed', exitCode: number, error?: string): void {
    if (this.#halted.signal.aborted) return;
    this.#halted.abort();
    this.phase = phase;
    this.loop.stop();
    this.#server.close();
    this.#server.closeAllConnections();
    this.#announce({ exitCode, ...(error === undefined ? {} : { error }) });
    this.#resolveDone(exitCode);
  }
}
