import { expectJson } from '../client.ts';
import { addClientOptions, apiClient, type ClientOptions, patientClient } from '../client-options.ts';
import type { CommandHost } from '../context.ts';
import { EXIT_CODES_HELP } from '../exit-codes.ts';
import { wholeNumber } from '../option-values.ts';
import type { FileState } from '../batch/upload-file.ts';

const HELP = `
Examples:
  pilotlight files upload tickets.jsonl
  pilotlight files list
  pilotlight files download file-0a1b --out summaries.jsonl

${EXIT_CODES_HELP}`;

export function addFilesCommand({ program, context }: CommandHost): void {
  const files = program
    .command('files')
    .summary('upload, list, download or delete files of batches')
    .description('Files that batches read and write. `pilotlight batch submit` does all of it in one step.')
    .addHelpText('after', HELP);

  addClientOptions(files.command('upload <file>').description('send a *.jsonl file; prints its id')).action(
    async (file: string, options: ClientOptions) => {
      const { uploadFile } = await import('../batch/upload-file.ts');
      const stored = await uploadFile(patientClient(options, context), file, context, context.interruption());
      context.stdout(`${stored.id}\n`);
    },
  );

  addClientOptions(
    files
      .command('list')
      .description('files, newest first')
      .option('--purpose <purpose>', 'batch, batch_output, …')
      .option('--limit <n>', 'at most so many', wholeNumber(1, 10_000), 100)
      .option('-o, --output <format>', 'table or json', 'table'),
  ).action(async (options: ClientOptions & { purpose?: string; limit: number; output: string }) => {
    const query = new URLSearchParams({ limit: String(options.limit) });
    if (options.purpose !== undefined) query.set('purpose', options.purpose);
    const request = { path: `/v1/files?${query.toString()}`, signal: context.interruption() };
    const page = expectJson(await apiClient(options, context).send(request)) as { readonly data: FileState[] };
    const { renderFiles } = await import('../batch/render-batches.ts');
    const isJson = options.output === 'json';
    context.stdout(isJson ? `${JSON.stringify(page, null, 2)}\n` : renderFiles(page.data, Date.now()));
  });

  addClientOptions(
    files
      .command('download <id>')
      .description('write the content of a file')
      .requiredOption('--out <file>', 'where it goes'),
  ).action(async (id: string, options: ClientOptions & { out: string }) => {
    const { downloadFile } = await import('../batch/download-file.ts');
    await downloadFile(patientClient(options, context), id, options.out, context.interruption());
    context.stderr(`written: ${options.out}\n`);
  });

  addClientOptions(files.command('delete <id>').description('delete a file that no running batch reads')).action(
    async (id: string, options: ClientOptions) => {
      const path = `/v1/files/${encodeURIComponent(id)}`;
      const request = { method: 'DELETE', path, signal: context.interruption() } as const;
      expectJson(await apiClient(options, context).send(request));
      context.stderr(`${id} is deleted\n`);
    },
  );
}
