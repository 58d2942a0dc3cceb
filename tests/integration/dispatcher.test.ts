import { getEventListeners } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { type ScriptedServer, scriptedHttpServer } from '../contract/model-server-http.ts';
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
  type Script,
  send,
  sseHead,
  tokenChunk,
} from '../contract/model-server-script.ts';
import { RecordingSink } from '../unit/dispatcher/support.ts';
import { DispatcherWorld } from './dispatcher-world.ts';

const good: Script = [head(200), json(chatAnswer()), end];
const goodStream: Script = [sseHead, event(roleChunk), event(tokenChunk('Hi')), event(finishChunk('stop')), done, end];

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

/** A dispatcher before one scripted server for each list of scripts. */
async function open(
  ...scripts: readonly (readonly Script[])[]
): Promise<{ world: DispatcherWorld; remotes: readonly ScriptedServer[] }> {
  const remotes = await Promise.all(scripts.map((list) => scriptedHttpServer(...list)));
  const world = new DispatcherWorld(remotes.map(({ url }) => url));
  cleanups.push(() => world.close(), ...remotes.map((remote) => () => remote.close()));
  return { world, remotes };
}

test('an endpoint that dies under a hundred calls loses none that had not started to answer', async () => {
  const { world } = await open([good, good, good, [reset]], [good]);
  const results = await Promise.all(Array.from({ length: 100 }, () => world.run({})));
  expect(results.filter(({ kind }) => kind === 'completed')).toHaveLength(100);
});

test('a client that reads slowly holds the engine back, and gets every byte', async () => {
  const letters = 'x'.repeat(50_000);
  const tokens = Array.from({ length: 40 }, () => event(tokenChunk(letters)));
  const { world } = await open([[sseHead, ...tokens, event(finishChunk('stop')), done, end]]);
  const sink = new RecordingSink();
  sink.room = false;
  const running = world.run({ stream: true }, sink);
  const drains = setInterval(() => sink.drain(), 5);
  try {
    expect(await running).toMatchObject({ kind: 'completed' });
  } finally {
    clearInterval(drains);
  }
  expect(sink.text.split(letters)).toHaveLength(41);
});

test('a client that leaves closes the connection to the engine', async () => {
  const { world, remotes } = await open([[sseHead, event(tokenChunk('Hi')), hang]]);
  const client = new AbortController();
  const sink = new RecordingSink();
  const running = world.run({ stream: true }, sink, client.signal);
  await expect.poll(() => sink.text).toContain('Hi');
  client.abort();
  expect(await running).toMatchObject({ kind: 'failed', outcome: { kind: 'cancelled' } });
  await expect.poll(() => remotes[0]?.connections).toBe(0);
});

test('an endpoint that is gone from the directory has no connections left', async () => {
  const { world, remotes } = await open([good]);
  await world.run({});
  expect(remotes[0]?.connections).toBe(1);
  world.directory.set([]);
  await expect.poll(() => remotes[0]?.connections).toBe(0);
});

describe('after calls of one kind no socket and no listener is left', () => {
  const kinds: readonly { name: string; script: Script; stream: boolean }[] = [
    { name: 'plain answers', script: good, stream: false },
    { name: 'streams', script: goodStream, stream: true },
    { name: 'refusals', script: [head(400), json({ error: {} }), end], stream: false },
    { name: 'resets', script: [reset], stream: false },
    { name: 'a full engine', script: [head(503), end], stream: true },
    { name: 'broken HTTP', script: [head(200), garbage], stream: false },
    { name: 'streams that break', script: [sseHead, event(tokenChunk('Hi')), reset], stream: true },
    { name: 'streams that fall silent', script: [sseHead, event(tokenChunk('Hi')), hang], stream: true },
    { name: 'engines that hang', script: [hang], stream: true },
    { name: 'events that are no JSON', script: [sseHead, send('data: <html>\n\n'), end], stream: true },
  ];

  test.each(kinds)('$name', async ({ script, stream }) => {
    const { world, remotes } = await open([script], [stream ? goodStream : good]);
    const [staying, leaving] = [new AbortController(), new AbortController()];
    const runs = Array.from({ length: 8 }, () => world.run({ stream }, new RecordingSink(), staying.signal));
    const left = world.run({ stream }, new RecordingSink(), leaving.signal);
    leaving.abort();
    await Promise.all(runs);
    expect(await left).toMatchObject({ outcome: { kind: 'cancelled' } });
    expect(getEventListeners(staying.signal, 'abort')).toEqual([]);
    expect(world.order.waiting).toBe(0);
    world.directory.set([]);
    for (const remote of remotes) await expect.poll(() => remote.connections).toBe(0);
    world.stop();
    expect(world.directory.listeners).toBe(0);
  });
});

test('after everything no timer is left', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const { world } = await open([good], [good]);
  await Promise.all(Array.from({ length: 20 }, () => world.run({})));
  await world.close();
  // undici keeps one coarse timer of its own for a second after the last connection.
  await expect.poll(timers, { timeout: 5_000 }).toBeLessThanOrEqual(before);
});
