import type { CliContext } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PatientClient } from '../patience.ts';
import { batchPath, getBatch, isFinal } from './batch-calls.ts';
import { followBatch } from './follow-batch.ts';
import { fetchResults } from './submit-batch.ts';

const PAGE_ROWS = 1_000;

/** Downloads the files of a batch. Returns the exit code. */
export async function resultsOf(
  client: PatientClient,
  id: string,
  paths: { readonly outputPath: string; readonly errorsPath: string },
  waits: boolean,
  context: CliContext,
): Promise<number> {
  const signal = context.interruption();
  const batch = waits ? await followBatch(client, id, context, signal) : await getBatch(client, id, signal);
  if (!isFinal(batch)) {
    const how = '--wait waits for it, --partial prints what is done so far';
    throw new CliError(EXIT.FAILED, `${id} is ${batch.status}: its files come at its end; ${how}`);
  }
  return fetchResults(client, batch, paths, context, signal);
}

/** Prints the lines of rows that have ended, in input order. */
export async function printPartial(client: PatientClient, id: string, context: CliContext): Promise<void> {
  const signal = context.interruption();
  let after: string | null = null;
  for (;;) {
    const from = after === null ? '' : `&after=${after}`;
    const { headers, body } = await client.download({
      path: `${batchPath(id)}/rows?limit=${PAGE_ROWS}${from}`,
      signal,
    });
    const lines = body === null ? '' : await new Response(body).text();
    if (lines !== '') context.stdout(lines.endsWith('\n') ? lines : `${lines}\n`);
    after = headers.get('x-pilotlight-last-row');
    if (after === null || headers.get('x-pilotlight-has-more') !== 'true') return;
  }
}
