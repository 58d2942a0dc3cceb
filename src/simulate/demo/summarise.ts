import type { Board } from './board.ts';
import type { RunFacts } from './facts.ts';
import { OBJECTIVES } from './names.ts';
import { podChart } from './pod-timeline.ts';
import { totalUsage } from './server-lives.ts';
import type { DemoSummary, ObjectiveSummary } from './summary.ts';

const CHART_COLUMNS = 72;

export interface SummaryContext {
  readonly board: Board;
  readonly run: RunFacts;
  readonly broken: readonly string[];
  readonly elapsedMs: number;
  readonly firstRequestAtEpochMs: number;
  readonly maxReplicas: number;
  readonly files: DemoSummary['files'];
  readonly nextCommands: DemoSummary['nextCommands'];
}

export function summarise(context: SummaryContext): DemoSummary {
  const { board, run, elapsedMs, firstRequestAtEpochMs } = context;
  const { wake, samples, lives } = board;
  const ttfts = (slept: boolean) =>
    present(run.chats.filter(({ metSleepingPool }) => metSleepingPool === slept).map(({ ttftMs }) => ttftMs));
  const texts = [...run.rows, ...run.chats].filter(({ textIsRight }) => textIsRight === true);
  return {
    elapsedMs,
    objectives: [ofChats(context), ofRows(context)],
    wokenTtftsMs: ttfts(true),
    warmTtftsMs: ttfts(false),
    wake: wake && {
      totalMs: Math.max(0, wake.readyAtEpochMs - firstRequestAtEpochMs),
      bootMs: wake.readyAtEpochMs - wake.requestedAtEpochMs,
    },
    podChart: podChart(samples, elapsedMs, CHART_COLUMNS),
    usage: totalUsage(lives),
    maxReplicas: context.maxReplicas,
    serverDeaths: run.serverDeaths,
    cutChats: run.chats.filter(({ outcome }) => outcome === 'cut').length,
    retriedRows: run.rows.filter(({ attempts }) => (attempts ?? 1) > 1).length,
    broken: context.broken,
    checkedTexts: texts.length,
    files: context.files,
    nextCommands: context.nextCommands,
  };
}

function ofChats({ board, run: { chats } }: SummaryContext): ObjectiveSummary {
  return {
    ...OBJECTIVES.interactive,
    accepted: chats.filter(({ outcome }) => outcome !== 'refused').length,
    completed: chats.filter(({ outcome }) => outcome === 'completed').length,
    failed: chats.filter(({ outcome }) => outcome === 'failed' || outcome === 'cut').length,
    shed: board.refusals.chats,
    waitsMs: present(chats.map(({ waitMs }) => waitMs)),
    ttftsMs: present(chats.map(({ ttftMs }) => ttftMs)),
  };
}

function ofRows({ board, run: { rows, batch } }: SummaryContext): ObjectiveSummary {
  return {
    ...OBJECTIVES.nightly,
    accepted: batch?.total ?? 0,
    completed: rows.filter(({ status }) => status === 'completed').length,
    failed: rows.filter(({ status }) => status === 'failed').length,
    shed: board.refusals.rows,
    waitsMs: present(rows.map(({ waitMs }) => waitMs)),
    ttftsMs: [],
  };
}

function present(values: readonly (number | null)[]): number[] {
  return values.filter((value) => value !== null);
}
