import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { batchRows, rowsFile } from '../support/batch-rows.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { findPythonPackage } from '../support/python-package.ts';
import { prepareServe } from '../support/serve-process.ts';

const SCRIPT = fileURLToPath(new URL('../support/openai-batches.py', import.meta.url));
const WITHIN_MS = 150_000;
const python = await findPythonPackage({ name: 'openai', requirement: 'openai==3.54.0' });

test.skipIf(python.kind === 'missing')(
  'the unmodified Python client uploads both ways, runs, lists, streams, deletes, and is refused once where it is refused',
  async () => {
    if (python.kind === 'missing') throw new Error(python.why);
    const serve = await prepareServe(poolYaml({ sim: ['--speed=8'], maxReplicas: 1 }));
    await serve.start();
    const rows = batchRows(60);
    const input = join(serve.folder, 'rows.jsonl');
    await writeFile(input, rowsFile(rows));
    const { stdout } = await promisify(execFile)(python.python, [SCRIPT, serve.apiUrl, input], {
      env: { ...process.env, PYTHONPATH: python.folder, PYTHONDONTWRITEBYTECODE: '1' },
      timeout: WITHIN_MS,
    });
    const bytes = rowsFile(rows).length;
    const counts = { total: 60, completed: 60, failed: 0 };
    const unknown = { status: 404, type: 'invalid_request_error', tries: 1 };
    expect(JSON.parse(stdout)).toEqual({
      file: { purpose: 'batch', status: 'processed', bytes, lives: 3600 },
      waited: 'processed',
      upload: { status: 'completed', bytes },
      same_bytes: true,
      created: 'validating',
      listed: ['2', '1', '0'],
      ended: ['completed', 'completed', 'completed'],
      counts: [counts, counts, counts],
      usage: true,
      errors_file: null,
      rows: rows.map(({ customId }) => customId),
      output_file: 'batch_output',
      outputs_listed: 3,
      cancel_ended: { status: 409, code: 'batch_already_finished', type: 'invalid_request_error', tries: 1 },
      unknown_batch: { ...unknown, code: 'batch_not_found' },
      unknown_file: { ...unknown, code: 'file_not_found' },
      bad_window: { status: 400, code: 'invalid_value', type: 'invalid_request_error', tries: 1 },
      bad_name: { status: 400, code: 'invalid_file', type: 'invalid_request_error', tries: 1 },
      deleted: true,
      gone: { ...unknown, code: 'file_not_found' },
    });
  },
  WITHIN_MS + 60_000,
);
