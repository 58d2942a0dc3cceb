import type { CallRunner, DispatchRequest, DispatchResult, ResponseSink, RunOptions } from '../core/dispatch.ts';
import { ByteBudget } from './byte-budget.ts';
import { CallRun } from './call-run.ts';
import { EndpointIndex } from './endpoint-index.ts';
import { DEFAULT_RUNNER_OPTIONS, type RunnerDeps, type RunnerShared } from './runner-deps.ts';
import { Watchdog } from './watchdog.ts';

/** Queues, runs and answers calls. One for all pools of a process. */
export class DispatchRunner implements CallRunner {
  readonly #shared: RunnerShared;

  constructor(deps: RunnerDeps) {
    const options = { ...DEFAULT_RUNNER_OPTIONS, ...deps.options };
    const { modelServer, directory, clock } = deps;
    this.#shared = {
      ...deps,
      options,
      endpoints: new EndpointIndex(directory, (url) => modelServer.forget(url)),
      watchdog: new Watchdog(clock),
      attempt: { modelServer, clock, limits: options, collected: new ByteBudget(options.maxCollectedBytes) },
    };
  }

  /** Resolves when the answer is delivered and settled, or why not is known. Rejects only on a defect of ours. */
  run(request: DispatchRequest, sink: ResponseSink, options: RunOptions): Promise<DispatchResult> {
    return new CallRun(this.#shared, request, sink, options).execute();
  }

  /** Stops the shared timer and listening to the directory. Calls that still run lose their timeouts: end them first. */
  close(): void {
    this.#shared.watchdog.close();
    this.#shared.endpoints.close();
  }
}
