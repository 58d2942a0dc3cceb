import { setTimeout as sleep } from 'node:timers/promises';
import type { OpenAI } from 'openai';
import type { TestNamespace } from '../../cluster/support/namespace.ts';
import { batchFiles, batchRows, problemsOf, sdk, startBatch } from '../../support/batch-rows.ts';
import { expectedSeed } from '../../support/expected-text.ts';
import { until } from '../../support/until.ts';
import { type Evidence, type JobEnd, type Violation, violations } from './checker.ts';
import { type Happened, happen } from './faults.ts';
import { watchLedger } from './ledger-watch.ts';
import { type AcceptedJob, type HeldCall, startLoad } from './load.ts';
import { report } from './report.ts';
import { ALL_LANES, type FaultKind, type PlannedFault, planFaults } from './schedule.ts';
import { BATCH_KEY, openWorld, type World, type WorldOptions } from './world.ts';

export interface ChaosOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly kinds: readonly FaultKind[];
  readonly shape: WorldOptions;
  readonly callers: number;
  readonly rows: number;
  /** Everything that is written goes here and stays. */
  readonly folder: string;
}

/** What a run did, for a line of text. */
export interface ChaosSummary {
  readonly faults: number;
  readonly calls: number;
  readonly right: number;
  readonly jobs: number;
  readonly completedJobs: number;
  readonly rows: number;
  readonly failovers: number;
  readonly samples: number;
  /** How calls ended that did not end right. */
  readonly codes: Readonly<Record<string, number>>;
  /** Of one model server, by the ledger and by its journal: what of its slots was used at once, at most. */
  readonly mostUsed: number;
  readonly mostOpen: number;
  /** Kind → how often it happened. */
  readonly kinds: Readonly<Record<string, number>>;
  /** What the machine took: to start it all, for the load and its faults, until all was settled. */
  readonly tookMs: { readonly start: number; readonly load: number; readonly settle: number };
}

const SETTLE_MS = 150_000;
const ASKED_AT_ONCE = 8;

/** Starts a world, lets the faults of the seed happen under load, and checks what came of it. Throws a report. */
export async function runChaos(namespace: TestNamespace, options: ChaosOptions): Promise<ChaosSummary> {
  const { seed, durationMs, kinds, folder } = options;
  const planned = planFaults({ seed, durationMs, kinds });
  const startedMs = performance.now();
  const world = await openWorld(namespace, folder, options.shape);
  const openMs = performance.now();
  const happened: Happened[] = [];
  const watch = watchLedger(() => world.redis.primary.port);
  const rows = batchRows(options.rows, { max_tokens: 12 });
  const client = () => sdk(world.gateways[0]?.apiUrl ?? '', BATCH_KEY, { maxRetries: 0 });
  const batch = await startBatch(client(), rows, { metadata: { 'pilotlight-objective': 'nightly' } });
  const load = startLoad({ seed, gateways: world.gateways, callers: options.callers });
  const state = { evidence: null as Evidence | null };
  const explain = async (what: string, found: readonly Violation[]) =>
    new Error(await report({ what, found, planned, happened, evidence: state.evidence, world, options }));

  try {
    await letHappen(world, planned, happened);
    await world.heal();
    await load.stop();
    const stoppedMs = performance.now();
    const ended = await settled(() => batchEnded(client, batch.id), 'the batch has ended');
    const known = new Map<string, JobEnd>();
    const jobs = await settled(() => jobEnds(world, load.jobs, known), 'every accepted job has its outcome');
    state.evidence = {
      ...{ slots: world.slots, calls: load.calls, jobs, happened, samples: watch.samples },
      rows: rows.map(({ body }) => expectedSeed(body)),
      journal: await world.journal(),
      absences: world.gateways.flatMap(({ absences }) => absences),
    };
    const found: Violation[] = [...violations(state.evidence)];
    const files = await settled(() => batchFiles(client(), ended), 'the files of the batch are read');
    const ofBatch = (told: string) =>
      found.push({ rule: 'a batch is whole and in order', id: batch.id, told, seed: null });
    if (ended.status !== 'completed') ofBatch(`it ended as ${ended.status}`);
    problemsOf(rows, files).slice(0, 20).forEach(ofBatch);
    let left: Readonly<Record<string, number>> = {};
    const isEmpty = async () => {
      left = await watch.leftovers();
      return Object.keys(left).length === 0 ? true : null;
    };
    await settled(isEmpty, 'nothing is left').catch(() => {
      for (const [key, count] of Object.entries(left))
        found.push({ rule: 'nothing is left in a queue, no slot is leaked', id: key, told: `${count}`, seed: null });
    });
    if (found.length > 0) throw await explain('rules were broken', found);
    return {
      ...{
        faults: happened.length,
        calls: load.calls.length,
        right: load.calls.filter(({ isRight }) => isRight).length,
      },
      ...{ jobs: jobs.length, completedJobs: jobs.filter(({ told }) => told[0]?.status === 'completed').length },
      ...{ rows: rows.length, failovers: world.redis.failovers, samples: watch.samples.length },
      codes: codesOf(load.calls),
      kinds: Object.fromEntries(
        kinds.map((kind) => [kind, happened.filter((one) => one.kind === kind).length] as const),
      ),
      tookMs: tookOf(startedMs, openMs, stoppedMs),
      ...{ mostUsed: watch.mostUsed(), mostOpen: Math.max(0, ...state.evidence.journal.map(({ open }) => open)) },
    };
  } catch (error) {
    if (error instanceof Error && error.message.includes('npm run chaos')) throw error;
    throw await explain(String((error as Error).stack), []);
  } finally {
    watch.stop();
  }
}

/** The lanes go on side by side. What took longer than planned pushes back what follows in its lane, and no other. */
async function letHappen(world: World, planned: readonly PlannedFault[], happened: Happened[]): Promise<void> {
  const beganMs = performance.now();
  const lanes = ALL_LANES.map(async (lane) => {
    for (const fault of planned.filter((one) => one.lane === lane)) {
      await sleep(Math.max(0, beganMs + fault.atMs - performance.now()));
      happened.push(await happen(world, fault));
    }
  });
  const results = await Promise.allSettled(lanes);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

async function settled<T>(look: () => Promise<T | null>, what: string): Promise<T> {
  let seen: T | null = null;
  await until(
    async () => {
      seen = await look().catch(() => null);
      if (seen === null) await sleep(150);
      return seen !== null;
    },
    what,
    SETTLE_MS,
  );
  return seen as T;
}

function tookOf(startedMs: number, openMs: number, stoppedMs: number): ChaosSummary['tookMs'] {
  const [start, load] = [openMs - startedMs, stoppedMs - openMs].map(Math.round) as [number, number];
  return { start, load, settle: Math.round(performance.now() - stoppedMs) };
}

function codesOf(calls: readonly HeldCall[]): Record<string, number> {
  const codes: Record<string, number> = {};
  for (const { isRight, isCancelled, code } of calls) {
    const name = isCancelled ? 'given up' : (code ?? 'cut');
    if (!isRight) codes[name] = (codes[name] ?? 0) + 1;
  }
  return codes;
}

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'expired', 'cancelled']);

async function batchEnded(client: () => OpenAI, id: string): Promise<OpenAI.Batch | null> {
  const batch = await client().batches.retrieve(id);
  return ENDED.has(batch.status) ? batch : null;
}

/** What each gateway tells of each job; null until all have ended. Of `ended` are those of which that is known. */
async function jobEnds(
  world: World,
  jobs: readonly AcceptedJob[],
  ended: Map<string, JobEnd>,
): Promise<readonly JobEnd[] | null> {
  const open = jobs.filter(({ id }) => !ended.has(id));
  while (open.length > 0) {
    const some = await Promise.all(open.splice(0, ASKED_AT_ONCE).map((job) => endOf(world, job)));
    for (const end of some) if (end !== null) ended.set(end.job.id, end);
    if (some.includes(null)) return null;
  }
  return [...ended.values()];
}

async function endOf({ gateways }: World, job: AcceptedJob): Promise<JobEnd | null> {
  const told = await Promise.all(gateways.map(({ name, apiUrl }) => jobEnd(name, apiUrl, job.id)));
  return told.every(({ status }) => ENDED.has(status)) ? { job, told } : null;
}

async function jobEnd(gateway: string, apiUrl: string, id: string): Promise<JobEnd['told'][number]> {
  const { status } = (await (await fetch(`${apiUrl}/v1/jobs/${id}`)).json()) as { readonly status: string };
  if (!ENDED.has(status)) return { gateway, status, text: null, code: null };
  const answer = await fetch(`${apiUrl}/v1/jobs/${id}/result`);
  const result = (await answer.json()) as {
    readonly choices?: readonly { readonly message: { readonly content: string } }[];
    readonly error?: { readonly code: string | null };
  };
  // Said of the question, not of the job: ask again.
  if (result.error?.code === 'queue_unavailable' || (status === 'completed' && answer.status === 503))
    throw new Error(`${gateway} cannot tell what became of ${id}`);
  return { gateway, status, text: result.choices?.[0]?.message.content ?? null, code: result.error?.code ?? null };
}
