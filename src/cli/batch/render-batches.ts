import { formatBytes, formatDuration } from '../../core/units.ts';
import { table } from '../render/table.ts';
import type { BatchState } from './batch-calls.ts';
import type { FileState } from './upload-file.ts';

/** One line a batch, newest first. Ends with a newline. */
export function renderBatches(batches: readonly BatchState[], nowEpochMs: number): string {
  if (batches.length === 0) return 'no batches; make one: pilotlight batch submit rows.jsonl --wait\n';
  const rows = batches.map((batch) => {
    const { total, completed, failed } = batch.request_counts;
    const { holding_message: hold, eta_seconds: eta } = batch.pilotlight ?? {};
    return [
      batch.id,
      batch.status,
      total === 0 ? '' : `${completed + failed}/${total}`,
      failed === 0 ? '' : String(failed),
      typeof eta === 'number' ? formatDuration(eta * 1_000) : '',
      `${formatDuration(Math.max(0, nowEpochMs - batch.created_at * 1_000))} ago`,
      hold ?? '',
    ];
  });
  return `${table(['BATCH', 'STATUS', 'ROWS', 'FAILED', 'LEFT', 'CREATED', 'HELD'], rows).trimStart()}\n`;
}

/** One line a file, newest first. Ends with a newline. */
export function renderFiles(files: readonly FileState[], nowEpochMs: number): string {
  if (files.length === 0) return 'no files; send one: pilotlight files upload rows.jsonl\n';
  const rows = files.map((file) => [
    file.id,
    formatBytes(file.bytes),
    file.purpose,
    `${formatDuration(Math.max(0, nowEpochMs - file.created_at * 1_000))} ago`,
    file.expires_at === null ? 'never' : `in ${formatDuration(Math.max(0, file.expires_at * 1_000 - nowEpochMs))}`,
    file.filename,
  ]);
  return `${table(['FILE', 'SIZE', 'PURPOSE', 'CREATED', 'EXPIRES', 'NAME'], rows).trimStart()}\n`;
}
