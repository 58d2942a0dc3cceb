import fc from 'fast-check';
import { Registry } from 'prom-client';
import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { KeyUse } from '../../../src/core/idempotency.ts';
import type { JobSpec, JobView, SubmitAnswer } from '../../../src/core/jobs.ts';
import { MemoryRequestKeys } from '../../../src/ingress/adapters/idempotency/memory-request-keys.ts';
import { HeldBudget } from '../../../src/ingress/held-budget.ts';
import { type Acceptance, acceptOnce, type OnceAnswer } from '../../../src/ingress/idempotency/accept-once.ts';
import { ingressMetrics } from '../../../src/ingress/metrics.ts';
import { DEFAULT_INGRESS_SETTINGS } from '../../../src/ingress/settings.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { identity } from './support/fake-catalog.ts';
import { FakeJobs } from './support/fake-jobs.ts';

const USE: KeyUse = { tenant: 'acme', keyHash: 'key', requestHash: 'request' };

/** How one try ends: accepted, refused before or after something was written, or broken off by a defect. */
type Fate = 'accepted' | 'full' | 'unknown' | 'written but refused' | 'crashed';

class World {
  readonly clock = new FakeClock();
  readonly jobs = new FakeJobs();
  readonly keys = new MemoryRequestKeys(this.clock);
  readonly acceptances: Acceptance[] = [];
  #tries = 0;

  send(fate: Fate, use: KeyUse | null = USE): Promise<OnceAnswer> {
    const metrics = ingressMetrics(new Registry(), new HeldBudget(DEFAULT_INGRESS_SETTINGS));
    const deps = { keys: this.keys, jobs: this.jobs, log: silentLogger, metrics };
    this.#tries += 1;
    const newId = `job_${this.#tries}`;
    return acceptOnce(deps, { identity: identity({ tenant: 'acme' }) }, { use, newId }, (as) => this.#accept(fate, as));
  }

  async #accept(fate: Fate, as: Acceptance): Promise<SubmitAnswer> {
    this.acceptances.push(as);
    // Others come in between.
    await this.clock.sleep(1);
    const spec = { id: as.id, tenant: 'acme', acceptedAtEpochMs: 0 } as JobSpec;
    if (fate === 'crashed') throw new Error('defect');
    if (fate === 'full') return { kind: 'rejected', error: new PilotlightError('queue_full', 'full') };
    if (fate === 'unknown') return { kind: 'rejected', error: new PilotlightError('accept_unknown', 'who knows') };
    const answer = await this.jobs.submit(spec, Buffer.from(''));
    if (fate === 'accepted') return answer;
    return { kind: 'rejected', error: new PilotlightError('accept_unknown', 'written all the same') };
  }

  async settle<T>(running: Promise<T>): Promise<T | 'crashed'> {
    const ended = running.catch(() => 'crashed' as const);
    await this.clock.advance(1);
    return ended;
  }
}

function told(answer: OnceAnswer | 'crashed'): string {
  if (answer === 'crashed') return answer;
  if (answer.kind === 'rejected') return answer.error.code;
  return `${answer.view.spec.id}${answer.isReplay ? ' again' : ''}`;
}

describe('a job with a key', () => {
  test('is accepted once; the same request again is answered with it', async () => {
    const world = new World();
    expect(told(await world.settle(world.send('accepted')))).toBe('job_1');
    expect(told(await world.settle(world.send('accepted')))).toBe('job_1 again');
    expect(told(await world.settle(world.send('accepted', { ...USE, requestHash: 'other' })))).toBe(
      'idempotency_conflict',
    );
    expect(world.acceptances).toEqual([
      { id: 'job_1', bound: { keyHash: 'key', requestHash: 'request' }, isRepeated: true },
    ]);
  });

  test('is a new one each time without a key', async () => {
    const world = new World();
    expect(told(await world.settle(world.send('accepted', null)))).toBe('job_1');
    expect(told(await world.settle(world.send('accepted', null)))).toBe('job_2');
    expect(world.acceptances[0]).toEqual({ id: 'job_1', bound: null, isRepeated: false });
  });

  test('that was refused before anything was written may be sent again, also changed', async () => {
    const world = new World();
    expect(told(await world.settle(world.send('full')))).toBe('queue_full');
    expect(told(await world.settle(world.send('accepted', { ...USE, requestHash: 'other' })))).toBe('job_2');
  });

  test.each<Fate>(['unknown', 'crashed'])('whose accept ended %s goes on under its id', async (fate) => {
    const world = new World();
    await world.settle(world.send(fate));
    expect(told(await world.settle(world.send('accepted')))).toBe('job_1');
  });

  test('that was written although its answer was a refusal is found, not made again', async () => {
    const world = new World();
    expect(told(await world.settle(world.send('written but refused')))).toBe('accept_unknown');
    expect(told(await world.settle(world.send('accepted')))).toBe('job_1 again');
    expect(world.acceptances).toHaveLength(1);
  });

  test('is told to wait while another try is being accepted', async () => {
    const world = new World();
    const first = world.send('accepted');
    expect(told(await world.send('accepted'))).toBe('idempotency_in_progress');
    expect(told(await world.settle(first))).toBe('job_1');
  });

  test('that was deleted is not run again under its key', async () => {
    const world = new World();
    await world.settle(world.send('accepted'));
    await world.jobs.delete('job_1', 'acme');
    expect(told(await world.settle(world.send('accepted')))).toBe('idempotency_conflict');
  });
});

test('however tries race and fail, a key never stands for two jobs, and every success names the same one', async () => {
  const fate = fc.constantFrom<Fate>('accepted', 'full', 'unknown', 'written but refused', 'crashed');
  const step = fc.record({ fate, waits: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 12 }), async (steps) => {
      const world = new World();
      const running: Promise<OnceAnswer | 'crashed'>[] = [];
      for (const { fate: ends, waits } of steps) {
        running.push(world.send(ends).catch(() => 'crashed' as const));
        if (waits) await world.clock.advance(1);
      }
      await world.clock.advance(10);
      const answers = await Promise.all(running);
      const views = answers.filter(
        (answer): answer is Extract<OnceAnswer, { view: JobView }> =>
          typeof answer === 'object' && answer.kind === 'accepted',
      );
      expect(world.jobs.specs.length).toBeLessThanOrEqual(1);
      expect(new Set(views.map(({ view }) => view.spec.id)).size).toBeLessThanOrEqual(1);
      expect(views.filter(({ isReplay }) => !isReplay).length).toBeLessThanOrEqual(1);
    }),
  );
});
