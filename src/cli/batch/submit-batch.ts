import { expectJson } from '../client.ts';
import type { CliContext } from '../context.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import type { PatientClient } from '../patience.ts';
import { type BatchState, batchPath } from './batch-calls.ts';
import { downloadFile } from './download-file.ts';
import { followBatch } from './follow-batch.ts';
import { openNote, type SubmissionNote, saveNote } from './submission-note.ts';
import { uploadFile } from './upload-file.ts';

export interface BatchPlan {
  readonly client: PatientClient;
  readonly context: CliContext;
  readonly inputPath: string;
  /** The create call without its file. */
  readonly wishes: Readonly<Record<string, unknown>>;
  /** Null = do not wait. */
  readonly out: { readonly outputPath: string; readonly errorsPath: string } | null;
}

/** How much of a report about bad lines is shown. */
const MAX_ERRORS_SHOWN = 10;

/** Uploads, creates, and if wanted waits and downloads; goes on where an earlier run stopped. Returns the exit code. */
export async function submitBatch(plan: BatchPlan): Promise<number> {
  const { client, context, inputPath, wishes } = plan;
  const signal = context.interruption();
  const notePath = `${inputPath}.batch.json`;
  let note = openNote(notePath, inputPath, client.url, JSON.stringify(withoutDeadline(wishes)));
  const keep = (change: Partial<SubmissionNote>): void => {
    note = { ...note, ...change };
    saveNote(notePath, note);
  };
  if (note.batchId === null) {
    keep({});
    if (note.fileId === null) keep({ fileId: (await uploadFile(client, inputPath, context, signal)).id });
    const batch = await createBatch(client, { ...wishes, input_file_id: note.fileId }, note.idempotencyKey, signal);
    keep({ batchId: batch.id });
    context.stderr(`batch ${batch.id} is accepted; it goes on whatever happens to this program\n`);
  } else {
    context.stderr(`batch ${note.batchId} was accepted before (${notePath})\n`);
  }
  const id = note.batchId ?? '';
  if (plan.out === null) {
    context.stdout(`${id}\n`);
    context.stderr(`watch it: pilotlight batch watch ${id}\n`);
    return EXIT.OK;
  }
  const batch = await followBatch(client, id, context, signal);
  return fetchResults(client, batch, plan.out, context, signal);
}

/** "8h" from now is another time at each run of the same command, and still the same batch. */
function withoutDeadline(wishes: Readonly<Record<string, unknown>>): unknown {
  return { ...wishes, pilotlight: { ...(wishes['pilotlight'] as object | undefined), deadline: undefined } };
}

/** What the file would lead to, without storing a batch. */
export async function dryRunBatch(
  { client, context, inputPath, wishes }: Omit<BatchPlan, 'out'>,
  fileId: string | null,
): Promise<number> {
  const signal = context.interruption();
  const inputFileId = fileId ?? (await uploadFile(client, inputPath, context, signal)).id;
  const body = JSON.stringify({ ...wishes, input_file_id: inputFileId });
  const path = '/v1/batches?validate_only=true';
  const answer = await client.send({ method: 'POST', path, body, signal, timeoutMs: 10 * 60_000 });
  const report = expectJson(answer) as { readonly valid?: boolean };
  context.stdout(`${JSON.stringify(report, null, 2)}\n`);
  if (fileId === null) {
    await client.send({ method: 'DELETE', path: `/v1/files/${encodeURIComponent(inputFileId)}`, signal });
  }
  return report.valid === false ? EXIT.FAILED : EXIT.OK;
}

async function createBatch(
  client: PatientClient,
  wishes: Readonly<Record<string, unknown>>,
  idempotencyKey: string,
  signal: AbortSignal,
): Promise<BatchState> {
  const headers = { 'idempotency-key': idempotencyKey };
  const request = { method: 'POST', path: '/v1/batches', body: JSON.stringify(wishes), headers, signal } as const;
  return expectJson(await client.send(request)) as BatchState;
}

/** Downloads what a finished batch left and says how it went. Returns the exit code. */
export async function fetchResults(
  client: PatientClient,
  batch: BatchState,
  { outputPath, errorsPath }: NonNullable<BatchPlan['out']>,
  { stderr }: Pick<CliContext, 'stderr'>,
  signal: AbortSignal,
): Promise<number> {
  if (batch.status === 'failed') throw new CliError(EXIT.FAILED, failureText(batch));
  const { total, completed, failed } = batch.request_counts;
  stderr(`${batch.id} is ${batch.status}: ${completed} of ${total} rows completed, ${failed} did not\n`);
  if (batch.output_file_id !== null) {
    await downloadFile(client, batch.output_file_id, outputPath, signal);
    stderr(`results: ${outputPath}\n`);
  }
  if (batch.error_file_id !== null) {
    await downloadFile(client, batch.error_file_id, errorsPath, signal);
    stderr(`rows without a good answer: ${errorsPath}; once more: pilotlight batch retry ${batch.id}\n`);
  }
  return batch.status === 'completed' && failed === 0 ? EXIT.OK : EXIT.FAILED;
}

function failureText(batch: BatchState): string {
  const errors = batch.errors?.data ?? [];
  const shown = errors.slice(0, MAX_ERRORS_SHOWN).map(({ code, message, line }) => {
    const where = line === null ? '' : `line ${line}: `;
    return `  ${where}${message} (${code})`;
  });
  const more = errors.length > shown.length ? [`  … all of them: pilotlight batch get ${batch.id}`] : [];
  const head = `the file did not validate, so no row of ${batchPath(batch.id).split('/').at(-1) ?? ''} ran:`;
  return [head, ...shown, ...more].join('\n');
}
