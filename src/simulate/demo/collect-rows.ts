import { readLines } from './adapters/batch-files.ts';
import type { AcceptedBatch, BatchState, LineCounts, RowFacts } from './facts.ts';
import { RowTally } from './row-tally.ts';
import type { Session } from './session.ts';
import type { PlannedRequest } from './workload.ts';

export interface CollectOptions {
  readonly session: Session;
  readonly planned: readonly PlannedRequest[];
  readonly batch: AcceptedBatch;
  /** Null = nothing is known of the batch any more. */
  readonly state: BatchState | null;
  readonly paths: { readonly output: string; readonly errors: string };
}

export interface Collected {
  readonly rows: readonly RowFacts[];
  readonly lines: LineCounts;
}

/** Downloads the files of the batch, then reads them back from the disk and holds each line against its row. */
export async function collectRows({ session, planned, batch, state, paths }: CollectOptions): Promise<Collected> {
  const tally = new RowTally(session.seed, planned, batch.acceptedAtEpochMs);
  const files = [
    { kind: 'output', id: state?.outputFileId ?? null, path: paths.output },
    { kind: 'errors', id: state?.errorFileId ?? null, path: paths.errors },
  ] as const;
  for (const { kind, id, path } of files) {
    if (id === null) continue;
    if (!(await download(session, id, path))) continue;
    for await (const line of readLines(path)) tally.take(kind, line);
  }
  return { rows: tally.rows(), lines: tally.lines };
}

/** False = the server does not have the file. A connection that breaks begins the download anew. */
async function download(session: Session, id: string, path: string): Promise<boolean> {
  for (;;) {
    const answer = await session.download({ path: `/v1/files/${id}/content`, key: session.keys.rows, file: path });
    if (answer.kind === 'answer') return answer.status === 200;
    await session.pauseAfterLoss();
  }
}
