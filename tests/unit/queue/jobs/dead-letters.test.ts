import { beforeEach, describe, expect, test } from 'vitest';
import type { DeadLetterDesk } from '../../../../src/core/queues.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';
import type { Execute } from '../../../../src/queue/jobs/ports.ts';
import { noteDeadLetter } from '../../../../src/queue/jobs/dead-letter-note.ts';
import { settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { jobSpec, POOL, startProcess, TENANT, World } from '../../../support/stored-world.ts';

const BODY = Buffer.from('{"model":"chat"}');
const ALL = { objective: null, endedBeforeEpochMs: null, after: null, limit: 100 } as const;
const FAILED: Outcome = { kind: 'failed', httpStatus: 502, code: 'upstream_error', attempts: 4, usage: null };
const COMPLETED: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };

let world: World;
/** Ids that the model server answers well; all others fail. */
let healthy: Set<string>;
beforeEach(() => {
  world = new World();
  healthy = new Set();
});

async function open() {
  const execute: Execute = async ({ spec, attempt, place }) => {
    const outcome = healthy.has(spec.id) ? COMPLETED : FAILED;
    world.executions.set(spec.id, (world.executions.get(spec.id) ?? 0) + 1);
    const finishedAtEpochMs = world.clock.epochMs();
    const result = { kind: 'result', jobId: spec.id, attempt, outcome, contentType: '', finishedAtEpochMs } as const;
    const ref = await started.store.append({ ...result, job: place }, Buffer.from('{}'));
    await noteDeadLetter(
      { ledger: world.ledger, backlog: started.backlog, dead: world.dead },
      { ...result, job: place },
      silentLogger,
    );
    const answer = await world.ledger.settle(spec.id, spec.objective, outcome, ref);
    return answer.kind === 'settled' ? { kind: 'settled', outcome } : { kind: 'superseded', outcome };
  };
  const started = startProcess(world, { execute });
  const { work } = started;
  work.start();
  world.ledger.setWindows({ nightly: 4 });
  await pass();
  const dead = work.deadLetters(POOL);
  if (!dead) throw new Error('the pool keeps dead letters');
  return { ...started, jobs: work.jobs, dead };
}

async function pass(byMs = 100): Promise<void> {
  await world.clock.advance(byMs);
  await settleMicrotasks();
}

async function fail(jobs: Awaited<ReturnType<typeof open>>['jobs'], ...ids: string[]): Promise<void> {
  for (const id of ids) {
    await jobs.submit(jobSpec(id, { acceptedAtEpochMs: world.clock.epochMs() }), BODY);
    await pass();
  }
}

const idsOf = async (dead: DeadLetterDesk): Promise<string[]> => (await dead.list(ALL)).letters.map(({ id }) => id);
const voids = (): number => world.records.filter(({ header }) => header.kind === 'void').length;

describe('the list', () => {
  test('has jobs that failed, with the reason and how long they are kept, and no others', async () => {
    const { jobs, dead } = await open();
    healthy.add('good');
    await fail(jobs, 'good', 'bad');
    const { letters, next } = await dead.list(ALL);
    expect(next).toBeNull();
    expect(letters).toMatchObject([
      {
        id: 'bad',
        objective: 'nightly',
        tenant: TENANT,
        model: 'chat',
        code: 'upstream_error',
        attempts: 4,
        retryOf: null,
      },
    ]);
    const [letter] = letters;
    expect(letter && letter.keptUntilEpochMs - letter.endedAtEpochMs).toBe(86_400_000);
    expect(JSON.stringify(letters)).not.toContain(BODY.toString());
    expect(await dead.count('nightly')).toBe(1);
    expect(await dead.show('bad')).toEqual(letter);
    expect(await dead.show('good')).toBeNull();
  });

  test('comes in pages, and can leave out what failed a moment ago', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a', 'b', 'c');
    const first = await dead.list({ ...ALL, limit: 2 });
    expect(first.letters.map(({ id }) => id)).toEqual(['a', 'b']);
    const second = await dead.list({ ...ALL, limit: 2, after: first.next });
    expect(second).toMatchObject({ letters: [{ id: 'c' }], next: null });
    const endedBeforeEpochMs = second.letters[0]?.endedAtEpochMs ?? 0;
    expect((await dead.list({ ...ALL, endedBeforeEpochMs })).letters.map(({ id }) => id)).toEqual(['a', 'b']);
    await expect(dead.list({ ...ALL, after: 'nonsense' })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'after',
    });
  });

  test('is made again of the store when Redis lost everything', async () => {
    const { jobs, dead, work } = await open();
    await fail(jobs, 'a', 'b', 'c');
    await dead.purge(['a']);
    await dead.retry(['b']);
    await pass();
    world.loseRedis();
    await work.reconcile();
    expect(await idsOf(dead)).toEqual(['c', 'b-r1']);
    expect(world.executions.get('b-r1')).toBe(1);
  });

  test('loses nothing to a look while it is made again', async () => {
    const { jobs, dead, work, store } = await open();
    await fail(jobs, 'a');
    const gate = Promise.withResolvers<undefined>();
    const scan = store.scan.bind(store);
    let scans = 0;
    store.scan = async function* (...asked) {
      scans += 1;
      // Outcomes and dead letters are there again, the index is not.
      if (scans === 3) await gate.promise;
      yield* scan(...asked);
    };
    world.loseRedis();
    const reconciled = work.reconcile();
    await settleMicrotasks();
    expect(world.dead.entries.size).toBe(1);
    for (const look of [() => dead.list(ALL), () => dead.show('a')]) {
      await expect(look()).rejects.toMatchObject({ code: 'queue_unavailable' });
    }
    expect(await dead.retry(['a'])).toMatchObject([{ kind: 'refused', code: 'queue_unavailable' }]);
    gate.resolve(undefined);
    await reconciled;
    expect(await idsOf(dead)).toEqual(['a']);
  });

  test('forgets what turns out not to be dead', async () => {
    const { dead } = await open();
    await world.dead.add([{ id: 'never', objective: 'nightly', endedAtEpochMs: world.clock.epochMs() }]);
    expect(await idsOf(dead)).toEqual([]);
    expect(world.dead.entries.size).toBe(0);
  });

  test('keeps what is listed before its outcome is known, and shows it from then on', async () => {
    const { jobs, dead } = await open();
    world.ledger.setWindows({ nightly: 0 });
    await jobs.submit(jobSpec('a', { acceptedAtEpochMs: world.clock.epochMs() }), BODY);
    await world.dead.add([{ id: 'a', objective: 'nightly', endedAtEpochMs: world.clock.epochMs() }]);
    expect(await idsOf(dead)).toEqual([]);
    await world.ledger.settle('a', 'nightly', FAILED, null);
    expect(await idsOf(dead)).toEqual(['a']);
  });

  test('a job whose end cannot be listed has its outcome all the same', async () => {
    const { jobs } = await open();
    world.dead.isDown = true;
    await fail(jobs, 'a');
    expect(await jobs.get('a', TENANT)).toMatchObject({ status: 'failed' });
  });
});

describe('a retry', () => {
  test('is a new job of the same request; the first keeps its outcome and names it', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a');
    healthy.add('a-r1');
    expect(await dead.retry(['a'])).toEqual([{ id: 'a', kind: 'retried', retriedAs: 'a-r1' }]);
    await pass();
    expect(await jobs.get('a', TENANT)).toMatchObject({ status: 'failed', retriedAs: 'a-r1' });
    expect(await jobs.get('a-r1', TENANT)).toMatchObject({
      status: 'completed',
      spec: { retryOf: 'a', tenant: TENANT },
    });
    expect(Buffer.from((await jobs.request('a-r1', TENANT)) ?? [])).toEqual(BODY);
    expect(await jobs.get('a-r1', 'team-b')).toBeNull();
    expect(await idsOf(dead)).toEqual([]);
  });

  test('asked for twice, at once or later, runs once', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a');
    healthy.add('a-r1');
    await Promise.all([dead.retry(['a']), dead.retry(['a'])]);
    await pass(1_000);
    expect(await dead.retry(['a', 'a'])).toMatchObject([{ retriedAs: 'a-r1' }, { retriedAs: 'a-r1' }]);
    await pass(1_000);
    expect(world.executions.get('a-r1')).toBe(1);
  });

  test('that fails is a dead letter in its turn', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a');
    await dead.retry(['a']);
    await pass();
    expect((await dead.list(ALL)).letters).toMatchObject([{ id: 'a-r1', retryOf: 'a' }]);
    expect(await dead.retry(['a-r1'])).toMatchObject([{ retriedAs: 'a-r2' }]);
  });

  test('that the pool has no room for is refused with the reason, and stays a dead letter', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a');
    world.ledger.maxRequests = 0;
    expect(await dead.retry(['a'])).toMatchObject([{ id: 'a', kind: 'refused', code: 'queue_full' }]);
    expect(await idsOf(dead)).toEqual(['a']);
    world.ledger.maxRequests = 10;
    expect(await dead.retry(['a'])).toMatchObject([{ kind: 'retried' }]);
  });

  test('accepted in part only is completed by the next one', async () => {
    const { jobs, dead, backlog } = await open();
    await fail(jobs, 'a');
    backlog.answer = { kind: 'refused', why: 'READONLY' };
    expect(await dead.retry(['a'])).toMatchObject([{ kind: 'refused', code: 'queue_unavailable' }]);
    expect(await idsOf(dead)).toEqual(['a']);
    backlog.answer = { kind: 'added' };
    expect(await dead.retry(['a'])).toMatchObject([{ kind: 'retried' }]);
    await pass();
    expect(world.executions.get('a-r1')).toBe(1);
  });

  test.each(['never', 'good', '../../x'])('of %s is refused: it is no dead letter', async (id) => {
    const { jobs, dead } = await open();
    healthy.add('good');
    await fail(jobs, 'good');
    expect(await dead.retry([id])).toEqual([{ id, kind: 'not_dead' }]);
  });

  test('whose id another job has is refused', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a', 'a-r1');
    expect(await dead.retry(['a'])).toMatchObject([{ kind: 'refused', code: 'invalid_value' }]);
  });
});

describe('a purge', () => {
  test('forgets the job, for its tenant and for good', async () => {
    const { jobs, dead, work } = await open();
    await fail(jobs, 'a', 'b');
    expect(await dead.purge(['a'])).toEqual([{ id: 'a', kind: 'purged' }]);
    expect(await jobs.get('a', TENANT)).toBeNull();
    expect(await dead.purge(['a'])).toEqual([{ id: 'a', kind: 'not_dead' }]);
    expect(voids()).toBe(1);
    world.loseRedis();
    await work.reconcile();
    expect(await jobs.get('a', TENANT)).toBeNull();
    expect(await idsOf(dead)).toEqual(['b']);
  });

  test('leaves alone what has not failed', async () => {
    const { jobs, dead } = await open();
    healthy.add('good');
    await fail(jobs, 'good');
    expect(await dead.purge(['good'])).toEqual([{ id: 'good', kind: 'not_dead' }]);
    expect(await jobs.get('good', TENANT)).toMatchObject({ status: 'completed' });
  });

  test('a job that its tenant deletes is no dead letter any more', async () => {
    const { jobs, dead } = await open();
    await fail(jobs, 'a');
    await jobs.delete('a', TENANT);
    expect(await dead.count('nightly')).toBe(0);
  });
});

describe('an entry of the backlog that a tool changed', () => {
  test.each([
    { change: 'to a request that is not there', a: 'nowhere' },
    { change: "to another job's request", a: 'r0' },
  ])('$change finds its own', async ({ a }) => {
    const { jobs } = await open();
    for (const id of ['first', 'job']) healthy.add(id);
    await fail(jobs, 'first');
    world.ledger.setWindows({});
    await jobs.submit(jobSpec('job'), BODY);
    const item = world.items.get('job');
    if (item) world.items.set('job', { ...item, acceptRef: a });
    world.ledger.setWindows({ nightly: 4 });
    await pass();
    expect(await jobs.get('job', TENANT)).toMatchObject({ status: 'completed' });
    expect(Object.fromEntries(world.executions)).toEqual({ first: 1, job: 1 });
  });

  test('and that is a copy of another one is dropped, without an outcome', async () => {
    const { jobs, backlog } = await open();
    healthy.add('job');
    await fail(jobs, 'job');
    await backlog.add({ id: 'copy', objective: 'nightly', tag: 1, acceptRef: 'r0', costTokens: 1 });
    await pass();
    expect(world.items.size).toBe(0);
    expect(world.ledger.settled.has('copy')).toBe(false);
    expect(world.executions.get('job')).toBe(1);
  });
});
