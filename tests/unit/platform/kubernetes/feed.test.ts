import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { KubeApiError, type KubeObject, type KubeResource } from '../../../../src/core/kubernetes.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { type FeedOptions, type OpenFeed, openFeed } from '../../../../src/platform/kubernetes/feed.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { FakeApiServer, gone } from './support/fake-api-server.ts';

const PODS: KubeResource = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };
const POOLS: KubeResource = { group: 'llm-d.ai', version: 'v1alpha2', plural: 'pools', kind: 'Pool' };
const OLD_POOLS: KubeResource = { ...POOLS, group: 'inference.networking.x-k8s.io' };
const CHAT = '/api/v1/namespaces/chat/pods';
const BATCH = '/api/v1/namespaces/batch/pods';
const NEW = '/apis/llm-d.ai/v1alpha2/namespaces/chat/pools';
const OLD = '/apis/inference.networking.x-k8s.io/v1alpha2/namespaces/chat/pools';

let clock: FakeClock;
let server: FakeApiServer;
const open: OpenFeed[] = [];

beforeEach(() => {
  clock = new FakeClock();
  server = new FakeApiServer();
  for (const collection of [CHAT, BATCH]) server.install(collection);
});

afterEach(async () => {
  for (const feed of open.splice(0)) await feed.close();
});

async function follow(options: Partial<FeedOptions> = {}): Promise<OpenFeed> {
  const feed = openFeed({
    api: server,
    resource: PODS,
    namespaces: ['chat'],
    clock,
    random: seededRandom(1),
    log: silentLogger,
    ...options,
  });
  open.push(feed);
  await settleMicrotasks();
  return feed;
}

const names = (feed: OpenFeed) =>
  feed
    .list()
    .map(({ metadata }) => metadata.name)
    .sort();

test('it lists, then follows each change, and tells each to its listeners', async () => {
  server.put(CHAT, 'a', 1);
  const feed = await follow();
  await feed.whenSynced();
  const told: (string | null)[] = [];
  feed.onChange((object) => told.push(object?.metadata.name ?? null));
  server.put(CHAT, 'b', 1);
  server.put(CHAT, 'ä', '€');
  server.delete(CHAT, 'a');
  await settleMicrotasks();
  expect(names(feed)).toEqual(['b', 'ä']);
  expect(told).toEqual(['b', 'ä', 'a']);
  expect(feed.get('chat', 'ä')).toMatchObject({ kind: 'Pod', spec: '€' });
  expect(feed.freshness()).toMatchObject({ state: 'live', why: null });
});

test('each namespace is listed and watched by itself, and the worst of them is the state', async () => {
  server.put(CHAT, 'a', 1);
  server.put(BATCH, 'a', 2);
  server.refusals.push(new KubeApiError('pods is forbidden', { status: 403 }));
  const feed = await follow({ namespaces: ['chat', 'batch', 'chat'] });
  expect(feed.list()).toHaveLength(1);
  expect(feed.freshness()).toMatchObject({ state: 'syncing', heardAtEpochMs: null });
  await clock.advance(1_000);
  expect(feed.list()).toHaveLength(2);
  expect(feed.get('batch', 'a')?.spec).toBe(2);
  expect(feed.freshness().state).toBe('live');
  expect(server.watching).toBe(2);
  expect(server.asked.every((line) => line.includes('/namespaces/'))).toBe(true);
});

test('selectors and the wish for bookmarks go with each request', async () => {
  await follow({ labelSelector: 'app=chat', fieldSelector: 'spec.nodeName!=' });
  const selectors = { labelSelector: 'app=chat', fieldSelector: 'spec.nodeName!=' };
  expect(server.queries[0]).toEqual({ ...selectors, limit: '500' });
  expect(server.queries[1]).toMatchObject({ ...selectors, allowWatchBookmarks: 'true', resourceVersion: '100' });
  const seconds = Number(server.queries[1]?.['timeoutSeconds']);
  expect(seconds).toBeGreaterThanOrEqual(240);
  expect(seconds).toBeLessThanOrEqual(300);
});

test('a long list comes in pages', async () => {
  for (let index = 0; index < 1_200; index += 1) server.put(CHAT, `pod-${index}`, index);
  const feed = await follow();
  expect(feed.list()).toHaveLength(1_200);
  expect(server.asked.filter((line) => line.startsWith('list'))).toHaveLength(3);
});

test('a list whose pages expire again and again is asked for in one piece', async () => {
  for (let index = 0; index < 600; index += 1) server.put(CHAT, `pod-${index}`, index);
  server.expiresPages = true;
  const feed = await follow();
  await clock.advance(1_000);
  expect(feed.list()).toHaveLength(600);
  expect(server.queries.map((query) => query['limit'])).toEqual(['500', '500', '500', '500', undefined, undefined]);
});

test('without namespaces there is nothing to follow, and that is no trouble', async () => {
  const feed = await follow({ namespaces: [] });
  await feed.whenSynced();
  expect(feed.freshness().state).toBe('live');
  expect(server.asked).toEqual([]);
});

test('a watch that ends in time is taken up where it ended, without a list', async () => {
  const feed = await follow();
  await clock.advance(60_000);
  server.put(CHAT, 'a', 1);
  await settleMicrotasks();
  server.cut(null);
  await settleMicrotasks();
  expect(server.asked).toEqual([`list ${CHAT}`, `watch ${CHAT} from 100`, `watch ${CHAT} from 101`]);
  expect(feed.freshness().state).toBe('live');
});

test('a bookmark moves the place from which it goes on', async () => {
  await follow();
  server.put(BATCH, 'elsewhere', 1);
  server.bookmark();
  await clock.advance(10_000);
  server.cut(null);
  await settleMicrotasks();
  expect(server.asked.at(-1)).toBe(`watch ${CHAT} from 101`);
});

test('what was deleted while nobody watched is told after the list', async () => {
  server.put(CHAT, 'kept', 1);
  server.put(CHAT, 'deleted', 1);
  const feed = await follow();
  const told: (string | null)[] = [];
  feed.onChange((object) => told.push(object?.metadata.name ?? null));
  server.isDown = true;
  server.cut(new KubeApiError('reset', { status: 0 }));
  server.delete(CHAT, 'deleted');
  server.compact();
  await clock.advance(100);
  server.isDown = false;
  await clock.advance(30_000);
  expect(names(feed)).toEqual(['kept']);
  expect(told.filter((name) => name !== null)).toEqual(['deleted']);
  expect(told.at(-1)).toBeNull();
});

describe('trouble', () => {
  test.each([
    { name: 'a lost connection', end: new KubeApiError('reset', { status: 0 }), lists: 0 },
    { name: 'a 410', end: gone(), lists: 1 },
    { name: 'a 500', end: new KubeApiError('boom', { status: 500 }), lists: 1 },
    { name: 'a polite end at once', end: null, lists: 0 },
  ])('$name is got over, with $lists lists', async ({ end, lists }) => {
    const feed = await follow();
    const before = server.asked.filter((line) => line.startsWith('list')).length;
    server.cut(end);
    server.put(CHAT, 'meanwhile', 1);
    await clock.advance(1_000);
    expect(names(feed)).toEqual(['meanwhile']);
    expect(server.asked.filter((line) => line.startsWith('list')).length - before).toBe(lists);
    expect(feed.freshness().state).toBe('live');
  });

  test('an error inside the stream is the same as one before it', async () => {
    const feed = await follow();
    server.say(`${JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } })}\n`);
    await clock.advance(1_000);
    server.put(CHAT, 'a', 1);
    await settleMicrotasks();
    expect(names(feed)).toEqual(['a']);
    expect(server.asked.filter((line) => line.startsWith('list'))).toHaveLength(2);
  });

  test('a line that is no JSON leads to a new list', async () => {
    const feed = await follow();
    server.say('<html>login</html>\n');
    server.put(CHAT, 'a', 1);
    await clock.advance(1_000);
    expect(names(feed)).toEqual(['a']);
  });

  test('a connection without even a bookmark is cut and listed again', async () => {
    const feed = await follow();
    server.deafen();
    server.put(CHAT, 'unheard', 1);
    await clock.advance(119_000);
    expect(names(feed)).toEqual([]);
    await clock.advance(32_000);
    expect(names(feed)).toEqual(['unheard']);
  });

  test('bookmarks keep a quiet watch open', async () => {
    await follow();
    for (let minute = 0; minute < 10; minute += 1) {
      await clock.advance(60_000);
      server.bookmark();
    }
    expect(server.asked).toHaveLength(2);
  });

  test('a server that is down makes it stale, with a reason, and the old objects stay', async () => {
    server.put(CHAT, 'a', 1);
    const feed = await follow();
    const states: string[] = [];
    feed.onChange(() => states.push(feed.freshness().state));
    const heardAtEpochMs = clock.epochMs();
    server.isDown = true;
    server.cut(new KubeApiError('reset', { status: 0 }));
    await clock.advance(60_000);
    expect(feed.freshness()).toEqual({ state: 'stale', heardAtEpochMs, why: 'ECONNREFUSED' });
    expect(names(feed)).toEqual(['a']);
    server.isDown = false;
    await clock.advance(45_000);
    expect(feed.freshness()).toMatchObject({ state: 'live', why: null });
    expect(states).toContain('stale');
    expect(states.at(-1)).toBe('live');
  });

  test('attempts grow rarer while it fails', async () => {
    await follow();
    server.isDown = true;
    server.cut(new KubeApiError('reset', { status: 0 }));
    await clock.advance(600_000);
    const attempts = server.asked.length - 2;
    expect(attempts).toBeGreaterThan(20);
    expect(attempts).toBeLessThan(60);
  });

  test('a server that asks for time is given it', async () => {
    server.refusals.push(new KubeApiError('slow down', { status: 429, retryAfterMs: 20_000 }));
    const feed = await follow();
    await clock.advance(19_000);
    expect(server.asked).toHaveLength(1);
    expect(feed.freshness()).toMatchObject({ state: 'syncing', why: 'slow down' });
    await clock.advance(4_000);
    expect(feed.freshness().state).toBe('live');
  });

  test('a missing right is named with the Role that gives it', async () => {
    server.refusals.push(...Array.from({ length: 3 }, () => new KubeApiError('pods is forbidden', { status: 403 })));
    const feed = await follow();
    expect(feed.freshness().state).toBe('syncing');
    expect(feed.freshness().why).toBe(
      'pods is forbidden; needs a Role with get, list and watch on pods in namespace chat',
    );
    await clock.advance(10_000);
    expect(feed.freshness().state).toBe('live');
  });

  test.each([1, 5])(
    '%i wrong answers of 404, as a server that starts gives for seconds, cost no objects',
    async (answers) => {
      server.put(CHAT, 'a', 1);
      const feed = await follow();
      const counts = new Set<number>();
      feed.onChange(() => counts.add(feed.list().length));
      server.refusals.push(...Array.from({ length: answers }, () => new KubeApiError('not found', { status: 404 })));
      server.cut(new KubeApiError('reset', { status: 0 }));
      await clock.advance(60_000);
      expect([...counts]).toEqual([1]);
      expect(feed.freshness().state).toBe('live');
    },
  );

  test('more objects than allowed are refused, said, and looked for again', async () => {
    for (const name of ['a', 'b', 'c']) server.put(CHAT, name, 1);
    const feed = await follow({ maxObjects: 3 });
    server.put(CHAT, 'd', 1);
    await clock.advance(10_000);
    expect(names(feed)).toEqual(['a', 'b', 'c']);
    expect(feed.freshness().state).toBe('stale');
    expect(feed.freshness().why).toContain('more than the 3 objects that this process keeps');
    server.delete(CHAT, 'a');
    await clock.advance(120_000);
    expect(names(feed)).toEqual(['b', 'c', 'd']);
    expect(feed.freshness().state).toBe('live');
  });

  test('a listener that throws hurts nobody else', async () => {
    const feed = await follow();
    const told: unknown[] = [];
    feed.onChange(() => {
      throw new Error('bad listener');
    });
    feed.onChange((object) => told.push(object?.metadata.name));
    server.put(CHAT, 'a', 1);
    server.put(CHAT, 'b', 1);
    await settleMicrotasks();
    expect(told).toEqual(['a', 'b']);
  });
});

describe('resources that come and go', () => {
  test('a resource that is not installed is absent until its CRD arrives', async () => {
    const feed = await follow({ resource: POOLS });
    await feed.whenSynced();
    expect(feed.freshness().state).toBe('absent');
    expect(feed.freshness().why).toContain('does not know pools.llm-d.ai: its CRD is not installed');
    const states = new Set<string>();
    feed.onChange(() => states.add(feed.freshness().state));
    await clock.advance(100_000);
    expect([...states]).toEqual([]);
    server.install(NEW);
    server.put(NEW, 'pool', 1);
    await clock.advance(31_000);
    expect(names(feed)).toEqual(['pool']);
    expect(feed.freshness().state).toBe('live');
  });

  test('a CRD that is removed takes its objects along, and may come back', async () => {
    server.install(NEW);
    server.put(NEW, 'pool', 1);
    const feed = await follow({ resource: POOLS });
    const told: (string | null)[] = [];
    feed.onChange((object) => told.push(object?.metadata.name ?? null));
    server.uninstall(NEW);
    await clock.advance(10_000);
    expect(feed.freshness().state).toBe('stale');
    await clock.advance(20_000);
    expect(feed.freshness().state).toBe('absent');
    expect(names(feed)).toEqual([]);
    expect(told).toContain('pool');
    server.install(NEW);
    server.put(NEW, 'other', 1);
    await clock.advance(40_000);
    expect(names(feed)).toEqual(['other']);
  });

  test('of several candidates the first that is installed is followed', async () => {
    server.install(OLD);
    server.put(OLD, 'old', 1);
    const feed = await follow({ resource: [POOLS, OLD_POOLS] });
    await feed.whenSynced();
    expect(feed.resource).toEqual(OLD_POOLS);
    expect(names(feed)).toEqual(['old']);
  });

  test('a better candidate takes over once it was listed, and never leaves a gap', async () => {
    server.install(OLD);
    server.put(OLD, 'old', 1);
    const feed = await follow({ resource: [POOLS, OLD_POOLS] });
    const counts = new Set<number>();
    feed.onChange(() => counts.add(feed.list().length));
    server.install(NEW);
    server.put(NEW, 'new', 1);
    await clock.advance(31_000);
    expect(feed.resource).toEqual(POOLS);
    expect(names(feed)).toEqual(['new']);
    expect([...counts]).toEqual([1]);
    expect(server.watching).toBe(1);
    server.uninstall(NEW);
    await clock.advance(40_000);
    expect(feed.resource).toEqual(OLD_POOLS);
    expect(names(feed)).toEqual(['old']);
  });

  test('a discovery that fails is asked again', async () => {
    server.isDown = true;
    const feed = await follow({ resource: [POOLS, OLD_POOLS] });
    expect(feed.freshness()).toMatchObject({ state: 'syncing', why: 'ECONNREFUSED' });
    server.isDown = false;
    server.install(NEW);
    await clock.advance(5_000);
    expect(feed.freshness().state).toBe('live');
  });
});

describe('own writes', () => {
  test('an answer of the server is seen at once, and the watch confirms it without a second word', async () => {
    server.put(CHAT, 'a', 1);
    const feed = await follow();
    server.deafen();
    const written = server.put(CHAT, 'a', 2);
    expect(feed.applyLocal(written)).toBe(true);
    expect(feed.get('chat', 'a')?.spec).toBe(2);
    expect(feed.applyLocal(written)).toBe(false);
  });

  test('a late answer neither undoes a change nor brings back what is gone', async () => {
    server.put(CHAT, 'a', 1);
    const feed = await follow();
    const late = server.put(CHAT, 'a', 2);
    server.put(CHAT, 'a', 3);
    await settleMicrotasks();
    expect(feed.applyLocal(late)).toBe(false);
    expect(feed.get('chat', 'a')?.spec).toBe(3);
    server.delete(CHAT, 'a');
    await settleMicrotasks();
    expect(feed.applyLocal(late)).toBe(false);
    expect(names(feed)).toEqual([]);
  });
});

test('a write during a list is not undone by it', async () => {
  server.put(CHAT, 'a', 1);
  const feed = await follow();
  server.hold();
  server.cut(gone());
  await clock.advance(1);
  feed.applyLocal(server.put(CHAT, 'a', 2));
  feed.applyLocal(server.put(CHAT, 'b', 1));
  const seen: unknown[] = [];
  feed.onChange(() => seen.push(feed.list().map(({ spec }) => spec)));
  server.release();
  await settleMicrotasks();
  expect(seen.length).toBeGreaterThan(0);
  for (const specs of seen) expect(specs).toEqual([2, 1]);
});

test('pods are kept without managedFields, other kinds with them', async () => {
  server.install(NEW);
  const managed = (feed: OpenFeed, name: string) => feed.get('chat', name)?.metadata.managedFields;
  const withFields = (collection: string, name: string, kind: string) => {
    const object = server.put(collection, name, 1, kind);
    Object.assign(object.metadata, { managedFields: [{ manager: 'kubectl' }] });
  };
  withFields(CHAT, 'pod', 'Pod');
  withFields(NEW, 'pool', 'Pool');
  expect(managed(await follow(), 'pod')).toBeUndefined();
  expect(managed(await follow({ resource: POOLS }), 'pool')).toHaveLength(1);
  const transform = (object: KubeObject) => ({ ...object, spec: 'mine' });
  expect((await follow({ transform })).get('chat', 'pod')?.spec).toBe('mine');
});

test('close ends every watch and every wait, whatever it waits for', async () => {
  const feed = await follow({ namespaces: ['chat', 'batch'] });
  server.isDown = true;
  const failing = await follow({ resource: [POOLS, OLD_POOLS] });
  const waiting = failing.whenSynced();
  await Promise.all([feed.close(), failing.close(), expect(waiting).rejects.toThrow('was closed')]);
  expect(server.watching).toBe(0);
  expect(clock.sleeping).toBe(0);
});
