import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MODEL } from '../../src/simulate/demo/names.ts';
import { batchRows, rowLine } from '../support/batch-rows.ts';
import {
  type Batch,
  batchOf,
  batchWhen,
  type Caller,
  callerOf,
  endedBatch,
  sendFile,
  submitted,
  tenantSections,
  type Told,
} from '../support/batch-tenants.ts';
import { poolYaml } from '../support/pool-yaml.ts';
import { prepareServe, type ServeProcess } from '../support/serve-process.ts';

/** Everything that a careless or hostile caller sends, against one running program. */

let serve: ServeProcess;
const call: Caller = callerOf(() => serve.apiUrl, 'key-a');
const other: Caller = callerOf(() => serve.apiUrl, 'key-b');
const limited: Caller = callerOf(() => serve.apiUrl, 'key-c');

beforeAll(async () => {
  const settings = {
    ...tenantSections([
      { name: 'a', key: 'key-a', defaultObjective: 'nightly' },
      { name: 'b', key: 'key-b', defaultObjective: 'nightly', allowedModels: ['sim'], allowedObjectives: ['nightly'] },
      { name: 'c', key: 'key-c', defaultObjective: 'nightly' },
    ]),
    batches: { rows: 3_000, models: 1, customIdBytes: 64, tenantBatches: 2, tenantRows: 3_200, tenantFiles: 12 },
  };
  const yaml = poolYaml({ sim: ['--speed=20'], keepWarm: '60s', settings });
  // Keys instead of callers without one.
  serve = await prepareServe(yaml.replace(/^ {2}auth: \{anonymous: \{trusted.*\n/m, ''), { atEnd: afterAll });
  await serve.start();
});

const rows = batchRows(3_001).map(rowLine);
const [first = '', second = ''] = rows;

function line(fields: Record<string, unknown>, body: Record<string, unknown> = {}): string {
  const row = JSON.parse(first) as { body: object };
  return JSON.stringify({ ...row, ...fields, body: { ...row.body, ...body } });
}

async function errorsOf(caller: Caller, content: string | Uint8Array): Promise<readonly string[]> {
  const batch = await endedBatch(caller, (await submitted(caller, content)).id);
  expect(batch).toMatchObject({
    status: 'failed',
    output_file_id: null,
    error_file_id: null,
    request_counts: { total: 0, completed: 0, failed: 0 },
  });
  await caller('DELETE', `/files/${batch.input_file_id}`);
  return (batch.errors?.data ?? []).map((error) => `${error.line} ${error.code} ${error.param}`);
}

function problemOf({ status, body, noRetry }: Told): string {
  const { error } = body as { error: { code: string | null; param: string | null } };
  return `${status} ${error.code} ${error.param}${noRetry ? ' no-retry' : ''}`;
}

describe('a file is refused at once when it', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['ends within a character', Buffer.from([0x7b, 0xc3]), '400 invalid_file file'],
    ['is UTF-16', Buffer.from(`\ufeff${first}`, 'utf16le'), '400 invalid_file file'],
    ['has a surrogate in UTF-8', Buffer.from([0xed, 0xa0, 0x80]), '400 invalid_file file'],
    ['is empty', '', '400 invalid_file file'],
  ])('%s', async (_what, content, problem) => {
    expect(problemOf(await sendFile(call, content))).toBe(problem);
  });
});

const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

describe('a batch fails, and tells the line, of a file with', () => {
  test.each<[string, string, readonly string[]]>([
    [
      'NUL bytes',
      `${first}\n\0\0\n${second.replace('Summarise', 'Sum\0marise')}`,
      ['2 invalid_json_line null', '3 invalid_json_line null'],
    ],
    ['a line of 9 MiB', `${first}\n${line({}, { user: 'x'.repeat(9_437_184) })}\n${second}`, ['2 row_too_large null']],
    ['200,000 levels', `${first}\n${deep(200_000)}\n`, ['2 invalid_json_line null']],
    ['129 levels in a body', line({}, { x: 0 }).replace('"x":0', `"x":${deep(129)}`), ['1 invalid_json_line null']],
    ['lines that are no objects', '[]\n"x"\nnull\n7', [1, 2, 3, 4].map((at) => `${at} invalid_json_line null`)],
    ['an empty line between', `${first}\n\n${second}`, ['2 invalid_json_line null']],
    ['a line that is cut off', `${first}\n${second.slice(0, -1)}`, ['2 invalid_json_line null']],
    ['an id twice, far apart', [...rows.slice(0, 2_999), first].join('\n'), ['3000 duplicate_custom_id custom_id']],
    ['one row too many', rows.join('\n'), ['null too_many_tasks null']],
    ['an id of 65 bytes', line({ custom_id: `${'é'.repeat(32)}x` }), ['1 invalid_value custom_id']],
    ['another model', `${first}\n${line({ custom_id: '2' }, { model: 'sim' })}`, ['2 mismatched_model body.model']],
    ['a model that nobody has', line({}, { model: 'nope' }), ['1 model_not_found body.model']],
    ['a streamed row', line({}, { stream: true }), ['1 invalid_value body.stream']],
    [
      'urls that lead elsewhere',
      ['http://169.254.169.254/latest', '//evil/v1/chat/completions', '/v1/chat/completions?x', '/v1/embeddings']
        .map((url, index) => line({ url, custom_id: `${index}` }))
        .join('\n'),
      [1, 2, 3, 4].map((at) => `${at} url_mismatch url`),
    ],
  ])('%s', async (_what, content, errors) => {
    expect(await errorsOf(call, content)).toEqual(errors);
  });

  test('500 broken lines: a hundred of them, and how many more', async () => {
    const errors = await errorsOf(call, '{\n'.repeat(500));
    expect([errors.length, errors[99], errors[100]]).toEqual([
      101,
      '100 invalid_json_line null',
      'null too_many_errors null',
    ]);
  });

  test('models and objectives that its tenant may not use', async () => {
    expect(await errorsOf(other, line({}, { model: MODEL }))).toEqual(['1 model_forbidden body.model']);
    const objective = { pilotlight: { objective: 'interactive' } };
    expect(await errorsOf(other, line(objective, { model: 'sim' }))).toEqual([
      '1 objective_forbidden pilotlight.objective',
    ]);
  });
});

test('what is at a limit, strange but right, runs', async () => {
  const odd = [
    line({ custom_id: 'é'.repeat(32) }),
    line({ custom_id: '__proto__' }),
    line({ custom_id: 'a\u0000b' }),
    line({ custom_id: '\ud800' }),
    line({ custom_id: '129', nobody: 'knows' }).replace('"nobody"', '"__proto__"'),
  ];
  const batch = await endedBatch(call, (await submitted(call, `\ufeff${odd.join('\r\n')}\r\n\r\n`)).id);
  expect(batch.request_counts).toEqual({ total: 5, completed: 5, failed: 0 });
  const output = String((await call('GET', `/files/${batch.output_file_id}/content`)).body);
  const ids = output
    .trim()
    .split('\n')
    .map((text) => (JSON.parse(text) as { custom_id: string }).custom_id);
  expect(ids).toEqual(['é'.repeat(32), '__proto__', 'a\u0000b', '\ud800', '129']);
  await call('DELETE', `/files/${batch.input_file_id}`);
  await call('DELETE', `/files/${batch.output_file_id}`);
});

test("another tenant's ids are unknown ids, whatever is asked", async () => {
  const batch = await endedBatch(call, (await submitted(call, first)).id);
  const upload = await call('POST', '/uploads', {
    json: { filename: 'x.jsonl', purpose: 'batch', bytes: 10, mime_type: 'application/jsonl' },
  });
  const answer = await call('POST', '/responses', { json: { model: MODEL, input: 'Hi', background: true } });
  const hook = await call('POST', '/webhook_endpoints', {
    json: { name: 'h', url: 'https://hooks.example.com/x', event_types: ['batch.completed'] },
  });
  const idOf = ({ body }: Told) => (body as { id: string }).id;
  const part = new FormData();
  part.append('data', new Blob(['0123456789']), 'part');
  const routes: readonly (readonly [string, string, string, object?])[] = [
    ['GET', '/files/ID', batch.input_file_id],
    ['GET', '/files/ID/content', batch.input_file_id],
    ['DELETE', '/files/ID', batch.input_file_id],
    ['GET', '/files/ID/content', batch.output_file_id ?? ''],
    ['GET', '/batches/ID', batch.id],
    ['GET', '/batches/ID/rows', batch.id],
    ['GET', '/batches/ID/events', batch.id],
    ...['cancel', 'pause', 'resume', 'retry_failed'].map(
      (verb) => ['POST', `/batches/ID/${verb}`, batch.id, {}] as const,
    ),
    ['POST', '/batches/ID/priority', batch.id, { objective: 'nightly' }],
    ['GET', '/uploads/ID', idOf(upload)],
    ['POST', '/uploads/ID/cancel', idOf(upload), {}],
    ['POST', '/uploads/ID/complete', idOf(upload), { part_ids: ['part_x'] }],
    ['GET', '/responses/ID', idOf(answer)],
    ['POST', '/responses/ID/cancel', idOf(answer), {}],
    ['DELETE', '/responses/ID', idOf(answer)],
    ['GET', '/webhook_endpoints/ID', idOf(hook)],
    ['DELETE', '/webhook_endpoints/ID', idOf(hook)],
  ];
  for (const [method, path, id, json] of routes) {
    const unknown = id.replace(/[0-9a-f]{4}(?=$|-)/, '0000');
    const ask = (at: string) => other(method, path.replace('ID', at), json && { json });
    const [foreign, none] = [await ask(id), await ask(unknown)];
    expect([method, path, foreign.status]).toEqual([method, path, 404]);
    expect(JSON.stringify(foreign).replaceAll(id, 'ID')).toBe(JSON.stringify(none).replaceAll(unknown, 'ID'));
  }
  const foreignFile = await other('POST', '/batches', { json: batchOf(batch.input_file_id) });
  expect(problemOf(foreignFile)).toBe('404 file_not_found input_file_id');
  const foreignPart = await other('POST', `/uploads/${idOf(upload)}/parts`, { body: part });
  expect(problemOf(foreignPart)).toBe('404 upload_not_found upload_id');
  const own = [batch.id, batch.input_file_id, batch.output_file_id, idOf(hook)];
  for (const list of ['/files', '/batches', '/webhook_endpoints']) {
    const { data } = (await other('GET', list)).body as { data: readonly { id: string }[] };
    expect(data.filter(({ id }) => own.includes(id))).toEqual([]);
  }
  await call('DELETE', `/files/${batch.input_file_id}`);
  await call('DELETE', `/files/${batch.output_file_id}`);
});

describe('creating', () => {
  let fileId = '';
  beforeAll(async () => {
    fileId = ((await sendFile(call, first)).body as { id: string }).id;
  });
  const create = (extra: Record<string, unknown>, headers = {}) =>
    call('POST', '/batches', { json: batchOf(fileId, extra), headers });

  test.each<[string, Record<string, unknown>, string]>([
    [
      '17 pairs of metadata',
      { metadata: Object.fromEntries(rows.slice(0, 17).entries()) },
      '400 invalid_value metadata',
    ],
    ['a key of 65', { metadata: { ['k'.repeat(65)]: 'v' } }, '400 invalid_value metadata'],
    ['a value of 513', { metadata: { k: 'v'.repeat(513) } }, '400 invalid_value metadata'],
    ['a value that is no text', { metadata: { k: 1 } }, '400 invalid_value metadata'],
    ['metadata that is a list', { metadata: [] }, '400 invalid_type metadata'],
    ['a window that is not offered', { completion_window: '25h' }, '400 invalid_value completion_window'],
    ['an endpoint elsewhere', { endpoint: 'http://10.0.0.1/v1/chat/completions' }, '400 invalid_value endpoint'],
    ['a file that is not there', { input_file_id: 'file-nope' }, '404 file_not_found input_file_id'],
    [
      'an expiry too soon',
      { output_expires_after: { anchor: 'created_at', seconds: 3_599 } },
      '400 integer_below_min_value output_expires_after.seconds',
    ],
    ['a wish that nobody knows', { pilotlight: { colour: 'blue' } }, '400 invalid_value pilotlight.colour'],
  ])('is refused with %s', async (_what, extra, problem) => {
    expect(problemOf(await create(extra))).toBe(problem);
  });

  test('with metadata at its limits, and one key by many at once, makes one batch', async () => {
    const metadata = Object.fromEntries(rows.slice(0, 16).map((_, at) => [`${at}`.padEnd(64, 'k'), 'é'.repeat(512)]));
    const headers = { 'idempotency-key': 'at-once' };
    const answers = await Promise.all(Array.from({ length: 20 }, () => create({ metadata }, headers)));
    const made = new Set(answers.map(({ status, body }) => `${status} ${(body as Batch).id}`));
    expect(made.size).toBe(1);
    expect(answers[0]?.body).toMatchObject({ metadata });
    expect(problemOf(await create({ metadata: {} }, headers))).toBe(
      '409 idempotency_conflict Idempotency-Key no-retry',
    );
    await endedBatch(call, (answers[0]?.body as Batch).id);
  });
});

describe('limits of a tenant', () => {
  const MANY = { max_tokens: 1_000 };
  const long = (count: number) => batchRows(count, MANY).map(rowLine).join('\n');
  const unfinished: string[] = [];

  test('as many batches as are allowed, also when all are made at the same moment', async () => {
    const file = ((await sendFile(limited, long(1_500))).body as { id: string }).id;
    const made = await Promise.all(
      Array.from({ length: 12 }, () => limited('POST', '/batches', { json: batchOf(file) })),
    );
    expect(made.map(({ status }) => status).sort()).toEqual([200, 200, ...Array<number>(10).fill(429)]);
    const refused = made.find(({ status }) => status === 429);
    expect(problemOf(refused as Told)).toBe('429 batches_full null');
    for (const { status, body } of made) if (status === 200) unfinished.push((body as Batch).id);
  });

  test('rows beyond the limit of all batches together are told by validation; a cancel gives room', async () => {
    const [kept = '', gone = ''] = unfinished;
    for (const id of unfinished) await batchWhen(limited, id, 'it runs', ({ status }) => status === 'in_progress');
    await limited('POST', `/batches/${gone}/cancel`, { json: {} });
    await endedBatch(limited, gone);
    const tooMany = await endedBatch(limited, (await submitted(limited, long(1_701))).id);
    expect(tooMany.errors?.data?.map(({ code }) => code)).toEqual(['batch_rows_full']);
    const right = await submitted(limited, long(1_700));
    await batchWhen(limited, right.id, 'it runs', ({ status }) => status === 'in_progress');
    for (const id of [kept, right.id]) {
      await limited('POST', `/batches/${id}/cancel`, { json: {} });
      await endedBatch(limited, id);
    }
  });

  test('files', async () => {
    let answer = await sendFile(limited, first);
    for (let sent = 1; sent <= 12 && answer.status === 200; sent += 1) answer = await sendFile(limited, first);
    expect(problemOf(answer)).toBe('429 files_full null no-retry');
    const { data } = (await limited('GET', '/files')).body as { data: readonly { id: string }[] };
    expect(data).toHaveLength(12);
    expect((await limited('DELETE', `/files/${data[0]?.id}`)).status).toBe(200);
    expect((await sendFile(limited, first)).status).toBe(200);
  });
});
