import { MultiBar, type SingleBar } from 'cli-progress';
import { type Frame, plainLine } from '../frame.ts';

/** Where news and the state of the run are shown. */
export interface ProgressView {
  /** One line that stays. */
  say(line: string): void;
  /** The newest state; shown as often as makes sense. */
  show(frame: Frame): void;
  /** Takes the bars away; lines that were said stay. */
  close(): void;
}

const BARS_FPS = 4;
const BAR_CHARS = 26;
const LABEL_CHARS = 12;
const COUNT_CHARS = 9;
const UNIT_CHARS = 6;
const PLAIN_EVERY_MS = 5_000;
/** The bars were drawn where the line is now. */
const CLEAR_TO_LINE_END = '\x1b[K';

/** Bars at the bottom of a terminal. */
export class BarsView implements ProgressView {
  readonly #terminal: NodeJS.WritableStream;
  #multi: MultiBar | null = null;
  #bars: SingleBar[] = [];
  #pods: SingleBar | null = null;

  constructor(terminal: NodeJS.WritableStream) {
    this.#terminal = terminal;
  }

  say(line: string): void {
    if (this.#multi === null) this.#terminal.write(`${line}\n`);
    else this.#multi.log(`${line}${CLEAR_TO_LINE_END}\n`);
  }

  show({ bars, pods }: Frame): void {
    if (this.#multi === null) this.#open({ bars, pods });
    for (const [index, { value, total, unit, note }] of bars.entries()) {
      const bar = this.#bars[index];
      bar?.setTotal(total);
      bar?.update(value, { count: counted(value, total, unit), note });
    }
    this.#pods?.update(0, { pods });
  }

  close(): void {
    // What was said last is printed by an update only.
    this.#multi?.update();
    this.#multi?.stop();
    this.#multi = null;
  }

  #open({ bars, pods }: Frame): void {
    const multi = new MultiBar({
      stream: this.#terminal,
      fps: BARS_FPS,
      barsize: BAR_CHARS,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      emptyOnZero: true,
      // The demo itself ends on signals, and closes this view then.
      gracefulExit: false,
      forceRedraw: true,
    });
    this.#multi = multi;
    this.#bars = bars.map(({ label, total, unit, note }) =>
      multi.create(
        total,
        0,
        { count: counted(0, total, unit), note },
        { format: `  ${label.padEnd(LABEL_CHARS)} {bar} {count} {note}` },
      ),
    );
    this.#pods = multi.create(1, 0, { pods }, { format: '  {pods}' });
  }
}

/** "  12/2000 rows  ", as wide for every value. */
function counted(value: number, total: number, unit: string): string {
  return `${`${value}/${total}`.padStart(COUNT_CHARS)} ${unit.padEnd(UNIT_CHARS)}`;
}

/** Lines for a log: what is said, and the state every few seconds. */
export class PlainView implements ProgressView {
  readonly #write: (text: string) => void;
  readonly #nowMs: () => number;
  #shownAtMs = Number.NEGATIVE_INFINITY;

  constructor(write: (text: string) => void, nowMs: () => number) {
    this.#write = write;
    this.#nowMs = nowMs;
  }

  say(line: string): void {
    this.#write(`${line}\n`);
  }

  show(frame: Frame): void {
    if (this.#nowMs() - this.#shownAtMs < PLAIN_EVERY_MS) return;
    this.#shownAtMs = this.#nowMs();
    this.#write(`${plainLine(frame)}\n`);
  }

  close(): void {
    // Nothing to take away.
  }
}
