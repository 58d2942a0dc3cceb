import { expectJson } from '../client.ts';
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
  for (let after = -1; ; ) {
    const path = `${batchPath(id)}/rows?after=${after}&limit=${PAGE_ROWS}`;
    const answer = await client.send({ path, signal });
    const page = expectJson(answer) as {
      readonly data: readonly { readonly row: number; readonly line: unknown }[];
      readonly has_more: boolean;
    };
    for (const { line } of page.data) context.stdout(`${JSON.stringify(line)}\n`);
    const last = page.data.at(-1);
    if (!page.has_more || last === undefined) return;
    after = last.row;
  }
}
