import { type PaceSample, paceOf, withSample } from '../policy/lifecycle/pace.ts';
import type { KeeperNews } from '../policy/lifecycle/view.ts';
import type { RowTotals } from '../ports.ts';
import type { DriveDeps } from './drive-deps.ts';

const TELL_EVERY_MS = 950;
/** What has not changed is told again before it lapses. */
const REPEAT_MS = 7_000;

/** Tells on the board how fast a batch goes, at most once a second. What cannot be told is not missed. */
export class ProgressTeller {
  readonly #deps: Pick<DriveDeps, 'board' | 'clock'>;
  readonly #id: string;
  #samples: readonly PaceSample[] = [];
  #toldAtMs = Number.NEGATIVE_INFINITY;
  #told = '';
  #lastEnded = -1;
  #moved = false;

  constructor(deps: Pick<DriveDeps, 'board' | 'clock'>, id: string) {
    this.#deps = deps;
    this.#id = id;
  }

  /** Whether rows had ended between the last two looks. */
  get hasMoved(): boolean {
    return this.#moved;
  }

  async rowsEnded({ pending, completed, failed }: RowTotals): Promise<void> {
    const ended = completed + failed;
    this.#moved = ended !== this.#lastEnded;
    this.#lastEnded = ended;
    this.#samples = withSample(this.#samples, { atEpochMs: this.#deps.clock.epochMs(), ended });
    await this.#tell({ ...paceOf(this.#samples, pending), stepPercent: null });
  }

  readonly stepDone = (percent: number): void => {
    void this.#tell({ rowsPerSecond: null, etaMs: null, stepPercent: Math.min(100, Math.max(0, percent)) });
  };

  async #tell(news: KeeperNews): Promise<void> {
    const nowMs = this.#deps.clock.monotonicMs();
    const text = JSON.stringify(news);
    const sinceMs = nowMs - this.#toldAtMs;
    if (sinceMs < (text === this.#told ? REPEAT_MS : TELL_EVERY_MS)) return;
    this.#toldAtMs = nowMs;
    this.#told = text;
    await this.#deps.board.tell(this.#id, news).catch(() => undefined);
  }
}
