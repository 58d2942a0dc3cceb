import type { CallRunner, DispatchRequest, DispatchResult, ResponseSink, RunOptions } from '../core/dispatch.ts';
import type { JobService } from '../core/jobs.ts';
import type { PoolKey } from '../core/objects.ts';
import type { ObjectiveReport } from '../core/status.ts';

type Outcomes = { -readonly [kind in keyof ObjectiveReport['outcomes']]: number };

export const NO_OUTCOMES: ObjectiveReport['outcomes'] = {
  completed: 0,
  failed: 0,
  cancelled: 0,
  expired: 0,
  rejected: 0,
};

/** Counts how calls end, per pool and objective, since this process started; for GET /status. */
export class OutcomeTally implements CallRunner {
  readonly #runner: CallRunner;
  readonly #counts = new Map<string, Outcomes>();

  constructor(runner: CallRunner) {
    this.#runner = runner;
  }

  async run(request: DispatchRequest, sink: ResponseSink, options: RunOptions): Promise<DispatchResult> {
    const result = await this.#runner.run(request, sink, options);
    const { call, ticket } = request;
    if (result.kind === 'completed' || result.kind === 'failed') {
      this.#countsOf(call.pool, ticket.objective)[result.outcome.kind] += 1;
    } else if (result.kind === 'rejected' && ticket.kind === 'held') {
      // Stored work is told to wait: it was refused, if ever, when it was submitted.
      this.#countsOf(call.pool, ticket.objective).rejected += 1;
    }
    return result;
  }

  /** The same jobs, those that are refused counted too: they never become a call. */
  countingRefusals(jobs: JobService): JobService {
    return {
      submit: async (spec, body, options) => {
        const answer = await jobs.submit(spec, body, options);
        if (answer.kind === 'rejected') this.#countsOf(spec.pool, spec.objective).rejected += 1;
        return answer;
      },
      get: (id, tenant) => jobs.get(id, tenant),
      result: (id, tenant) => jobs.result(id, tenant),
      request: (id, tenant) => jobs.request(id, tenant),
      cancel: (id, tenant) => jobs.cancel(id, tenant),
      delete: (id, tenant) => jobs.delete(id, tenant),
      wait: (id, tenant, timeoutMs, signal) => jobs.wait(id, tenant, timeoutMs, signal),
    };
  }

  outcomes(pool: PoolKey, objective: string): ObjectiveReport['outcomes'] {
    return this.#counts.get(keyOf(pool, objective)) ?? NO_OUTCOMES;
  }

  /** Objectives are configured names, so the map stays as small as the configuration. */
  #countsOf(pool: PoolKey, objective: string): Outcomes {
    const key = keyOf(pool, objective);
    const known = this.#counts.get(key);
    if (known) return known;
    const fresh = { ...NO_OUTCOMES };
    this.#counts.set(key, fresh);
    return fresh;
  }
}

function keyOf(pool: PoolKey, objective: string): string {
  return `${pool} ${objective}`;
}
