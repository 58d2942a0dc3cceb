import type { CliContext } from '../context.ts';

/** One line that grows from 0 to `total`. */
export interface Progress {
  step(): void;
  stop(): void;
}

/** A bar where someone looks at it; nothing elsewhere, so that logs stay short. */
export async function startProgress(
  context: CliContext,
  label: string,
  total: number,
  done: number,
): Promise<Progress> {
  if (!context.isTerminal || total <= 1) return { step: () => undefined, stop: () => undefined };
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: `${label.padEnd(9)} {bar} {value}/{total}  {eta_formatted} left`,
    hideCursor: true,
    clearOnComplete: false,
    stream: process.stderr,
    barCompleteChar: '█',
    barIncompleteChar: '░',
  });
  bar.start(total, done);
  return { step: () => bar.increment(), stop: () => bar.stop() };
}
