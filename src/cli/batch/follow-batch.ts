import { formatDuration } from '../../core/units.ts';
import type { CliContext } from '../context.ts';
import type { PatientClient } from '../patience.ts';
import { type BatchState, watchBatch } from './batch-calls.ts';

/** Shows what a batch does until it has ended, and returns its last state. A bar for a person, a line a change for a log. */
export async function followBatch(
  client: PatientClient,
  id: string,
  context: CliContext,
  signal: AbortSignal,
): Promise<BatchState> {
  const view = context.isTerminal ? await barView() : logView(context);
  let last: BatchState | undefined;
  try {
    for await (const batch of watchBatch(client, id, signal)) {
      view.show(batch);
      last = batch;
    }
  } finally {
    view.stop();
  }
  if (!last) throw new Error('a batch that is followed has at least one state');
  return last;
}

interface View {
  show(batch: BatchState): void;
  stop(): void;
}

async function barView(): Promise<View> {
  const { SingleBar } = await import('cli-progress');
  const bar = new SingleBar({
    format: '{label} {bar} {value}/{total}  {note}',
    hideCursor: true,
    clearOnComplete: false,
    stream: process.stderr,
    barCompleteChar: '█',
    barIncompleteChar: '░',
  });
  let isStarted = false;
  return {
    show(batch) {
      const { total, done } = progressOf(batch);
      const payload = { label: phaseOf(batch).padEnd(11), note: noteOf(batch) };
      if (isStarted) bar.setTotal(total);
      else bar.start(total, done, payload);
      isStarted = true;
      bar.update(done, payload);
    },
    stop: () => bar.stop(),
  };
}

function logView({ stderr }: CliContext): View {
  let shown = '';
  return {
    show(batch) {
      const { total, done } = progressOf(batch);
      const tenth = total === 0 ? 0 : Math.floor((done * 10) / total);
      const key = `${phaseOf(batch)}|${tenth}|${batch.pilotlight?.holding_reason ?? ''}`;
      if (key === shown) return;
      shown = key;
      const rows = batch.request_counts.total === 0 ? '' : `: ${done} of ${total}`;
      stderr(`${phaseOf(batch)}${rows}${noteOf(batch) === '' ? '' : `; ${noteOf(batch)}`}\n`);
    },
    stop: () => undefined,
  };
}

/** Rows while they run; percent of a step that has no rows yet. */
function progressOf(batch: BatchState): { readonly total: number; readonly done: number } {
  const { total, completed, failed } = batch.request_counts;
  if (total > 0) return { total, done: completed + failed };
  return { total: 100, done: Math.floor(batch.pilotlight?.step_percent ?? 0) };
}

function phaseOf({ status, pilotlight }: BatchState): string {
  return pilotlight?.phase === 'paused' && status === 'in_progress' ? 'paused' : status;
}

function noteOf({ request_counts: { failed }, pilotlight }: BatchState): string {
  const { holding_message: hold, rows_per_second: rate, eta_seconds: eta } = pilotlight ?? {};
  const parts = [
    hold ?? undefined,
    rate ? `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)} rows/s` : undefined,
    typeof eta === 'number' ? `${formatDuration(eta * 1_000)} left` : undefined,
    failed > 0 ? `${failed} failed` : undefined,
  ];
  return parts.filter((part) => part !== undefined).join(', ');
}
