import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KubeApiError, type KubeObject } from '../../../../src/core/kubernetes.ts';
import { seededRandom } from '../../../../src/core/random.ts';
import { openFeed } from '../../../../src/platform/kubernetes/feed.ts';
import { FakeClock, settleMicrotasks } from '../../../support/fake-clock.ts';
import { silentLogger } from '../../../support/silent-logger.ts';
import { FakeApiServer, gone } from './support/fake-api-server.ts';

const PODS = { group: '', version: 'v1', plural: 'pods', kind: 'Pod' };
const CHAT = '/api/v1/namespaces/chat/pods';

type Step =
  | { do: 'put' | 'delete'; name: string }
  | { do: 'putLocally'; name: string; answerAfterSteps: number }
  | { do: 'cut'; by: 'network' | 'gone' | 'server' | 'nobody' }
  | { do: 'refuse'; status: number; times: number }
  | { do: 'say'; text: string }
  | { do: 'wait'; forMs: number }
  | { do: 'compact' | 'deafen' | 'bookmark' | 'down' | 'up' | 'expirePages' | 'reinstall' | 'hold' | 'release' };

const name = fc.constantFrom('a', 'b', 'c', 'ü');
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('put' as const, 'delete' as const), name }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('putLocally' as const), name, answerAfterSteps: fc.nat(3) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('cut' as const),
      by: fc.constantFrom('network', 'gone', 'server', 'nobody'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('refuse' as const),
      status: fc.constantFrom(0, 401, 403, 404, 410, 429, 500, 503, 504),
      times: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('say' as const), text: fc.constantFrom('{"type":', 'no JSON\n', '\n\n') }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), forMs: fc.constantFrom(1, 300, 5_000, 160_000) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constantFrom('compact', 'deafen', 'bookmark', 'down', 'up', 'expirePages', 'reinstall', 'hold', 'release'),
    }),
  },
);

function cutBy(by: 'network' | 'gone' | 'server' | 'nobody'): Error | null {
  if (by === 'nobody') return null;
  return by === 'gone' ? gone() : new KubeApiError(by, { status: by === 'network' ? 0 : 500 });
}

const versionOf = ({ metadata }: KubeObject) => Number(metadata.resourceVersion);

const stateOf = (objects: Iterable<KubeObject>) =>
  [...objects].map(({ metadata, spec }) => `${metadata.name}@${metadata.resourceVersion}=${String(spec)}`).sort();

test('whatever happens between, the feed ends with exactly what the server has, and has told every change', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), fc.integer(), async (steps, seed) => {
      const clock = new FakeClock();
      const server = new FakeApiServer();
      server.install(CHAT);
      const feed = openFeed({
        ...{ api: server, resource: PODS, namespaces: ['chat'], clock, log: silentLogger },
        random: seededRandom(seed),
      });
      // What someone knows who listens to single objects only.
      const wentBack: number[] = [];
      const mirror = new Map<string, KubeObject>();
      feed.onChange((object) => {
        if (!object) return;
        const now = feed.get('chat', object.metadata.name);
        const before = mirror.get(object.metadata.name);
        if (now && before && versionOf(now) < versionOf(before)) wentBack.push(versionOf(now));
        if (now) mirror.set(object.metadata.name, now);
        else mirror.delete(object.metadata.name);
      });
      const answers: { object: KubeObject; atStep: number }[] = [];
      for (const [index, one] of steps.entries()) {
        await perform(one, { server, clock, answers, index });
        for (const { object, atStep } of answers) if (atStep === index) feed.applyLocal(object);
        await settleMicrotasks();
      }
      server.isDown = false;
      server.expiresPages = false;
      server.refusals = [];
      server.release();
      // Silent watches are found out; those that hear bookmarks must be right without another list.
      for (let minute = 0; minute < 7; minute += 1) {
        await clock.advance(60_000);
        server.bookmark();
      }
      await settleMicrotasks();
      const truth = stateOf(server.truth(CHAT).values());
      expect(stateOf(feed.list())).toEqual(truth);
      expect(stateOf(mirror.values())).toEqual(truth);
      expect(wentBack).toEqual([]);
      expect(feed.freshness()).toMatchObject({ state: 'live', why: null });
      await feed.close();
      expect(clock.sleeping).toBe(0);
      expect(server.watching).toBe(0);
    }),
    { numRuns: 500 },
  );
}, 120_000);

interface World {
  readonly server: FakeApiServer;
  readonly clock: FakeClock;
  readonly answers: { object: KubeObject; atStep: number }[];
  readonly index: number;
}

async function perform(step: Step, { server, clock, answers, index }: World): Promise<void> {
  switch (step.do) {
    case 'put':
      server.put(CHAT, step.name, index);
      return;
    case 'putLocally':
      answers.push({ object: server.put(CHAT, step.name, index), atStep: index + step.answerAfterSteps });
      return;
    case 'delete':
      server.delete(CHAT, step.name);
      return;
    case 'cut':
      server.cut(cutBy(step.by));
      return;
    case 'refuse':
      for (let time = 0; time < step.times; time += 1) {
        server.refusals.push(new KubeApiError('refused', { status: step.status, retryAfterMs: step.status * 10 }));
      }
      return;
    case 'say':
      server.say(step.text);
      return;
    case 'wait':
      await clock.advance(step.forMs);
      return;
    case 'compact':
      server.compact();
      return;
    case 'deafen':
      server.deafen();
      return;
    case 'bookmark':
      server.bookmark();
      return;
    case 'down':
    case 'up':
      server.isDown = step.do === 'down';
      if (server.isDown) server.cut(cutBy('network'));
      return;
    case 'hold':
      server.hold();
      return;
    case 'release':
      server.release();
      return;
    case 'expirePages':
      server.expiresPages = true;
      return;
    case 'reinstall':
      server.uninstall(CHAT);
      await settleMicrotasks();
      server.install(CHAT);
      return;
  }
}
