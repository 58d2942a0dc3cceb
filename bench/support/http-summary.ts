import type { LoadReport } from './load.ts';
import { type Spread, spreadOf } from './statistics.ts';

/** `other` = another checkout of Pilotlight. */
export type TargetName = 'direct' | 'proxy' | 'pilotlight' | 'other';

/** CPU time for each answered call, by process. Other work of those processes in the same seconds counts too. */
export interface CpuPerCallUs {
  readonly load: number;
  readonly proxy: number;
  readonly pilotlight: number;
  readonly redis: number;
  readonly modelServer: number;
}

/** One scenario against one target in one round. */
export interface Cell {
  readonly scenario: string;
  readonly target: TargetName;
  readonly report: LoadReport;
  readonly cpuUs: CpuPerCallUs;
  /** Share of the machine that others used meanwhile. 0..1 */
  readonly foreignRatio: number;
}

/** One scenario against one target over all rounds. */
export interface Line {
  readonly scenario: string;
  readonly target: TargetName;
  readonly perSecond: Spread;
  readonly eventsPerSecond: Spread;
  readonly p50Us: Spread;
  readonly p99Us: Spread;
  readonly firstByteP50Us: Spread;
  /** Against the direct call of the same round; null for that itself, or where there is none. */
  readonly addedP50Us: Spread | null;
  readonly addedP99Us: Spread | null;
  /** Throughput as a share of the plain proxy's in the same round. */
  readonly ofProxy: Spread | null;
  readonly cpuUs: Readonly<Record<keyof CpuPerCallUs, Spread>>;
  readonly foreignRatio: Spread;
}

/** Differences and ratios are taken inside a round, before the median over the rounds. */
export function summarise(rounds: readonly (readonly Cell[])[]): readonly Line[] {
  return (rounds[0] ?? []).map(({ scenario, target }) => {
    const find = (cells: readonly Cell[], wanted: TargetName): Cell | undefined =>
      cells.find((cell) => cell.scenario === scenario && cell.target === wanted);
    const own = rounds.flatMap((cells) => find(cells, target) ?? []);
    const against = (other: TargetName, compare: (mine: LoadReport, its: LoadReport) => number, digits = 0) => {
      const pairs = rounds.flatMap((cells) => {
        const [mine, its] = [find(cells, target), find(cells, other)];
        return mine && its && target !== other ? [compare(mine.report, its.report)] : [];
      });
      return pairs.length === 0 ? null : spreadOf(pairs, digits);
    };
    const over = (value: (cell: Cell) => number): Spread => spreadOf(own.map(value));
    return {
      ...{ scenario, target },
      perSecond: over(({ report }) => report.perSecond),
      eventsPerSecond: over(({ report }) => report.eventsPerSecond),
      p50Us: over(({ report }) => report.p50Us),
      p99Us: over(({ report }) => report.p99Us),
      firstByteP50Us: over(({ report }) => report.firstByteP50Us),
      addedP50Us: against('direct', (mine, its) => mine.p50Us - its.p50Us),
      addedP99Us: against('direct', (mine, its) => mine.p99Us - its.p99Us),
      ofProxy: against('proxy', (mine, its) => mine.perSecond / its.perSecond, 2),
      cpuUs: {
        load: over(({ cpuUs }) => cpuUs.load),
        proxy: over(({ cpuUs }) => cpuUs.proxy),
        pilotlight: over(({ cpuUs }) => cpuUs.pilotlight),
        redis: over(({ cpuUs }) => cpuUs.redis),
        modelServer: over(({ cpuUs }) => cpuUs.modelServer),
      },
      foreignRatio: spreadOf(
        own.map((cell) => cell.foreignRatio),
        2,
      ),
    };
  });
}
