import { join, relative } from 'node:path';
import type { Config } from '../../config/config.ts';
import { formatBytes } from '../../core/units.ts';
import { systemClock } from '../../platform/clock.ts';
import type { DemoOptions, DemoWorld } from '../demo-options.ts';
import { DemoApi } from './adapters/api.ts';
import { endAtOnce } from './adapters/leftovers.ts';
import { writeLines } from './adapters/batch-files.ts';
import { BarsView, PlainView, type ProgressView } from './adapters/progress-view.ts';
import type { RunFolder } from './adapters/run-folder.ts';
import { type ServeAddress, ServeProcess } from './adapters/serve-process.ts';
import { tearDown } from './adapters/tear-down.ts';
import type { ApiKey } from './api-key.ts';
import { Board } from './board.ts';
import { brokenPromises } from './check.ts';
import type { RunFacts } from './facts.ts';
import { OBJECTIVES, RUN_VARIABLE } from './names.ts';
import { NEXT_COMMANDS, whileItStays } from './next-commands.ts';
import { batchRow } from './requests.ts';
import { type BatchPaths, runLoad } from './run-load.ts';
import { Session } from './session.ts';
import { summarise } from './summarise.ts';
import { renderSummary } from './summary.ts';
import type { Workload } from './workload.ts';

export const EXIT = { kept: 0, broken: 1, usage: 2, interrupted: 130 } as const;

/** Everything that a run is made of, ready to start. */
export interface Setup {
  readonly options: DemoOptions;
  readonly world: DemoWorld;
  readonly workload: Workload;
  readonly folder: RunFolder;
  readonly keys: { readonly rows: ApiKey; readonly chats: ApiKey };
  /** For `serve -f`. */
  readonly files: readonly string[];
  readonly paths: BatchPaths;
  /** What `serve` will make of the files, the environment and the flags. */
  readonly config: Config;
}

interface Shown {
  readonly facts: RunFacts;
  readonly startedAtEpochMs: number;
  readonly elapsedMs: number;
}

/** Runs the demo and takes everything down again, whatever happened. Resolves with the exit code. */
export async function perform(setup: Setup): Promise<number> {
  const { options, world, config } = setup;
  const view = viewOf(setup);
  const board = new Board();
  const server = supervised(setup, view, board);
  const api = new DemoApi();
  const redisFolder = join(config.data.dir, 'redis');
  const atExit = () => endAtOnce(server.pid, redisFolder);
  process.once('exit', atExit);
  let shown: Shown | null = null;
  let leftovers: readonly string[] = [];
  try {
    shown = await show(setup, { view, board, server, api });
    view.close();
    if (options.keep) await stayUp(setup, server, summaryText(setup, board, shown, []));
  } catch (thrown) {
    if (!options.signal.aborted) throw thrown;
    view.say('Interrupted.');
  } finally {
    view.close();
    await api.close();
    leftovers = await tearDown({
      server,
      redisFolder,
      runId: setup.folder.runId,
      config,
      say: (line) => view.say(line),
    });
    process.off('exit', atExit);
  }
  if (shown === null) return EXIT.interrupted;
  if (!options.keep) world.out(summaryText(setup, board, shown, leftovers));
  const isKept = leftovers.length === 0 && brokenPromises(shown.facts).length === 0;
  return isKept ? EXIT.kept : EXIT.broken;
}

interface Parts {
  readonly view: ProgressView;
  readonly board: Board;
  readonly server: ServeProcess;
  readonly api: DemoApi;
}

/** The batch should be done in this many times the time that its rows are meant to take. */
const DUE_RATIO = 1.75;

async function show(setup: Setup, { view, board, server, api }: Parts): Promise<Shown> {
  const { options, world, workload, keys, paths } = setup;
  view.say(introduction(setup));
  await writeInput(setup, view);
  view.say('Starting Redis and Pilotlight …');
  await server.start(options.signal);
  const failure = new AbortController();
  const session = new Session({
    api,
    server,
    clock: systemClock,
    signal: AbortSignal.any([options.signal, failure.signal]),
    keys: { rows: keys.rows.secret, chats: keys.chats.secret },
    seed: options.seed,
  });
  const startedAtEpochMs = systemClock.epochMs();
  const { killServerAfterMs } = options;
  const { rowPaceMs, leastDueMs } = world.tuning;
  const rowsDueInMs = Math.max(leastDueMs, options.jobs * rowPaceMs * DUE_RATIO);
  const fail = (error: Error) => failure.abort(error);
  const facts = await runLoad({ session, workload, board, view, server, paths, rowsDueInMs, killServerAfterMs, fail });
  return { facts, startedAtEpochMs, elapsedMs: session.elapsedMs() };
}

function introduction({ options: { jobs, chats }, world }: Setup): string {
  const { nightly, interactive } = OBJECTIVES;
  const tickets = `${jobs.toLocaleString('en-US')} support ticket${jobs === 1 ? '' : 's'}`;
  const parts = [
    ...(jobs === 0
      ? []
      : [`One file of ${tickets} to summarise (objective ${nightly.name}, priority ${nightly.priority})`]),
    ...(chats === 0 ? [] : [`${chats} chat${chats === 1 ? '' : 's'} (${interactive.name}, ${interactive.priority})`]),
  ];
  return (
    `${parts.join(' and ')}\nfor one pool of at most ${world.tuning.maxReplicas} model servers. ` +
    'None runs yet. They are simulators: no model, no GPU.\n'
  );
}

/** The file of the batch, a row for each ticket. */
async function writeInput({ workload: { rows }, options: { seed }, paths }: Setup, view: ProgressView): Promise<void> {
  if (rows.length === 0) return;
  const lines = rows.values().map((row) => batchRow(seed, row));
  const bytes = await writeLines(paths.input, lines);
  view.say(`Wrote ${shortPath(paths.input)}: ${rows.length.toLocaleString('en-US')} rows, ${formatBytes(bytes)}`);
}

function supervised({ options, world, folder, files }: Setup, view: ProgressView, board: Board): ServeProcess {
  const flags = options.flags.flatMap(({ path, text }) => ['--set', `${path}=${text}`]);
  const words = [...world.self, 'serve', ...files.flatMap((file) => ['-f', file]), ...flags];
  const environment = { ...options.environment, [RUN_VARIABLE]: folder.runId };
  let startedMs = systemClock.monotonicMs();
  return new ServeProcess(
    { words, environment, logPath: folder.log },
    {
      progress: (sentence) => view.say(`  ${sentence}`),
      ready(address, deaths) {
        if (deaths === 0) announce(address, folder, view);
        else view.say(`  serving again as pid ${address.pid}, after ${seconds(startedMs)}: it goes on where it was`);
      },
      died(how) {
        startedMs = systemClock.monotonicMs();
        board.noteDeath();
        view.say(`  the serving process died (${how}); starting it again on the same folder`);
      },
    },
  );
}

function announce({ apiUrl, pid, redisSource }: ServeAddress, folder: RunFolder, view: ProgressView): void {
  view.say(`  Redis      ${redisSource}`);
  view.say(`  Pilotlight ${apiUrl}, pid ${pid} ("kill -9 ${pid}" loses no accepted row: try it)`);
  view.say(`  objects    ${shortPath(folder.objects)}`);
}

/** Shows the summary and leaves everything running until the signal. */
async function stayUp({ options, world, paths }: Setup, server: ServeProcess, text: string): Promise<void> {
  world.out(text);
  const address = await server.address(options.signal);
  world.out(whileItStays(address, shortPath(paths.input)));
  await new Promise<void>((resolve) => options.signal.addEventListener('abort', () => resolve(), { once: true }));
}

function summaryText(setup: Setup, board: Board, shown: Shown, leftovers: readonly string[]): string {
  const { folder, paths, world, workload, config } = setup;
  const replicaLogs = relative(folder.path, join(config.data.dir, config.installation, 'replica-logs'));
  const firstAtMs = Math.min(...[...workload.rows.slice(0, 1), ...workload.chats.slice(0, 1)].map(({ atMs }) => atMs));
  return renderSummary(
    summarise({
      board,
      run: shown.facts,
      broken: [...brokenPromises(shown.facts), ...leftovers],
      elapsedMs: shown.elapsedMs,
      firstRequestAtEpochMs: shown.startedAtEpochMs + firstAtMs,
      maxReplicas: world.tuning.maxReplicas,
      files: [...batchFiles(paths, shown.facts), ['logs', `${shortPath(folder.path)}/: serve.log, ${replicaLogs}/`]],
      nextCommands: NEXT_COMMANDS,
    }),
  );
}

function viewOf({ options, world }: Setup): ProgressView {
  if (options.progress && world.terminal !== null) return new BarsView(world.terminal);
  return new PlainView(world.err, () => systemClock.monotonicMs());
}

function seconds(sinceMs: number): string {
  return `${((systemClock.monotonicMs() - sinceMs) / 1_000).toFixed(1)} s`;
}

/** Those that there are. */
function batchFiles({ input, output, errors }: BatchPaths, { batch }: RunFacts): (readonly [string, string])[] {
  if (batch === null) return [];
  return [
    ['input', shortPath(input)],
    ...(batch.outputFileId === null ? [] : ([['output', shortPath(output)]] as const)),
    ...(batch.errorFileId === null ? [] : ([['errors', shortPath(errors)]] as const)),
  ];
}

/** As one would type it here, if that is shorter. */
function shortPath(path: string): string {
  const fromHere = relative('.', path);
  return fromHere.length < path.length ? fromHere : path;
}
