import { z } from 'zod';
import type { BatchState } from './facts.ts';
import type { Session } from './session.ts';

const POLL_MS = 250;
const FINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'expired', 'cancelled']);

const batchObject = z.object({
  id: z.string(),
  status: z.string(),
  output_file_id: z.string().nullable(),
  error_file_id: z.string().nullable(),
  errors: z.object({ data: z.array(z.object({ message: z.string() })) }).nullish(),
  request_counts: z.object({ total: z.number(), completed: z.number(), failed: z.number() }),
  pilotlight: z.object({
    rows_per_second: z.number().nullable(),
    eta_seconds: z.number().nullable(),
    holding_message: z.string().nullable(),
  }),
});

/**
 * Asks for the batch until it has ended, and tells each state. Resolves with the last one; null = the server does not know
 * the batch any more.
 */
export async function followBatch(
  session: Session,
  id: string,
  told: (state: BatchState) => void,
): Promise<BatchState | null> {
  for (;;) {
    const answer = await session.send({ method: 'GET', path: `/v1/batches/${id}`, key: session.keys.rows });
    if (answer.kind === 'lost') {
      await session.pauseAfterLoss();
      continue;
    }
    if (answer.status === 404) return null;
    const state = answer.status === 200 ? batchState(answer.text) : null;
    if (state !== null) told(state);
    if (state !== null && FINAL.has(state.status)) return state;
    await session.clock.sleep(POLL_MS, session.signal);
  }
}

/** How many batches the tenant of the file has, up to 100. */
export async function countBatches(session: Session): Promise<number> {
  for (;;) {
    const answer = await session.send({ method: 'GET', path: '/v1/batches?limit=100', key: session.keys.rows });
    if (answer.kind === 'answer' && answer.status === 200) {
      return z.object({ data: z.array(z.unknown()) }).parse(JSON.parse(answer.text)).data.length;
    }
    await session.pauseAfterLoss();
  }
}

/** Null when the text is no batch. */
export function batchState(text: string): BatchState | null {
  const { data } = batchObject.safeParse(parsed(text));
  if (data === undefined) return null;
  const { request_counts: counts, pilotlight } = data;
  return {
    id: data.id,
    status: data.status,
    ...counts,
    rowsPerSecond: pilotlight.rows_per_second,
    etaMs: pilotlight.eta_seconds === null ? null : pilotlight.eta_seconds * 1_000,
    hold: pilotlight.holding_message,
    outputFileId: data.output_file_id,
    errorFileId: data.error_file_id,
    why: data.errors?.data[0]?.message ?? null,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}
