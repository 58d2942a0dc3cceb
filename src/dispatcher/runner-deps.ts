import type { Clock } from '../core/clock.ts';
import type { WaitAdvisor } from '../core/dispatch.ts';
import type { EndpointDirectory } from '../core/endpoint.ts';
import type { Logger } from '../core/logger.ts';
import type { Random } from '../core/random.ts';
import type { AttemptDeps } from './attempt.ts';
import type { EndpointIndex } from './endpoint-index.ts';
import type { DispatcherMetrics } from './metrics.ts';
import type { ModelServer, PoolRuntimes } from './ports.ts';
import type { Watchdog } from './watchdog.ts';

export interface RunnerOptions {
  /** Attempts of a held call; its client is waiting. */
  readonly maxAttemptsHeld: number;
  /** Attempts of stored work; pods that are drained or die under it must not use it up. */
  readonly maxAttemptsStored: number;
  /** Largest plain answer; embeddings of 2,048 inputs with 1,024 numbers each are about 25 MB of JSON. */
  readonly maxPlainAnswerBytes: number;
  /** All plain answers being collected at one time. */
  readonly maxCollectedBytes: number;
  /** Largest server-sent event. */
  readonly maxEventBytes: number;
  /** How often a held call that keeps its place still hears where it stands (the phase and the ETA change). */
  readonly reportWaitingEveryMs: number;
  /** Pause between tries to make a result of stored work durable; doubles up to 16 times. */
  readonly persistBackoffMs: number;
}

export const DEFAULT_RUNNER_OPTIONS: RunnerOptions = {
  maxAttemptsHeld: 3,
  maxAttemptsStored: 8,
  maxPlainAnswerBytes: 33_554_432,
  maxCollectedBytes: 536_870_912,
  maxEventBytes: 1_048_576,
  reportWaitingEveryMs: 500,
  persistBackoffMs: 250,
};

export interface RunnerDeps {
  readonly poolRuntimes: PoolRuntimes;
  readonly directory: EndpointDirectory;
  readonly modelServer: ModelServer;
  readonly advisor: WaitAdvisor;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly metrics: DispatcherMetrics;
  readonly options?: Partial<RunnerOptions>;
}

/** What every call of one runner shares. */
export interface RunnerShared extends Omit<RunnerDeps, 'options' | 'directory' | 'modelServer'> {
  readonly options: RunnerOptions;
  readonly endpoints: EndpointIndex;
  readonly watchdog: Watchdog;
  readonly attempt: AttemptDeps;
}
