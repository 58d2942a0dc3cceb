import { fileURLToPath } from 'node:url';
import { loadConfig } from '../config/load-config.ts';
import { formatProblems } from '../config/problem.ts';
import { systemClock } from '../platform/clock.ts';
import { checkWritable } from './demo/adapters/batch-files.ts';
import { makeRunFolder, writeObjects } from './demo/adapters/run-folder.ts';
import { newApiKey } from './demo/api-key.ts';
import { objectsYaml } from './demo/objects-yaml.ts';
import { EXIT, perform } from './demo/perform.ts';
import { traceRows } from './demo/trace-rows.ts';
import { planWorkload, type Workload } from './demo/workload.ts';
import type { DemoOptions, DemoTuning, DemoWorld } from './demo-options.ts';

/** So many slots and so fast that 2,000 rows with the tokens of the Azure trace take about a minute. */
const TUNING: DemoTuning = {
  maxReplicas: 3,
  slotsPerEndpoint: 32,
  speed: 2,
  bootStartMs: 500,
  bootLoadMs: 3_000,
  keepWarmMs: 5_000,
  rowPaceMs: 28,
  leastChatsMs: 5_000,
  leastDueMs: 30_000,
  rowsAfterMs: 2_000,
};

/** The world of a user: this program, the folder it is started in, its terminal. */
function systemWorld(): DemoWorld {
  const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url));
  return {
    self: [process.execPath, main],
    parentFolder: '.pilotlight',
    tuning: TUNING,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    terminal: process.stderr.isTTY ? process.stderr : null,
  };
}

/**
 * Shows the main job from end to end and checks it: the demo starts `pilotlight serve` as a child, is a client of it, and
 * ends it. It holds no queue logic of its own. Resolves with 0 if every accepted request had exactly one outcome, with 1
 * if not, 2 for settings that cannot be used, 130 after Ctrl-C; in each case every process it started is gone.
 */
export async function runDemo(options: DemoOptions, world: DemoWorld = systemWorld()): Promise<number> {
  const { tuning } = world;
  const workload = await workloadOf(options, tuning);
  const folder = await makeRunFolder(world.parentFolder, systemClock.epochMs());
  const keys = { rows: newApiKey(), chats: newApiKey() };
  const hashes = { chatsKeyHash: keys.chats.hash, rowsKeyHash: keys.rows.hash };
  await writeObjects(folder, objectsYaml({ runId: folder.runId, dataDir: folder.data, tuning, ...hashes }));
  const { environment, flags } = options;
  const files = [folder.objects, ...options.files];
  const loaded = loadConfig({ files, environment, flags });
  if (!loaded.ok) {
    world.err(`${formatProblems(loaded.problems)}\n`);
    return EXIT.usage;
  }
  const { input, results, errors } = folder;
  if (options.out !== null) await checkWritable(options.out);
  const paths = { input, output: options.out ?? results, errors };
  return await perform({ options, world, workload, folder, keys, files, paths, config: loaded.config });
}

async function workloadOf({ jobs, chats, trace, seed }: DemoOptions, tuning: DemoTuning): Promise<Workload> {
  return planWorkload(await traceRows(trace, jobs + chats, seed), {
    rows: jobs,
    chats,
    rowsAfterMs: chats > 0 ? tuning.rowsAfterMs : 0,
    chatsWithinMs: Math.max(tuning.leastChatsMs, jobs * tuning.rowPaceMs),
  });
}
