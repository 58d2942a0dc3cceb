import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { parseRowLine, type RowLine } from '../../src/simulate/demo/row-line.ts';
import { RUN_VARIABLE } from '../../src/simulate/demo/names.ts';
import { runDemo } from '../../src/simulate/demo.ts';
import type { DemoOptions, DemoTuning } from '../../src/simulate/demo-options.ts';

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

/** Simulators that boot at once and answer twenty times as fast. */
const FAST: DemoTuning = {
  maxReplicas: 2,
  slotsPerEndpoint: 16,
  speed: 20,
  bootStartMs: 50,
  bootLoadMs: 500,
  keepWarmMs: 500,
  rowPaceMs: 1,
  leastChatsMs: 2_000,
  leastDueMs: 20_000,
  rowsAfterMs: 300,
};

export interface DemoRun {
  readonly options?: Partial<DemoOptions>;
  readonly tuning?: Partial<DemoTuning>;
  /** Instead of this program. */
  readonly self?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Called with each piece of progress. */
  readonly onProgress?: (text: string) => void;
}

export interface DemoEnd {
  readonly exitCode: number;
  readonly summary: string;
  readonly progress: string;
  /** Lines of the output file; what is no line is left out. */
  readonly output: readonly RowLine[];
  /** Of everything in the folder of the run. */
  readonly files: readonly string[];
  readonly folder: string;
  readonly runId: string;
}

/** Runs the demo in a folder of its own that is removed at the end of the test. */
export async function demo(run: DemoRun = {}): Promise<DemoEnd> {
  const parentFolder = await mkdtemp(join(tmpdir(), 'pilotlight-demo-'));
  onTestFinished(() => rm(parentFolder, { recursive: true, force: true }));
  let summary = '';
  let progress = '';
  const exitCode = await runDemo(optionsOf(run), {
    self: run.self ?? [process.execPath, MAIN],
    parentFolder,
    tuning: { ...FAST, ...run.tuning },
    out: (text) => (summary += text),
    err(text) {
      progress += text;
      run.onProgress?.(text);
    },
    terminal: null,
  });
  const [runId = ''] = await readdir(parentFolder);
  const folder = join(parentFolder, runId);
  const text = await readFile(join(folder, 'results.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter((line) => line !== '');
  const output = lines.map(parseRowLine).filter((line) => line !== null);
  return { exitCode, summary, progress, output, files: await readdir(folder), folder, runId };
}

/** Processes of a run that live, by the mark in their environment. */
export async function processesOf(runId: string): Promise<readonly number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environment.split('\0').includes(`${RUN_VARIABLE}=${runId}`);
    }),
  );
  return pids.filter((_pid, index) => marked[index] === true).map(Number);
}

function optionsOf({ options, environment }: DemoRun): DemoOptions {
  return {
    jobs: 60,
    chats: 6,
    seed: 1,
    trace: null,
    keep: false,
    out: null,
    killServerAfterMs: null,
    progress: false,
    environment: { ...withoutSettings(process.env), ...environment },
    flags: [],
    files: [],
    signal: new AbortController().signal,
    version: '0.0.0',
    ...options,
  };
}

function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('PILOTLIGHT_')));
}
