import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DispatchRequest, DispatchResult, RunOptions } from '../../../src/core/dispatch.ts';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { TicketKind, TicketSpec } from '../../../src/core/live-order.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import { seededRandom } from '../../../src/core/random.ts';
import { dispatcherMetrics } from '../../../src/dispatcher/metrics.ts';
import { DispatchRunner } from '../../../src/dispatcher/runner.ts';
import type { RunnerOptions } from '../../../src/dispatcher/runner-deps.ts';
import { FakeModelServer } from '../../contract/model-server-fake.ts';
import {
  chatAnswer,
  done,
  end,
  event,
  finishChunk,
  hang,
  head,
  json,
  reset,
  roleChunk,
  type Script,
  send,
  sseHead,
  tokenChunk,
} from '../../contract/model-server-script.ts';
import { FakeClock, settleMicrotasks } from '../../support/fake-clock.ts';
import { FakeLiveOrder } from './fake-live-order.ts';
import { endpoint, FakeDirectory, inferenceCall, MemoryLog, POOL, RecordingSink } from './support.ts';

const good: Script = [head(200), json(chatAnswer()), end];
const goodStream: Script = [sseHead, event(roleChunk), event(tokenChunk('Hi')), event(finishChunk('stop')), done, end];
const broken: Script = [reset];

const limits = {
  poolMaxRequests: 10,
  poolMaxBytes: 10,
  shedAtPercent: 100,
  objectiveMaxRequests: 10,
  objectiveMaxBytes: 10,
};

function ticket(kind: TicketKind): TicketSpec {
  return {
    id: 'call-1',
    kind,
    objective: 'chat',
    priority: 10,
    fairnessId: 'team-a',
    weight: 1,
    costTokens: 10,
    bytes: 30,
    classKey: '',
    expiresAtEpochMs: null,
    arrivedAtEpochMs: null,
    limits,
  };
}

/** One runner with everything around it faked. */
class Bench {
  readonly clock = new FakeClock();
  readonly registry = new Registry();
  readonly log = new MemoryLog();
  readonly sink = new RecordingSink();
  readonly client = new AbortController();
  readonly reports: string[] = [];
  readonly ranked: string[] = [];
  readonly closed = new Set<string>();
  readonly order: FakeLiveOrder;
  readonly directory: FakeDirectory;
  readonly modelServer: FakeModelServer;
  readonly runner: DispatchRunner;
  capacityWhy: string | null = null;
  advisorFails = false;

  constructor(scripts: Readonly<Record<string, readonly Script[]>>, options: Partial<RunnerOptions> = {}) {
    const ids = Object.keys(scripts);
    this.order = new FakeLiveOrder(Object.fromEntries(ids.map((id) => [id, 1])));
    this.directory = new FakeDirectory(ids.map((id) => endpoint(id)));
    this.modelServer = new FakeModelServer(
      Object.fromEntries(Object.entries(scripts).map(([id, list]) => [`http://${id}`, list])),
    );
    this.runner = new DispatchRunner({
      poolRuntimes: (pool) =>
        pool === POOL
          ? {
              order: this.order,
              ranker: {
                rank: () => this.directory.list(POOL).map(({ id }) => id),
                started: (_call, id) => this.ranked.push(`started ${id}`),
                finished: (_call, id, result) => this.ranked.push(`${result} ${id}`),
              },
              health: {
                report: (id, result) => this.reports.push(`${id} ${result}`),
                isOpen: (id) => !this.closed.has(id),
              },
            }
          : undefined,
      directory: this.directory,
      modelServer: this.modelServer,
      advisor: {
        status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: null }),
        retryAfterMs: () => {
          if (this.advisorFails) throw new Error('the advisor has a defect');
          return 7_000;
        },
        capacity: () =>
          this.capacityWhy === null ? { canCome: true } : { canCome: false as const, why: this.capacityWhy },
      },
      clock: this.clock,
      random: seededRandom(1),
      log: this.log,
      metrics: dispatcherMetrics(this.registry),
      options,
    });
  }

  run(
    changes: { stream?: boolean; kind?: TicketKind; timeouts?: Partial<DispatchRequest['timeouts']> } = {},
    options: Partial<RunOptions> = {},
  ): Promise<DispatchResult> {
    const { stream = false, kind = 'held', timeouts = {} } = changes;
    const request: DispatchRequest = {
      call: inferenceCall({ stream }),
      ticket: ticket(kind),
      timeouts: { maxWaitMs: null, idleMs: 10_000, overallMs: 60_000, ...timeouts },
    };
    return this.runner.run(request, this.sink, { signal: this.client.signal, ...options });
  }

  async metric(name: string): Promise<string> {
    return (await this.registry.getSingleMetricAsString(name)).split('\n').slice(2).join('\n');
  }
}

let bench: Bench;
function open(scripts: Readonly<Record<string, readonly Script[]>>, options: Partial<RunnerOptions> = {}): Bench {
  bench = new Bench(scripts, options);
  return bench;
}

beforeEach(() => open({}));

/** Whatever happened: no call is open upstream, no slot is lost, no timer runs. */
afterEach(async () => {
  bench.runner.close();
  await settleMicrotasks();
  expect(bench.modelServer.openCalls).toBe(0);
  expect(bench.clock.sleeping).toBe(0);
  expect(bench.order.waiting).toBe(0);
  expect(bench.directory.listeners).toBe(0);
});

/** Lets time pass until the result is there. */
async function finish(running: Promise<DispatchResult>, withinMs = 120_000): Promise<DispatchResult> {
  const results: DispatchResult[] = [];
  void running.then((result) => results.push(result));
  for (let passedMs = 0; results.length === 0 && passedMs <= withinMs; passedMs += 500) await bench.clock.advance(500);
  const [result] = results;
  if (!result) throw new Error('the call did not end');
  return result;
}

describe('a stream whose usage nobody told', () => {
  const seenTokens = inferenceCall().inputTokens + 1;

  test.each([
    ['that ended', goodStream, false],
    ['that broke off', [sseHead, event(roleChunk), event(tokenChunk('Hi')), reset], false],
    ['whose client left', [sseHead, event(tokenChunk('Hi')), hang], true],
  ] as const)('%s is settled with the tokens that came', async (_what, script, leaves) => {
    const { order } = open({ a: [script] });
    const running = bench.run({ stream: true });
    await settleMicrotasks();
    if (leaves) bench.client.abort();
    expect(await finish(running)).toMatchObject({ outcome: { usage: null, seenTokens } });
    expect(order.settled).toMatchObject([{ outcome: { usage: null, seenTokens } }]);
  });

  const told = { choices: [], usage: { prompt_tokens: 5, completion_tokens: 2 } };
  test.each([
    ['it was told', [sseHead, event(tokenChunk('Hi')), event(finishChunk('stop')), event(told), done, end]],
    ['nothing came', [sseHead, event(roleChunk), reset]],
  ] as const)('but not when %s', async (_what, script) => {
    const { order } = open({ a: [script] }, { maxAttemptsHeld: 1 });
    await finish(bench.run({ stream: true }));
    expect(order.settled.map(({ outcome }) => outcome.seenTokens)).toEqual([undefined]);
  });
});

describe('a call that is answered', () => {
  test('a plain answer: delivered, slot back, settled as completed with the usage of the engine', async () => {
    const { order, sink, reports, ranked } = open({ a: [good] });
    const result = await finish(bench.run());
    expect(result).toMatchObject({
      kind: 'completed',
      endpointId: 'a',
      outcome: { kind: 'completed', httpStatus: 200, attempts: 1 },
      usage: { promptTokens: 5, completionTokens: 2 },
    });
    expect(sink.head?.headers).toMatchObject({ 'content-type': 'application/json' });
    expect(sink.ended).toBe(true);
    expect(order.slots.get('a')).toBe(1);
    expect(order.settled.map(({ outcome }) => outcome.kind)).toEqual(['completed']);
    expect(reports).toEqual(['a ok']);
    expect(ranked).toEqual(['started a', 'ok a']);
  });

  test('a refusal of the engine is a completed call with its status', async () => {
    open({ a: [[head(400), send('{"error":{}}'), end]] });
    const result = await finish(bench.run());
    expect(result).toMatchObject({ kind: 'completed', outcome: { kind: 'completed', httpStatus: 400, code: null } });
    expect(bench.sink.text).toBe('{"error":{}}');
  });

  test("the body and the caller's trace headers reach the endpoint", async () => {
    open({ a: [good] });
    await finish(bench.run());
    expect(bench.modelServer.requests).toMatchObject([
      { endpointUrl: 'http://a', path: '/v1/chat/completions', headers: { 'x-request-id': 'call-1' } },
    ]);
  });

  test('a slow reader pauses the upstream and its silence is not held against the engine', async () => {
    open({ a: [goodStream] });
    bench.sink.room = false;
    const running = bench.run({ stream: true, timeouts: { idleMs: 1_000 } });
    await bench.clock.advance(5_000);
    expect(bench.sink.text).not.toContain('DONE');
    bench.sink.drain();
    expect(await finish(running)).toMatchObject({ kind: 'completed' });
    expect(bench.sink.text).toContain('DONE');
  });
});

describe('a call that fails before its first byte', () => {
  test('moves to another endpoint at once and never returns to the first', async () => {
    const { order, reports } = open({ a: [broken], b: [good] });
    const result = await finish(bench.run());
    expect(result).toMatchObject({ kind: 'completed', endpointId: 'b', outcome: { attempts: 2 } });
    expect(order.requeued).toEqual(['a']);
    expect(reports).toEqual(['a reset', 'b ok']);
    expect(await bench.metric('pilotlight_dispatcher_retries_total')).toContain('reason="reset"} 1');
  });

  test('the only endpoint is tried again after a pause, without being excluded', async () => {
    const { order } = open({ a: [broken, good] });
    const running = bench.run();
    await bench.clock.advance(200);
    expect(order.requeued).toEqual([]);
    expect(await finish(running)).toMatchObject({ kind: 'completed', outcome: { attempts: 2 } });
    expect(order.requeued).toEqual(['']);
  });

  test('an endpoint that is closed is no other endpoint', async () => {
    const { order, closed } = open({ a: [broken, good], b: [good] });
    order.slots.set('b', 0);
    closed.add('b');
    expect(await finish(bench.run())).toMatchObject({ kind: 'completed', endpointId: 'a' });
    expect(order.requeued).toEqual(['']);
  });

  test('waiting for a new endpoint uses no attempt', async () => {
    const { order, directory } = open({ a: [broken], b: [good] });
    directory.set([endpoint('a')]);
    order.slots.delete('b');
    const running = bench.run();
    await settleMicrotasks();
    order.slots.set('a', -1);
    await bench.clock.advance(30_000);
    directory.set([endpoint('b')]);
    order.open('b', 1);
    expect(await finish(running)).toMatchObject({ kind: 'completed', endpointId: 'b', outcome: { attempts: 2 } });
    order.slots.set('a', 1);
  });

  test('gives up after the last attempt and says on how many servers it failed', async () => {
    open({ a: [broken], b: [broken], c: [broken] });
    const result = await finish(bench.run());
    expect(result).toMatchObject({
      kind: 'failed',
      begun: false,
      error: { code: 'attempts_exhausted', retryAfterMs: 7_000 },
      outcome: { kind: 'failed', httpStatus: 502, attempts: 3 },
    });
    expect(bench.order.settled.map(({ outcome }) => outcome.code)).toEqual(['attempts_exhausted']);
    expect(bench.sink.head).toBeNull();
  });

  test("an endpoint that left the directory between grant and send is another's turn", async () => {
    open({ a: [good], b: [good] });
    const [first, second] = bench.directory.list(POOL);
    const running = bench.run();
    bench.directory.set(second ? [second] : []);
    expect(await finish(running)).toMatchObject({ kind: 'completed', endpointId: 'b' });
    expect(first?.id).toBe('a');
    expect(bench.modelServer.forgotten).toEqual(['http://a']);
  });
});

describe('a call that fails after its first byte', () => {
  test('is never repeated; the error belongs into the stream', async () => {
    open({ a: [[sseHead, event(tokenChunk('Hi')), reset]], b: [goodStream] });
    const result = await finish(bench.run({ stream: true }));
    expect(result).toMatchObject({
      kind: 'failed',
      begun: true,
      error: { code: 'upstream_aborted' },
      outcome: { attempts: 1 },
    });
    expect(bench.sink.ended).toBe(false);
    expect(bench.modelServer.requests).toHaveLength(1);
  });
});

describe('a stream of stored work that breaks after its first byte', () => {
  test('is run again elsewhere, and its sink begins anew', async () => {
    open({ a: [[sseHead, event(tokenChunk('Hi')), reset]], b: [goodStream] });
    const heads: number[] = [];
    const begin = bench.sink.begin.bind(bench.sink);
    bench.sink.begin = (answerHead) => {
      heads.push(answerHead.status);
      bench.sink.head = null;
      begin(answerHead);
    };
    const persist = () => Promise.resolve('segment-1:0');
    const result = await finish(bench.run({ stream: true, kind: 'stored' }, { persist }));
    expect(result).toMatchObject({ kind: 'completed', endpointId: 'b', outcome: { attempts: 2 } });
    expect(heads).toEqual([200, 200]);
    expect(bench.sink.ended).toBe(true);
  });
});

describe('timeouts', () => {
  test('a wait beyond maxWait ends with max_hold_exceeded and leaves the queue', async () => {
    open({ a: [good] });
    bench.order.slots.set('a', 0);
    const result = await finish(bench.run({ timeouts: { maxWaitMs: 3_000 } }));
    expect(result).toMatchObject({
      kind: 'failed',
      error: { code: 'max_hold_exceeded', retryAfterMs: 7_000 },
      outcome: { kind: 'failed', httpStatus: 503, attempts: 0 },
    });
  });

  test('a ticket that outlives its TTL is expired', async () => {
    open({ a: [good] });
    bench.order.slots.set('a', 0);
    const running = bench.run();
    bench.order.evict('expired');
    expect(await finish(running)).toMatchObject({
      kind: 'failed',
      outcome: { kind: 'expired', code: 'queue_ttl_exceeded' },
    });
  });

  test('a silent stream is tried elsewhere after the idle timeout', async () => {
    open({ a: [[hang]], b: [goodStream] });
    const result = await finish(bench.run({ stream: true }));
    expect(result).toMatchObject({ kind: 'completed', endpointId: 'b' });
    expect(bench.reports).toEqual(['a idle_timeout', 'b ok']);
  });

  test('a plain call may think longer than the idle timeout, but not than the overall one', async () => {
    open({ a: [[hang]], b: [good] });
    const running = bench.run({ timeouts: { idleMs: 1_000, overallMs: 20_000 } });
    await bench.clock.advance(19_000);
    expect(bench.reports).toEqual([]);
    expect(await finish(running)).toMatchObject({ kind: 'failed', error: { code: 'upstream_timeout' } });
  });
});

describe('a caller that leaves', () => {
  test('while it waits: the ticket is withdrawn and the outcome is cancelled', async () => {
    open({ a: [good] });
    bench.order.slots.set('a', 0);
    const running = bench.run();
    await settleMicrotasks();
    bench.client.abort();
    expect(await finish(running)).toMatchObject({
      kind: 'failed',
      outcome: { kind: 'cancelled', code: 'request_cancelled' },
    });
  });

  test('while it streams: the upstream call is closed in the same turn', async () => {
    open({ a: [[sseHead, event(tokenChunk('Hi')), hang]] });
    const running = bench.run({ stream: true });
    await settleMicrotasks();
    expect(bench.modelServer.openCalls).toBe(1);
    bench.client.abort();
    expect(bench.modelServer.openCalls).toBe(0);
    expect(await finish(running)).toMatchObject({
      kind: 'failed',
      begun: true,
      outcome: { kind: 'cancelled', httpStatus: 499 },
    });
    expect(bench.order.settled.map(({ outcome }) => outcome.kind)).toEqual(['cancelled']);
    expect(bench.reports).toEqual([]);
    expect(bench.ranked).toEqual(['started a', 'ok a']);
  });

  test('before anything began: nothing is sent', async () => {
    open({ a: [good] });
    bench.client.abort();
    expect(await finish(bench.run())).toMatchObject({ kind: 'failed', outcome: { kind: 'cancelled' } });
    expect(bench.modelServer.requests).toEqual([]);
  });
});

describe('a lost lease', () => {
  test('before the first byte a held call queues once more', async () => {
    open({ a: [[hang], good] });
    const running = bench.run();
    await settleMicrotasks();
    bench.order.lose('call-1');
    expect(bench.modelServer.openCalls).toBe(0);
    bench.order.open('a', 1);
    expect(await finish(running)).toMatchObject({ kind: 'completed' });
    expect(bench.order.entered).toEqual(['call-1', 'call-1']);
  });

  test('a second time it fails', async () => {
    open({ a: [[hang]] });
    const running = bench.run();
    await settleMicrotasks();
    bench.order.lose('call-1');
    bench.order.open('a', 1);
    await settleMicrotasks();
    bench.order.lose('call-1');
    expect(await finish(running)).toMatchObject({ kind: 'failed', error: { code: 'lease_lost' } });
    expect(bench.order.settled).toEqual([]);
  });

  test('after the first byte it fails in the stream', async () => {
    open({ a: [[sseHead, event(tokenChunk('Hi')), hang]] });
    const running = bench.run({ stream: true });
    await settleMicrotasks();
    bench.order.lose('call-1');
    expect(await finish(running)).toMatchObject({ kind: 'failed', begun: true, error: { code: 'lease_lost' } });
  });

  test.each(['stored', 'row'] as const)('%s work goes back to the backlog', async (kind) => {
    open({ a: [[hang]] });
    const running = bench.run({ kind });
    await settleMicrotasks();
    bench.order.lose('call-1');
    expect(await finish(running)).toEqual({ kind: 'handed_back', reason: 'lease_lost' });
  });
});

describe('refusals of the live order', () => {
  const full = { kind: 'rejected', reason: 'queue_full', usedPercent: 100, limit: 'limits.maxRequests' } as const;

  test('a full queue names the limit and when to come back', async () => {
    open({ a: [good] });
    bench.order.nextEntry = full;
    const result = await finish(bench.run());
    expect(result).toMatchObject({
      kind: 'rejected',
      error: { code: 'queue_full', httpStatus: 429, retryAfterMs: 7_000 },
    });
    expect(result.kind === 'rejected' ? result.error.message : '').toContain('limits.maxRequests');
  });

  test('nobody to serve it and nobody to come: 503 with the reason, without entering', async () => {
    open({});
    bench.capacityWhy = 'Three boots in a row failed.';
    const result = await finish(bench.run());
    expect(result).toMatchObject({
      kind: 'rejected',
      error: { code: 'no_capacity', message: 'Three boots in a row failed.' },
    });
    for (const kind of ['stored', 'row'] as const) {
      expect(await finish(bench.run({ kind }))).toEqual({ kind: 'handed_back', reason: 'no_capacity' });
    }
    expect(bench.order.entered).toEqual([]);
  });

  test('an unreachable ledger refuses a held call and hands stored work back', async () => {
    open({ a: [good] });
    bench.order.nextError = new PilotlightError('queue_unavailable', 'Redis is not to be reached.');
    expect(await finish(bench.run())).toMatchObject({ kind: 'rejected', error: { code: 'queue_unavailable' } });
    for (const kind of ['stored', 'row'] as const) {
      bench.order.nextError = new PilotlightError('queue_unavailable', 'Redis is not to be reached.');
      expect(await finish(bench.run({ kind }))).toEqual({ kind: 'handed_back', reason: 'queue_unavailable' });
    }
  });

  test('a shutdown tells a held call to come again', async () => {
    open({ a: [[hang]] });
    const running = bench.run();
    await settleMicrotasks();
    bench.client.abort(new PilotlightError('draining', 'The gateway shuts down.'));
    expect(await finish(running)).toMatchObject({
      kind: 'failed',
      error: { code: 'draining' },
      outcome: { httpStatus: 503 },
    });
  });

  test('a defect of ours gives the slot back', async () => {
    open({ a: [broken] }, { maxAttemptsHeld: 1 });
    bench.advisorFails = true;
    bench.order.nextEntry = { kind: 'rejected', reason: 'queue_full', usedPercent: 100, limit: 'x' };
    await expect(bench.run()).rejects.toThrow('advisor');
    open({ a: [broken], b: [broken], c: [broken] });
    bench.advisorFails = true;
    await expect(bench.run()).rejects.toThrow('advisor');
    expect([...bench.order.slots.values()]).toEqual([1, 1, 1]);
  });

  test('a defect is not swallowed', async () => {
    open({ a: [good] });
    bench.order.nextError = new TypeError('a defect');
    await expect(bench.run()).rejects.toThrow('a defect');
  });
});

test('a row is tried once: its batch decides about the next try', async () => {
  open({ a: [broken, good], b: [good] });
  expect(await finish(bench.run({ kind: 'row' }))).toMatchObject({
    kind: 'failed',
    error: { code: 'upstream_aborted' },
    outcome: { attempts: 1 },
  });
});

describe.each(['stored', 'row'] as const)('work that is stored (%s)', (kind) => {
  const earlier: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };

  test('the slot is free before the result is durable, and the outcome comes after it', async () => {
    open({ a: [good] });
    const slotsAtPersist: (number | undefined)[] = [];
    const persist = () => {
      slotsAtPersist.push(bench.order.slots.get('a'));
      return Promise.resolve('segment-1:0');
    };
    expect(await finish(bench.run({ kind }, { persist }))).toMatchObject({ kind: 'completed' });
    expect(slotsAtPersist).toEqual([1]);
    expect(bench.order.settled).toMatchObject([{ recordRef: 'segment-1:0' }]);
  });

  test('a failure is made durable too', async () => {
    open({ a: [broken] }, { maxAttemptsStored: 1 });
    const persisted: Outcome[] = [];
    const persist = (outcome: Outcome) => {
      persisted.push(outcome);
      return Promise.resolve('segment-1:0');
    };
    await finish(bench.run({ kind }, { persist }));
    expect(persisted).toMatchObject([{ kind: 'failed', code: 'upstream_aborted' }]);
  });

  test('a store that is away for a while is asked again', async () => {
    open({ a: [good] });
    let tries = 0;
    const persist = () => {
      tries += 1;
      return tries < 4 ? Promise.reject(new Error('disk full')) : Promise.resolve('segment-1:0');
    };
    expect(await finish(bench.run({ kind }, { persist }))).toMatchObject({ kind: 'completed' });
    expect(bench.log.lines.filter(({ event: name }) => name === 'result.persist_failed')).toHaveLength(3);
  });

  test('a shutdown hands it back without an outcome', async () => {
    open({ a: [[hang]] });
    const running = bench.run({ kind });
    await settleMicrotasks();
    bench.client.abort(new PilotlightError('draining', 'The gateway shuts down.'));
    expect(await finish(running)).toEqual({ kind: 'handed_back', reason: 'draining' });
    expect(bench.order.settled).toEqual([]);
  });

  test('cut off on a replica that drains, it waits again and no attempt is used; a crash uses one', async () => {
    const persist = () => Promise.resolve('segment-1:0');
    open({ a: [broken], b: [good] });
    bench.directory.set([endpoint('a', { draining: true }), endpoint('b')]);
    const result = await finish(bench.run({ kind }, { persist }));
    expect(result).toMatchObject({ kind: 'completed', endpointId: 'b', outcome: { attempts: 1 } });
    bench.runner.close();

    open({ a: [broken], b: [good] });
    const crashed = await finish(bench.run({ kind }, { persist }));
    expect(crashed).toMatchObject({ outcome: { attempts: kind === 'row' ? 1 : 2 } });
    expect(crashed.kind).toBe(kind === 'row' ? 'failed' : 'completed');
  });

  test.each([
    { name: 'it has its outcome already', entry: { kind: 'done', outcome: earlier } as const, want: earlier },
    { name: 'another owner runs it', entry: { kind: 'live', owner: 'gateway-2' } as const, want: null },
  ])('$name: superseded', async ({ entry, want }) => {
    open({ a: [good] });
    bench.order.nextEntry = entry;
    expect(await finish(bench.run({ kind }))).toEqual({ kind: 'superseded', outcome: want });
  });

  test('another outcome was first: superseded by it', async () => {
    open({ a: [good] });
    bench.order.nextSettle = { ...earlier, kind: 'cancelled' };
    expect(await finish(bench.run({ kind }))).toMatchObject({
      kind: 'superseded',
      outcome: { kind: 'cancelled' },
    });
  });

  test('a settle that does not reach the ledger hands it back', async () => {
    open({ a: [good] });
    bench.order.nextSettle = new PilotlightError('queue_unavailable', 'Redis is not to be reached.');
    expect(await finish(bench.run({ kind }))).toEqual({ kind: 'handed_back', reason: 'queue_unavailable' });
  });
});

describe('while a held call waits', () => {
  test('the sink hears the position at once, on change, and again every so often', async () => {
    open({ a: [good] }, { reportWaitingEveryMs: 5_000 });
    bench.order.slots.set('a', 0);
    const running = bench.run();
    await settleMicrotasks();
    bench.order.moved(3);
    await bench.clock.advance(11_000);
    expect(bench.sink.statuses.map(({ position }) => position)).toEqual([0, 3, 3, 3]);
    bench.order.open('a', 1);
    await finish(running);
    const heard = bench.sink.statuses.length;
    await bench.clock.advance(20_000);
    expect(bench.sink.statuses).toHaveLength(heard);
  });
});

test("the queue time is counted under our name and under the gateway's", async () => {
  open({ a: [good] });
  await finish(bench.run());
  expect(await bench.metric('pilotlight_dispatcher_queue_wait_seconds')).toContain('objective="chat"');
  expect(await bench.metric('inference_extension_flow_control_request_queue_duration_seconds')).toContain(
    'outcome="Dispatched"',
  );
  expect(await bench.metric('pilotlight_dispatcher_calls_total')).toContain('outcome="completed",code="none"} 1');
});
