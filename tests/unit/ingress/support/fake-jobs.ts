import type { CancelAnswer, JobResult, JobService, JobSpec, JobView, SubmitAnswer } from '../../../../src/core/jobs.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';

/** Jobs in memory that finish when a test says so. */
export class FakeJobs implements JobService {
  readonly bodies = new Map<string, string>();
  readonly #views = new Map<string, JobView>();
  readonly #results = new Map<string, JobResult>();
  #finished: (() => void)[] = [];

  /** Callers in `wait` now. */
  get waits(): number {
    return this.#finished.length;
  }

  get specs(): JobSpec[] {
    return [...this.#views.values()].map((view) => view.spec);
  }

  submit(spec: JobSpec, body: Uint8Array): Promise<SubmitAnswer> {
    const view: JobView = {
      spec,
      status: 'queued',
      outcome: null,
      finishedAtEpochMs: null,
      resultExpiresAtEpochMs: null,
      position: 3,
    };
    this.#views.set(spec.id, view);
    this.bodies.set(spec.id, Buffer.from(body).toString());
    return Promise.resolve({ kind: 'accepted', view });
  }

  get(id: string, tenant: string): Promise<JobView | null> {
    const view = this.#views.get(id);
    return Promise.resolve(view?.spec.tenant === tenant ? view : null);
  }

  result(id: string): Promise<JobResult | null> {
    return Promise.resolve(this.#results.get(id) ?? null);
  }

  async request(id: string, tenant: string): Promise<Uint8Array | null> {
    return (await this.get(id, tenant)) ? Buffer.from(this.bodies.get(id) ?? '') : null;
  }

  async delete(id: string, tenant: string): Promise<boolean> {
    const known = (await this.cancel(id, tenant)).kind !== 'unknown';
    if (known) this.#views.delete(id);
    return known;
  }

  async cancel(id: string, tenant: string): Promise<CancelAnswer> {
    const view = await this.get(id, tenant);
    if (!view) return { kind: 'unknown' };
    if (view.outcome) return { kind: 'finished', view };
    return {
      kind: 'cancelled',
      view: this.#settle(view, { kind: 'cancelled', code: 'request_cancelled', httpStatus: 499 }),
    };
  }

  async wait(id: string, tenant: string, _timeoutMs: number, signal: AbortSignal): Promise<JobView | null> {
    const view = await this.get(id, tenant);
    if (!view || view.outcome) return view;
    await new Promise<void>((resolve) => {
      this.#finished.push(resolve);
      signal.addEventListener('abort', () => resolve());
    });
    return this.get(id, tenant);
  }

  /** Ends a job with an outcome, and wakes those who wait; a wait that is over keeps the job as it is. */
  finish(id: string, outcome: Partial<Outcome> & Pick<Outcome, 'kind'>, result?: JobResult): void {
    const view = this.#views.get(id);
    if (!view) throw new Error(`no job ${id}`);
    if (result) this.#results.set(id, result);
    this.#settle(view, outcome);
    this.endWaits();
  }

  endWaits(): void {
    for (const resolve of this.#finished) resolve();
    this.#finished = [];
  }

  #settle(view: JobView, outcome: Partial<Outcome> & Pick<Outcome, 'kind'>): JobView {
    const { position: _position, ...rest } = view;
    const settled: JobView = {
      ...rest,
      status: outcome.kind,
      outcome: { httpStatus: 200, code: null, attempts: 1, usage: null, ...outcome },
      finishedAtEpochMs: view.spec.acceptedAtEpochMs + 5_000,
      resultExpiresAtEpochMs: view.spec.acceptedAtEpochMs + 86_405_000,
    };
    this.#views.set(view.spec.id, settled);
    return settled;
  }
}
