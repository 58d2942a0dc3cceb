import type { Environment } from '../config/environment.ts';
import type { FlagSetting } from '../config/flags.ts';

/** What `pilotlight demo` is asked for. */
export interface DemoOptions {
  /** Support tickets to summarise: rows of one batch. */
  readonly jobs: number;
  /** Chats that stream meanwhile. */
  readonly chats: number;
  /** The same seed makes the same requests. */
  readonly seed: number;
  /** CSV to take arrivals and token counts from; null = the generator that ships with Pilotlight. */
  readonly trace: string | null;
  /** Stay up after the summary, until the signal. */
  readonly keep: boolean;
  /** Where the batch's output file goes; null = into the folder of the run. */
  readonly out: string | null;
  /** Kill the serving process (SIGKILL) this long after the first request; null = never. */
  readonly killServerAfterMs: number | null;
  /** Bars, when someone looks at a terminal; false = plain lines. */
  readonly progress: boolean;
  /** Settings on top of the demo's own, as `pilotlight serve` takes them. */
  readonly environment: Environment;
  readonly flags: readonly FlagSetting[];
  readonly files: readonly string[];
  /** Aborts at Ctrl-C: everything is stopped in good order. */
  readonly signal: AbortSignal;
  readonly version: string;
}

/** What the demo runs on, beside its options; tests make it smaller and put other programs in. */
export interface DemoWorld {
  /** Program and first arguments that run Pilotlight. */
  readonly self: readonly string[];
  /** Run folders are made here. */
  readonly parentFolder: string;
  readonly tuning: DemoTuning;
  /** The summary, and only that. */
  readonly out: (text: string) => void;
  /** Progress and news. */
  readonly err: (text: string) => void;
  /** Where bars are drawn; null = nobody looks. */
  readonly terminal: NodeJS.WritableStream | null;
}

/** Sizes of the simulated pool and of the load. */
export interface DemoTuning {
  readonly maxReplicas: number;
  readonly slotsPerEndpoint: number;
  /** The simulated GPU's factor over the default one of docs/model-sim.md; boots are not scaled by it. */
  readonly speed: number;
  readonly bootStartMs: number;
  readonly bootLoadMs: number;
  readonly keepWarmMs: number;
  /** The chats are spread over the time that the rows will take at this pace, on average, and at least over this. */
  readonly rowPaceMs: number;
  readonly leastChatsMs: number;
  /** A batch of few rows has this long at least until it should be done. */
  readonly leastDueMs: number;
  /** Between the first chat and the batch, so that the chat is seen to wake the pool. */
  readonly rowsAfterMs: number;
}
