import { describe, expect, test } from 'vitest';
import type {
  CallRunner,
  DispatchRequest,
  DispatchResult,
  ResponseSink,
  RunOptions,
} from '../../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../../src/core/errors.ts';
import type { Outcome } from '../../../../src/core/outcome.ts';
import type { StoredRun } from '../../../../src/queue/jobs/ports.ts';
import { StoredExecution } from '../../../../src/queue/jobs/stored-execution.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { COMPLETED, jobSpec, startProcess, World } from '../../../support/stored-world.ts';

const TIMES = { waitedMs: 0, firstByteMs: 1, totalMs: 2 };
const REFUSED: Outcome = { ...COMPLETED, httpStatus: 400 };
const FAILED: Outcome = { kind: 'failed', httpStatus: 502, code: 'upstream_error', attempts: 3, usage: null };
const never = new AbortController().signal;

type Script = (sink: ResponseSink, options: RunOptions) => Promise<DispatchResult>;

function completed(outcome: Outcome): DispatchResult {
  return { kind: 'completed', outcome, usage: outcome.usage, endpointId: 'pod@127.0.0.1:1', times: TIMES };
}

function failed(outcome: Outcome): DispatchResult {
  const error = new PilotlightError(outcome.code ?? 'internal_error', 'it failed');
  return { kind: 'failed', error, begun: false, outcome, times: TIMES };
}

/** An engine's answer as the dispatcher delivers it: sink first, then the record, then the ledger. */
function answer(world: World, text: string, outcome: Outcome): Script {
  return async (sink, { persist }) => {
    sink.begin({ status: outcome.httpStatus, headers: { 'content-type': 'application/json; charset=utf-8' } });
    sink.write(Buffer.from(text.slice(0, 3)));
    sink.write(Buffer.from(text.slice(3)));
    sink.end();
    const ref = await persist?.(outcome);
    const settled = await world.ledger.settle('job-a', 'nightly', outcome, ref ?? null);
    return settled.kind === 'settled' ? completed(outcome) : { kind: 'superseded', outcome: settled.stored.outcome };
  };
}

function open(script: (world: World) => Script, { maxResultBytes = 1_000 } = {}) {
  const world = new World();
  const { store, work } = startProcess(world);
  const requests: DispatchRequest[] = [];
  const runner: CallRunner = {
    run: (request, sink, options) => {
      requests.push(request);
      return script(world)(sink, options);
    },
  };
  const execution = new StoredExecution({
    runner,
    toRequest: (spec) => ({ call: { id: spec.id } }) as DispatchRequest,
    store,
    lanes: work.lane,
    clock: world.clock,
    log: silentLogger,
    maxResultBytes,
  });
  return { world, execute: execution.execute, requests };
}

const run: StoredRun = {
  spec: jobSpec('job-a'),
  body: Buffer.from('{}'),
  attempt: 2,
  place: {
    pool: 'default/chat',
    objective: 'nightly',
    tenant: 'team-a',
    acceptRef: 'r0',
    acceptedAtEpochMs: 1,
    bodyBytes: 2,
  },
  onSlot: () => undefined,
  abort: () => undefined,
};

describe('StoredExecution', () => {
  test.each([
    { name: "the engine's answer", outcome: COMPLETED },
    { name: "the engine's refusal", outcome: REFUSED },
  ])('$name is recorded whole, with its attempt, before it is settled', async ({ outcome }) => {
    const { world, execute } = open((w) => answer(w, '{"answer":42}', outcome));
    expect(await execute(run, never)).toEqual({ kind: 'settled', outcome });
    const [record] = world.records;
    expect(record?.header).toMatchObject({
      kind: 'result',
      jobId: 'job-a',
      attempt: 2,
      outcome,
      contentType: 'application/json; charset=utf-8',
      job: { acceptRef: 'r0' },
    });
    expect(Buffer.from(record?.body ?? '').toString()).toBe('{"answer":42}');
    expect(world.ledger.settled.get('job-a')).toMatchObject({ recordRef: record?.ref });
  });

  test('a failure is recorded as an error body that its caller can read', async () => {
    const { world, execute } = open((w) => async (_sink, { persist }) => {
      const ref = await persist?.(FAILED);
      await w.ledger.settle('job-a', 'nightly', FAILED, ref ?? null);
      return failed(FAILED);
    });
    expect(await execute(run, never)).toEqual({ kind: 'settled', outcome: FAILED });
    expect(JSON.parse(Buffer.from(world.records[0]?.body ?? '').toString())).toMatchObject({
      error: { code: 'upstream_error', param: null },
    });
  });

  test('a failure that the dispatcher did not settle is settled here', async () => {
    const { world, execute } = open(() => () => Promise.resolve(failed(FAILED)));
    expect(await execute(run, never)).toMatchObject({ kind: 'settled', outcome: { kind: 'failed' } });
    expect(world.ledger.settled.get('job-a')).toMatchObject({ recordRef: 'r0' });
  });

  test.each(['cancelled', 'expired'] as const)('%s in the live order is left to be decided', async (kind) => {
    const outcome: Outcome = { kind, httpStatus: 499, code: 'request_cancelled', attempts: 0, usage: null };
    const { world, execute } = open(() => () => Promise.resolve(failed(outcome)));
    expect(await execute(run, never)).toEqual({ kind: 'decided', outcome });
    expect(world.records).toEqual([]);
  });

  test('a result that lost against another outcome is marked as an orphan', async () => {
    const { world, execute } = open((w) => async (sink, options) => {
      await w.ledger.settle('job-a', 'nightly', FAILED, null);
      return answer(w, 'late', COMPLETED)(sink, options);
    });
    expect(await execute(run, never)).toEqual({ kind: 'superseded', outcome: FAILED });
    expect(world.records.map(({ header }) => header.kind)).toEqual(['result', 'orphan']);
  });

  test('a synced result whose settle failed is settled again instead of being worked for again', async () => {
    const { world, execute } = open(() => async (_sink, { persist }) => {
      await persist?.(COMPLETED);
      return { kind: 'handed_back', reason: 'queue_unavailable' };
    });
    world.ledger.isDown = true;
    const verdict = execute(run, never);
    await world.clock.advance(3_000);
    world.ledger.isDown = false;
    await world.clock.advance(1_000);
    expect(await verdict).toEqual({ kind: 'settled', outcome: COMPLETED });
    expect(world.records).toHaveLength(1);
  });

  test('it stops trying to settle when the process stops; the record remains for a reconcile', async () => {
    const { world, execute } = open(() => async (_sink, { persist }) => {
      await persist?.(COMPLETED);
      return { kind: 'handed_back', reason: 'queue_unavailable' };
    });
    world.ledger.isDown = true;
    const stop = new AbortController();
    const verdict = execute(run, stop.signal);
    await world.clock.advance(2_500);
    stop.abort();
    expect(await verdict).toEqual({ kind: 'handed_back', reason: 'queue_unavailable' });
    expect(world.records).toHaveLength(1);
  });

  test('an answer over the limit fails by the name of the limit, and its bytes are not kept', async () => {
    const { world, execute } = open(
      () =>
        (sink, { signal }) => {
          sink.begin({ status: 200, headers: {} });
          for (let chunk = 0; chunk < 10 && !signal.aborted; chunk += 1) sink.write(Buffer.alloc(300));
          return Promise.resolve({ kind: 'handed_back', reason: (signal.reason as PilotlightError).code });
        },
      { maxResultBytes: 1_000 },
    );
    const stop = new AbortController();
    const large = { ...run, abort: (reason: Error) => stop.abort(reason) };
    expect(await execute(large, stop.signal)).toMatchObject({
      kind: 'settled',
      outcome: { kind: 'failed', code: 'upstream_response_too_large' },
    });
    expect(Buffer.from(world.records[0]?.body ?? '').toString()).toContain('maxResultBytes');
  });

  test.each([
    {
      name: 'a refusal is back-pressure, not an attempt',
      result: { kind: 'rejected', error: new PilotlightError('queue_full', 'full') },
      want: { kind: 'handed_back', reason: 'queue_full' },
    },
    {
      name: 'over the rate of its tenant it is parked until it may run',
      result: {
        kind: 'rejected',
        error: new PilotlightError('rate_limit_exceeded', 'too many', { retryAfterMs: 42_000 }),
      },
      want: { kind: 'handed_back', reason: 'rate_limit_exceeded', delayMs: 42_000 },
    },
    {
      name: 'a hand-back stays one',
      result: { kind: 'handed_back', reason: 'pool_closed' },
      want: { kind: 'handed_back', reason: 'pool_closed' },
    },
    {
      name: 'work of another process stays there',
      result: { kind: 'superseded', outcome: null },
      want: { kind: 'superseded', outcome: null },
    },
  ] as { name: string; result: DispatchResult; want: unknown }[])('$name', async ({ result, want }) => {
    const { execute } = open(() => () => Promise.resolve(result));
    expect(await execute(run, never)).toEqual(want);
  });
});
