import { z } from 'zod';
import { PilotlightError } from '../../core/errors.ts';
import type { PoolReport, StatusReport } from '../../core/status.ts';
import type { Board } from './board.ts';
import type { Session } from './session.ts';

const POLL_MS = 250;
/** Longer than any wait of a healthy run: a stuck boot is replaced after a minute. */
const STALLED_MS = 3 * 60_000;

export interface WatchListener {
  /** After each look, also when there was no answer. */
  looked(): void;
  /** The autoscaler changed the number of replicas, and why. */
  decided(sentence: string): void;
}

const decisionList = z.object({
  decisions: z.array(
    z.object({
      atEpochMs: z.number(),
      decision: z.object({ sentence: z.string(), desired: z.record(z.string(), z.number()) }),
    }),
  ),
});

/** Reads GET /status until `ends` aborts. Rejects when nothing has moved for three minutes. */
export async function watchStatus(
  session: Session,
  board: Board,
  listener: WatchListener,
  ends: AbortSignal,
): Promise<void> {
  const teller = new DecisionTeller(session, listener);
  while (!ends.aborted) {
    await look(session, board);
    if (board.pool !== null) await teller.follow(board.pool);
    listener.looked();
    if (board.stalledMs(session.elapsedMs()) > STALLED_MS) throw stalled(board);
    await session.clock.sleep(POLL_MS, AbortSignal.any([session.signal, ends])).catch(() => undefined);
    session.signal.throwIfAborted();
  }
}

/** Notes what GET /status tells now, if there is an answer. */
export async function look(session: Session, board: Board): Promise<void> {
  const answer = await session.sendToAdmin({ method: 'GET', path: '/status' });
  if (answer.kind === 'lost' || answer.status !== 200) return;
  board.note(JSON.parse(answer.text) as StatusReport, session.elapsedMs());
}

/** Tells each decision that changed the number of replicas once, in order. */
class DecisionTeller {
  readonly #session: Session;
  readonly #listener: WatchListener;
  #seenReplicas = 0;
  #toldReplicas = 0;
  #toldUntilEpochMs = 0;

  constructor(session: Session, listener: WatchListener) {
    this.#session = session;
    this.#listener = listener;
  }

  /** The records are long, so they are fetched only when the number that is wanted has changed. */
  async follow({ pool, desiredReplicas }: PoolReport): Promise<void> {
    if (desiredReplicas === this.#seenReplicas) return;
    this.#seenReplicas = desiredReplicas;
    const answer = await this.#session.sendToAdmin({ method: 'GET', path: `/pools/${pool}/decisions` });
    if (answer.kind === 'lost' || answer.status !== 200) return;
    const { data } = decisionList.safeParse(JSON.parse(answer.text));
    const oldestFirst = (data?.decisions ?? []).toSorted((a, b) => a.atEpochMs - b.atEpochMs);
    for (const { atEpochMs, decision } of oldestFirst) {
      if (atEpochMs <= this.#toldUntilEpochMs) continue;
      this.#toldUntilEpochMs = atEpochMs;
      const replicas = Object.values(decision.desired).reduce((sum, count) => sum + count, 0);
      if (replicas !== this.#toldReplicas) this.#listener.decided(decision.sentence);
      this.#toldReplicas = replicas;
    }
  }
}

function stalled(board: Board): PilotlightError {
  const { pool, batch, endedRows, chats } = board;
  const rows = batch === null ? 'there is no batch' : `${endedRows} of ${batch.total} rows are over (${batch.status})`;
  const seen = `${rows}, and so are ${chats.length} chats`;
  const why = pool?.blockedWhy ?? pool?.lastDecision?.sentence ?? 'the pool is not reported';
  return new PilotlightError('internal_error', `nothing has moved for ${STALLED_MS / 60_000} minutes: ${seen}; ${why}`);
}
