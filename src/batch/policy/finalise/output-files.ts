export type OutputKind = 'output' | 'error';

const PRINT_CHARS = 12;

/** The same for the same ends of the rows of a batch (see OutcomePrint), whoever finalises it. */
export function outputFileId(batchId: string, print: string, kind: OutputKind): string {
  return `file-${batchId.replace(/^batch_/, '')}-${print.slice(0, PRINT_CHARS)}-${kind}`;
}

/** Empty blobs named like the files that were begun for a batch: what is not published of them is removed in the end. */
export function begunFilesPrefix(batchId: string): string {
  return `batches/${batchId}/files/`;
}
