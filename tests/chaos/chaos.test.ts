import { randomInt } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeCluster, useNamespace } from '../cluster/support/namespace.ts';
import { findMoto } from '../support/moto.ts';
import { commandOf } from './support/report.ts';
import { runChaos } from './support/run.ts';
import type { Access } from './support/redis-set.ts';
import { ALL_FAULTS, type FaultKind } from './support/schedule.ts';

const FOLDER = fileURLToPath(new URL('../../.cache/chaos/', import.meta.url));
const { CHAOS_SEED, CHAOS_MINUTES, CHAOS_ONLY } = process.env;
const IS_LONG = CHAOS_MINUTES !== undefined;
/** A gateway and a model server die, another gateway stands still, Redis fails over behind, a stream breaks, the store is full. */
const SHORT_SEEDS = [334];
const SHORT_MS = 12_000;
const seeds = CHAOS_SEED !== undefined ? [Number(CHAOS_SEED)] : IS_LONG ? [randomInt(2 ** 31)] : SHORT_SEEDS;
const durationMs = IS_LONG ? Number(CHAOS_MINUTES) * 60_000 : SHORT_MS;
const kinds = CHAOS_ONLY === undefined ? ALL_FAULTS : CHAOS_ONLY.split(',').map(kindOf);
const shape = { gateways: 3, controllers: IS_LONG ? 2 : 1, engines: IS_LONG ? 4 : 2, slots: 6 };
/** Every second seed. */
const accessOf = (seed: number): Access => (seed % 2 === 0 ? 'sentinels' : 'address');
const STARTED_AND_SETTLED_MS = 600_000;

const moto = await findMoto();

describeCluster('an installation of which anything may die at any time', () => {
  const namespace = useNamespace({ prefix: 'chaos', nodes: [{ gpus: shape.engines + 2 }] });

  test.skipIf(moto.kind === 'missing').each(seeds)(
    'every accepted request has exactly one outcome, and nothing is left (seed %i)',
    async (seed) => {
      const folder = join(FOLDER, `${seed}`);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true });
      const options = {
        seed,
        durationMs,
        kinds,
        shape: { ...shape, redis: accessOf(seed) },
        folder,
        callers: IS_LONG ? 8 : 5,
        rows: IS_LONG ? 400 : 60,
      };
      process.stdout.write(`chaos: ${commandOf(options)}\n`);
      const summary = await runChaos(namespace(), options);
      process.stdout.write(`chaos: ${JSON.stringify(summary)}\n`);
      expect(summary.right).toBeGreaterThan(summary.calls / 8);
      expect(summary.completedJobs).toBeGreaterThan(summary.jobs * 0.8);
      expect(summary.samples).toBeGreaterThan(0);
      await rm(folder, { recursive: true, force: true });
    },
    durationMs * 2 + STARTED_AND_SETTLED_MS,
  );
});

function kindOf(text: string): FaultKind {
  const kind = ALL_FAULTS.find((each) => each === text.trim());
  if (kind === undefined) throw new Error(`"${text}" is no kind of fault; there are: ${ALL_FAULTS.join(', ')}.`);
  return kind;
}
