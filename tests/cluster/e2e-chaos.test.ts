import { randomInt } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../../src/core/random.ts';
import { fetchResults } from '../support/job-client.ts';
import { startDedicatedRedis } from '../support/redis.ts';
import { until } from '../support/until.ts';
import { burst, wrongCalls } from './support/calls.ts';
import { type ChaosWorld, type Happened, happen, planChaos } from './support/chaos-events.ts';
import { startLoad } from './support/chaos-load.ts';
import { violations } from './support/chaos-rules.ts';
import { eventually } from './support/eventually.ts';
import { describeCluster, openNamespace, ownCluster } from './support/namespace.ts';
import { type Pilotlight, startPilotlight } from './support/pilotlight.ts';
import { specReplicas } from './support/policy.ts';
import { applyCrds, simPool } from './support/sim-pool.ts';
import { watchPods } from './support/watch-pods.ts';

const SECONDS = Number(process.env['TEST_CHAOS_SECONDS'] ?? 40);
const SEED = Number(process.env['TEST_CHAOS_SEED'] ?? randomInt(2 ** 31));
const MAX_REPLICAS = 3;
/** 25 % of three, rounded up: what a rolling update may add. */
const SURGE = 1;
const SETTLE_MS = 120_000;

describeCluster('a mixed load while everything is killed, restarted and replaced', () => {
  test(
    'every job has its one right outcome, every call ends as it must, nothing is left behind, and never are there too many pods',
    async () => {
      const random = seededRandom(SEED);
      const cluster = await ownCluster();
      const redis = await startDedicatedRedis();
      const namespace = await openNamespace(cluster, { nodes: [{ gpus: MAX_REPLICAS + SURGE }] });
      await applyCrds(cluster);
      const behaviour = { 'backoff-ms': '200' };
      await namespace.apply(simPool({ slots: 4, maxReplicas: MAX_REPLICAS, sim: ['--speed=2'], behaviour }));

      let started = 0;
      const kept: { folder?: string } = {};
      const start = (role: 'gateway' | 'controller', keepsJobs: boolean) => {
        started += 1;
        const settings = keepsJobs ? {} : { jobs: { enabled: false } };
        const identity = `${role}-${started}-of-chaos`;
        const common = { namespace, redisUrl: redis.url, role, identity, settings };
        return startPilotlight({ ...common, ...(keepsJobs ? kept : {}) });
      };
      const [keeper, spare, ...controllers] = (await Promise.all([
        start('gateway', true),
        start('gateway', false),
        start('controller', false),
        start('controller', false),
      ])) as [Pilotlight, Pilotlight, ...Pilotlight[]];
      kept.folder = keeper.folder;
      const world: ChaosWorld = {
        ...{ cluster, namespace, redis, random, maxReplicas: MAX_REPLICAS, byHand: null, spare, keeper, controllers },
        startKeeper: () => start('gateway', true),
        startSpare: () => start('gateway', false),
        startController: () => start('controller', false),
      };

      const watched = watchPods(namespace);
      const load = startLoad({
        random: seededRandom(SEED + 1),
        gateways: () => [world.keeper, world.spare],
        keeper: () => world.keeper,
      });
      const happened: Happened[] = [];
      const describe = () =>
        [
          `seed ${SEED} (TEST_CHAOS_SEED), ${SECONDS} s (TEST_CHAOS_SECONDS)`,
          ...happened.map(({ kind, fromMs, toMs }) => `${Math.round(fromMs)}–${Math.round(toMs)} ms: ${kind}`),
        ].join('\n');
      const settled = (what: string, holds: () => Promise<boolean>) =>
        eventually(holds, what, SETTLE_MS).catch(async (error: unknown) => {
          const logs = await Promise.all([world.keeper, world.spare, ...world.controllers].map((one) => one.log()));
          throw new Error([String(error), describe(), JSON.stringify(await world.keeper.status()), ...logs].join('\n'));
        });

      const beganMs = performance.now();
      const plan = planChaos(random, SECONDS * 1_000);
      for (const { atMs, kind } of plan) {
        // What took longer than planned leaves the rest out, except for what comes last.
        if (performance.now() - beganMs > SECONDS * 1_000 && atMs < SECONDS * 1_000) continue;
        await sleep(Math.max(0, beganMs + atMs - performance.now()));
        const failed = (error: unknown) => new Error(`${kind}: ${String(error)}\n${describe()}`, { cause: error });
        happened.push(await happen(world, kind).catch((error: unknown) => Promise.reject(failed(error))));
      }
      await load.stop();

      await settled('every accepted job has its outcome', async () => {
        const pool = await world.keeper.pool('chat').catch(() => undefined);
        return pool?.objectives.every(({ stored, running }) => stored === 0 && running === 0) ?? false;
      });
      const results = await fetchResults(world.keeper.apiUrl, load.jobs);
      const wrongJobs = results.filter(({ status, text, expected }) => status !== 'completed' || text !== expected);
      expect(wrongJobs, describe()).toEqual([]);
      expect(violations(load.calls, happened), describe()).toEqual([]);
      expect(load.calls.filter(({ isRight }) => isRight).length, describe()).toBeGreaterThan(load.calls.length / 2);
      expect(load.jobs.length, describe()).toBeGreaterThan(0);

      if (world.byHand !== null) {
        expect(await specReplicas(namespace, 'chat'), describe()).toBe(world.byHand);
        await namespace.scale('deployments', 'chat', 0);
      } else {
        expect(await wrongCalls(burst(2, { apiUrl: world.spare.apiUrl }, 'after')), describe()).toEqual([]);
      }
      await settled('the pool is at zero', async () => {
        const pool = await world.keeper.pool('chat').catch(() => undefined);
        const pods = await namespace.pods('app=chat');
        return pool?.phase === 'Asleep' && pool.replicas.length === 0 && pods.length === 0;
      });
      watched.stop();
      const { slots, objectives } = (await world.keeper.pool('chat'))!;
      expect(slots, describe()).toEqual({ open: 0, used: 0 });
      const left = objectives.filter((one) => one.waitingHeld + one.waitingStored + one.running + one.stored > 0);
      expect(left, describe()).toEqual([]);
      expect(await specReplicas(namespace, 'chat'), describe()).toBe(0);
      expect(watched.mostAtOnce(), describe()).toBeLessThanOrEqual(MAX_REPLICAS + SURGE);
      const podFolder = `${cluster.handle.folder}/pods/`;
      await until(async () => (await processesOf(podFolder)).length === 0, 'no engine is left');

      for (const one of [world.spare, ...world.controllers, world.keeper]) expect(await one.stop(), describe()).toBe(0);
    },
    (SECONDS + 300) * 1_000,
  );
});

/** Ids of the processes that have that text in their environment. */
async function processesOf(text: string): Promise<readonly string[]> {
  const ids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    ids.map(async (id) => ((await readFile(`/proc/${id}/environ`, 'utf8').catch(() => '')).includes(text) ? [id] : [])),
  );
  return found.flat();
}
