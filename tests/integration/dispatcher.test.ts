import { getEventListeners } from 'node:events';
import { Registry } from 'prom-client';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { DispatchRequest, DispatchResult } from '../../src/core/dispatch.ts';
import { seededRandom } from '../../src/core/random.ts';
import { UndiciModelServer } from '../../src/dispatcher/adapters/undici-model-server.ts';
import { dispatcherMetrics } from '../../src/dispatcher/metrics.ts';
import { DispatchRunner } from '../../src/dispatcher/runner.ts';
import { SlotsLoop } from '../../src/dispatcher/slots-loop.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { scriptedHttpServer, type ScriptedServer } from '../contract/model-server-http.ts';
import {
  chatAnswer,
  done,
  end,
  event,
  finishChunk,
  garbage,
  hang,
  head,
  json,
  reset,
  roleChunk,
  send,
  sseHead,
  tokenChunk,
  type Script,
} from '../contract/model-server-script.ts';
import { FakeLiveOrder } from '../unit/dispatcher/fake-live-order.ts';
import { endpoint, FakeDirectory, inferenceCall, MemoryLog, POOL, RecordingSink } from '../unit/dispatcher/support.ts';

/** The dispatcher on real sockets; only the live order is in memory. */

const good: Script = [head(200), json(chatAnswer()), end];
const goodStream: Script = [sseHead, event(roleChunk), event(tokenChunk('Hi')), event(finishChunk('stop')), done, end];

let modelServer: UndiciModelServer;
let remotes: ScriptedServer[];
let loops: { close(): void }[];

beforeEach(() => {
  modelServer = new UndiciModelServer({ connectTimeoutMs: 500, keepAliveMs: 300 });
  remotes = [];
  loops = [];
});

afterEach(async () => {
  for (const loop of loops) loop.close();
  await modelServer.close();
  for (const remote of remotes) await remote.close();
});

interface Open {
  readonly run: (stream: boolean, signal?: AbortSignal, sink?: RecordingSink) => Promise<DispatchResult>;
  readonly order: FakeLiveOrder;
  readonly directory: FakeDirectory;
}

async function open(...scripts: readonly (readonly Script[])[]): Promise<Open> {
  remotes = await Promise.all(scripts.map((list) => scriptedHttpServer(...list)));
  const endpoints = remotes.map(({ url }, index) => endpoint(`e${index}`, { url, readyAtEpochMs: 0 }));
  const directory = new FakeDirectory(endpoints);
  const order = new FakeLiveOrder();
  const registry = new Registry();
  const metrics = dispatcherMetrics(registry);
  const shared = { clock: systemClock, log: new MemoryLog(), metrics };
  const slots = new SlotsLoop({
    pool: POOL,
    directory,
    modelServer,
    ledger: {
      setEndpoints: (wanted) => {
        for (const { id, slots: count } of wanted) order.resize(id, count);
        return Promise.resolve();
      },
    },
    ...shared,
  });
  const runner = new DispatchRunner({
    poolRuntimes: () => ({
      order,
      ranker: {
        rank: () => directory.list(POOL).map(({ id }) => id),
        started: () => undefined,
        finished: () => undefined,
      },
      health: slots,
    }),
    directory,
    modelServer,
    advisor: {
      status: (_pool, _objective, position) => ({ position, phase: 'queued', etaMs: null }),
      retryAfterMs: () => 1_000,
      capacity: () => ({ canCome: true }),
    },
    random: seededRandom(1),
    ...shared,
  });
  loops.push(slots, runner);
  let calls = 0;
  const run: Open['run'] = (stream, signal = new AbortController().signal, sink = new RecordingSink()) => {
    calls += 1;
    const id = `call-${calls}`;
    const request: DispatchRequest = {
      call: inferenceCall({ id, stream }),
      ticket: {
        id,
        kind: 'held',
        objective: 'chat',
        priority: 0,
        fairnessId: 'team-a',
        costTokens: 1,
        bytes: 1,
        classKey: '',
        expiresAtEpochMs: null,
        arrivedAtEpochMs: null,
        limits: {
          poolMaxRequests: 1_000,
          poolMaxBytes: 1_000_000,
          shedAtPercent: 100,
          objectiveMaxRequests: 1_000,
          objectiveMaxBytes: 1_000_000,
        },
      },
      timeouts: { maxWaitMs: 20_000, idleMs: 500, overallMs: 20_000 },
    };
    return runner.run(request, sink, { signal });
  };
  return { run, order, directory };
}

describe('on real sockets', () => {
  test('an endpoint that dies under a hundred calls loses none that had not started to answer', async () => {
    const { run } = await open([good, good, good, [reset]], [good]);
    const results = await Promise.all(Array.from({ length: 100 }, () => run(false)));
    expect(results.filter(({ kind }) => kind === 'completed')).toHaveLength(100);
  });

  test('a client that reads slowly holds the engine back, and gets every byte', async () => {
    const letters = 'x'.repeat(50_000);
    const tokens = Array.from({ length: 40 }, () => event(tokenChunk(letters)));
    const { run } = await open([[sseHead, ...tokens, event(finishChunk('stop')), done, end]]);
    const sink = new RecordingSink();
    sink.room = false;
    const running = run(true, undefined, sink);
    const drains = setInterval(() => sink.drain(), 5);
    try {
      expect(await running).toMatchObject({ kind: 'completed' });
    } finally {
      clearInterval(drains);
    }
    expect(sink.text.split(letters)).toHaveLength(41);
  });

  test('a client that leaves closes the connection to the engine', async () => {
    const { run } = await open([[sseHead, event(tokenChunk('Hi')), hang]]);
    const client = new AbortController();
    const sink = new RecordingSink();
    const running = run(true, client.signal, sink);
    await expect.poll(() => sink.text).toContain('Hi');
    client.abort();
    expect(await running).toMatchObject({ kind: 'failed', outcome: { kind: 'cancelled' } });
    await expect.poll(() => remotes[0]?.connections).toBe(0);
  });

  test('an endpoint that is gone from the directory has no connections left', async () => {
    const { run, directory } = await open([good]);
    await run(false);
    expect(remotes[0]?.connections).toBe(1);
    directory.set([]);
    await expect.poll(() => remotes[0]?.connections).toBe(0);
  });
});

test('after calls of every kind no socket, no timer and no listener is left', async () => {
  const kinds: readonly { script: Script; stream: boolean }[] = [
    { script: good, stream: false },
    { script: goodStream, stream: true },
    { script: [head(400), json({ error: {} }), end], stream: false },
    { script: [reset], stream: false },
    { script: [head(503), end], stream: true },
    { script: [head(200), garbage], stream: false },
    { script: [sseHead, event(tokenChunk('Hi')), reset], stream: true },
    { script: [sseHead, event(tokenChunk('Hi')), hang], stream: true },
    { script: [hang], stream: true },
    { script: [sseHead, send('data: <html>\n\n'), end], stream: true },
  ];
  const timersBefore = process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const listened = new AbortController();
  for (const { script, stream } of kinds) {
    const { run, order, directory } = await open([script], [stream ? goodStream : good]);
    const leaving = new AbortController();
    const runs = [...Array.from({ length: 8 }, () => run(stream, listened.signal)), run(stream, leaving.signal)];
    leaving.abort();
    const results = await Promise.all(runs);
    expect(results.at(-1)).toMatchObject({ outcome: { kind: 'cancelled' } });
    expect(order.waiting).toBe(0);
    for (const loop of loops.splice(0)) loop.close();
    expect(directory.listeners).toBe(0);
    directory.set([]);
    for (const remote of remotes) {
      modelServer.forget(remote.url);
      await expect.poll(() => remote.connections).toBe(0);
      await remote.close();
    }
  }
  expect(getEventListeners(listened.signal, 'abort')).toEqual([]);
  await expect
    .poll(() => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length)
    .toBeLessThanOrEqual(timersBefore + 1);
  expect(process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap')).toEqual([]);
});
