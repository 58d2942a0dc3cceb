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
/** In seven seconds each of `SHORT_KINDS` once, those of gateways each another. */
const SHORT_SEEDS = [30412];
const SHORT_MS = 7_000;
const SHORT_KINDS: readonly FaultKind[] = [
  ...(['kill gateway', 'freeze gateway', 'kill engine', 'engines die in mid-stream'] as const),
  ...(['fail over behind', 'store is full'] as const),
];
const seeds = CHAOS_SEED !== undefined ? [Number(CHAOS_SEED)] : IS_LONG ? [randomInt(2 ** 31)] : SHORT_SEEDS;
const durationMs = IS_LONG ? Number(CHAOS_MINUTES) * 60_000 : SHORT_MS;
const kinds = CHAOS_ONLY?.split(',').map(kindOf) ?? (IS_LONG ? ALL_FAULTS : SHORT_KINDS);
const shape = IS_LONG
  ? { gateways: 3, controllers: 2, engines: 4, slots: 6 }
  : { gateways: 2, controllers: 1, engines: 2, slots: 3 };
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
        callers: IS_LONG ? 8 : 4,
        rows: IS_LONG ? 400 : 24,
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
