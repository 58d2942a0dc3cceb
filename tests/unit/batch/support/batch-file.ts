import { type FileFindings, FileCheck, type FileRules } from '../../../../src/batch/policy/validation/file-check.ts';
import { readLineSet } from '../../../../src/batch/policy/validation/line-set.ts';
import { type PlanEntry, readPlanEntries } from '../../../../src/batch/policy/plan-entry.ts';
import type { Route, RouteAnswer } from '../../../../src/batch/policy/validation/route-table.ts';
import { checkRowBody } from '../../../../src/roles/batch-worker.ts';

export const CHAT = '/v1/chat/completions';

export const FILE_RULES: FileRules = {
  batchId: 'batch_b',
  endpoint: CHAT,
  rows: 1_000,
  lineBytes: 4_096,
  models: 3,
  customIdBytes: 64,
  inputs: null,
  json: { depth: 128, parts: 250_000 },
  onInvalidRow: 'fail',
  checkBody: checkRowBody,
};

/** One line; `changes` may take members away by undefined. */
export function row(
  customId: string,
  changes: Record<string, unknown> = {},
  body: Record<string, unknown> = {},
): string {
  const messages = [{ role: 'user', content: 'hi' }];
  return JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: CHAT,
    body: { model: 'm', messages, ...body },
    ...changes,
  });
}

export interface Checked extends FileFindings {
  readonly entries: readonly PlanEntry[];
  /** The lines of wrong rows. */
  readonly wrongLines: readonly string[];
  readonly routes: readonly Route[];
}

/** Checks a file; groups are numbered as they are met, "missing" is no model. */
export function checkFile(
  file: string | readonly Uint8Array[],
  rules: Partial<FileRules> = {},
  onlyLines: readonly number[] | null = null,
): Checked {
  const lines = onlyLines && readLineSet(new Uint8Array(Uint32Array.from(onlyLines).buffer));
  const check = new FileCheck({ ...FILE_RULES, ...rules }, lines);
  const routes: Route[] = [];
  const answer = (route: Route): RouteAnswer => {
    routes.push(route);
    if (route.model === 'missing') return { code: 'model_not_found', message: 'no such model', param: 'body.model' };
    return routes.filter(({ model }) => model !== 'missing').length - 1;
  };
  const run = (steps: Generator<Route, void, RouteAnswer>): void => {
    let step = steps.next();
    while (!step.done) step = steps.next(answer(step.value));
  };
  const chunks = typeof file === 'string' ? [new TextEncoder().encode(file)] : file;
  for (const chunk of chunks) {
    if (check.isStopped) break;
    run(check.feed(chunk));
  }
  run(check.end());
  const wrongBytes = Buffer.from(check.wrongRows.take());
  const entries = readPlanEntries(Buffer.concat([...check.table.pieces(100)]));
  const wrong = entries.slice(check.table.rows - check.table.wrong);
  const wrongLines = wrong.map(({ offsetBytes, lengthBytes }) =>
    wrongBytes.toString('utf8', offsetBytes, offsetBytes + lengthBytes),
  );
  return { ...check.findings(), entries, wrongLines, routes };
}
