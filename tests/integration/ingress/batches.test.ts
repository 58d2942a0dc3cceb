import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../../src/platform/clock.ts';
import { openFileWorld } from '../../support/file-world.ts';
import { FakeBatches } from '../../unit/ingress/support/fake-batches.ts';
import { GATEWAY_KEY, type Rig, startRig, until } from './rig.ts';

const BODY = { input_file_id: 'file-in', endpoint: '/v1/chat/completions', completion_window: '24h' };

let rig: Rig;
let batches: FakeBatches;
beforeEach(async () => {
  batches = new FakeBatches();
  const { files, uploads } = openFileWorld(systemClock);
  const settings = { windows: ['24h', '8h'], fileBytes: 10_000_000, uploadPartBytes: 1_000_000 };
  rig = await startRig({ batchApi: { files, uploads, batches, settings } });
});
afterEach(() => rig.close());

async function made(): Promise<string> {
  return ((await (await rig.post('/v1/batches', BODY)).json()) as { id: string }).id;
}

async function errorOf(answer: Response) {
  const { error } = (await answer.json()) as { error: { code: string; param: string | null; message: string } };
  return { status: answer.status, ...error };
}

describe('POST /v1/batches', () => {
  const pairs = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`k${n}`, 'v']));
  test.each([
    [{ input_file_id: undefined }, 'missing_required_parameter', 'input_file_id'],
    [{ input_file_id: 7 }, 'invalid_type', 'input_file_id'],
    [{ endpoint: undefined }, 'missing_required_parameter', 'endpoint'],
    [{ endpoint: '/v1/videos' }, 'invalid_value', 'endpoint'],
    [{ endpoint: 'http://169.254.169.254/v1/chat/completions' }, 'invalid_value', 'endpoint'],
    [{ completion_window: undefined }, 'missing_required_parameter', 'completion_window'],
    [{ completion_window: '25h' }, 'invalid_value', 'completion_window'],
    [{ metadata: pairs(17) }, 'invalid_value', 'metadata'],
    [{ metadata: { a: 1 } }, 'invalid_value', 'metadata'],
    [{ metadata: { a: 'x'.repeat(513) } }, 'invalid_value', 'metadata'],
    [{ metadata: { ['k'.repeat(65)]: 'x' } }, 'invalid_value', 'metadata'],
    [{ metadata: [] }, 'invalid_type', 'metadata'],
    [
      { output_expires_after: { anchor: 'created_at', seconds: 3_599 } },
      'integer_below_min_value',
      'output_expires_after.seconds',
    ],
    [
      { output_expires_after: { anchor: 'created_at', seconds: 2_592_001 } },
      'integer_above_max_value',
      'output_expires_after.seconds',
    ],
    [{ output_expires_after: { anchor: 'now', seconds: 3_600 } }, 'invalid_value', 'output_expires_after.anchor'],
    [{ output_expires_after: 3_600 }, 'invalid_type', 'output_expires_after'],
    [{ pilotlight: [] }, 'invalid_type', 'pilotlight'],
    [{ pilotlight: { objektive: 'x' } }, 'invalid_value', 'pilotlight.objektive'],
    [{ pilotlight: { objective: 1 } }, 'invalid_type', 'pilotlight.objective'],
    [{ pilotlight: { max_attempts: 21 } }, 'invalid_value', 'pilotlight.max_attempts'],
    [{ pilotlight: { on_invalid_row: 'ignore' } }, 'invalid_value', 'pilotlight.on_invalid_row'],
    [{ pilotlight: { include_row_meta: 'yes' } }, 'invalid_type', 'pilotlight.include_row_meta'],
    [{ pilotlight: { deadline: 'soon' } }, 'invalid_value', 'pilotlight.deadline'],
    [{ pilotlight: { deadline: 1_700_000_000 } }, 'invalid_value', 'pilotlight.deadline'],
    [{ pilotlight: { deadline: '25h' } }, 'invalid_value', 'pilotlight.deadline'],
  ])('with %j is refused', async (fields, code, param) => {
    expect(await errorOf(await rig.post('/v1/batches', { ...BODY, ...fields }))).toMatchObject({
      status: 400,
      code,
      param,
    });
    expect(batches.requests).toEqual([]);
  });

  test('tells of one missing field after the other', async () => {
    expect((await errorOf(await rig.post('/v1/batches', {}))).message).toBe(
      "Missing required parameter: 'input_file_id'.",
    );
  });

  test('takes the objective from the body, else from the metadata, else from the headers of a trusted caller', async () => {
    const trusted = { authorization: `Bearer ${GATEWAY_KEY}`, 'x-llm-d-inference-objective': 'of-header' };
    const metadata = { 'pilotlight-objective': 'of-metadata' };
    await rig.post('/v1/batches', { ...BODY, metadata, pilotlight: { objective: 'of-body' } }, trusted);
    await rig.post('/v1/batches', { ...BODY, metadata }, trusted);
    await rig.post('/v1/batches', BODY, trusted);
    await rig.post('/v1/batches', BODY, { 'x-llm-d-inference-objective': 'of-header' });
    expect(batches.requests.map(({ wishes }) => wishes.objective)).toEqual([
      'of-body',
      'of-metadata',
      'of-header',
      null,
    ]);
    expect(await rig.metric('pilotlight_ingress_ignored_headers_total')).toBe(1);
  });

  test.each([
    ['a time from now', () => '6h', 6 * 3_600_000],
    ['Unix seconds', () => Math.floor(Date.now() / 1_000) + 3_600, 3_600_000],
    ['a date and time', () => new Date(Date.now() + 7_200_000).toISOString(), 7_200_000],
  ])('takes a deadline as %s', async (_name, deadline, fromNowMs) => {
    await rig.post('/v1/batches', { ...BODY, pilotlight: { deadline: deadline() } });
    const found = batches.requests[0]!.wishes.deadlineEpochMs! - Date.now();
    expect(Math.abs(found - fromNowMs)).toBeLessThan(5_000);
  });

  test('knows its repetition by key, by body and by the count of an SDK', async () => {
    const headers = { 'idempotency-key': 'night-7', 'x-stainless-retry-count': '2' };
    const first = await (await rig.post('/v1/batches', BODY, headers)).json();
    expect(await (await rig.post('/v1/batches', BODY, headers)).json()).toEqual(first);
    const [one, other] = batches.requests.map(({ repetition }) => repetition);
    expect(one).toMatchObject({ key: 'night-7', sdkRetry: 2 });
    expect(other).toEqual(one);
    await rig.post('/v1/batches', { ...BODY, metadata: {} }, { 'x-stainless-retry-count': 'many' });
    expect(batches.requests[2]!.repetition).toMatchObject({ key: null, sdkRetry: 0 });
    expect(batches.requests[2]!.repetition.bodyHash).not.toBe(one!.bodyHash);
    const bad = await errorOf(await rig.post('/v1/batches', BODY, { 'idempotency-key': 'x'.repeat(256) }));
    expect(bad).toMatchObject({ status: 400, param: 'idempotency-key' });
  });

  test('with validate_only keeps nothing and tells what it found', async () => {
    const answer = await rig.post('/v1/batches?validate_only=true', BODY);
    expect(await answer.json()).toEqual({
      object: 'batch.validation',
      valid: true,
      errors: { object: 'list', data: [] },
      estimate: {
        rows: 2,
        input_tokens: 30,
        max_output_tokens: 400,
        eta_seconds: 2,
        meets_deadline: true,
        models: [{ model: 'tiny', pool: 'default/tiny', objective: 'nightly', rows: 2 }],
      },
    });
    expect(batches.views.size).toBe(0);
    batches.dryRunAnswer = { kind: 'invalid', errors: [{ code: 'empty_file', message: 'm', param: null, line: null }] };
    expect(await (await rig.post('/v1/batches?validate_only=true', BODY)).json()).toMatchObject({
      valid: false,
      errors: { data: [{ code: 'empty_file' }] },
      estimate: null,
    });
    expect(await errorOf(await rig.post('/v1/batches?validate_only=maybe', BODY))).toMatchObject({
      param: 'validate_only',
    });
  });
});

describe('GET /v1/batches', () => {
  test.each([
    ['limit=101', 'integer_above_max_value', 'limit'],
    ['limit=0', 'integer_below_min_value', 'limit'],
    ['limit=ten', 'invalid_type', 'limit'],
    ['limit=1.5', 'invalid_type', 'limit'],
    ['status=ready', 'invalid_value', 'status'],
  ])('with %s is refused', async (query, code, param) => {
    expect(await errorOf(await rig.get(`/v1/batches?${query}`))).toMatchObject({ status: 400, code, param });
  });

  test('shows those of one status', async () => {
    const [one] = [await made(), await made()];
    batches.set(one, { status: 'completed' });
    const list = (await (await rig.get('/v1/batches?status=completed')).json()) as { data: { id: string }[] };
    expect(list).toMatchObject({ object: 'list', has_more: false, first_id: one, last_id: one });
    expect(list.data.map(({ id }) => id)).toEqual([one]);
    expect(await (await rig.get('/v1/batches?status=failed')).json()).toMatchObject({
      data: [],
      first_id: null,
      last_id: null,
    });
  });
});

describe('a batch', () => {
  test('is paused, resumed, moved and extended', async () => {
    const id = await made();
    const act = (what: string, body: unknown) => rig.post(`/v1/batches/${id}/${what}`, body);
    const until6 = Math.floor(Date.now() / 1_000) + 6 * 3_600;
    for (const [what, body] of [
      ['pause', { reason: 'GPUs are needed' }],
      ['resume', ''],
      ['pause', ''],
      ['priority', { objective: 'urgent' }],
      ['extend', { expires_at: until6 }],
    ] as const) {
      expect((await act(what, body)).status).toBe(200);
    }
    expect(batches.changes).toEqual([
      { kind: 'pause', reason: 'GPUs are needed' },
      { kind: 'resume' },
      { kind: 'pause', reason: null },
      { kind: 'objective', objective: 'urgent' },
      { kind: 'extend', expiresAtEpochMs: until6 * 1_000 },
    ]);
    expect(await errorOf(await act('priority', ''))).toMatchObject({ status: 400, param: 'objective' });
    expect(await errorOf(await act('extend', {}))).toMatchObject({ status: 400, param: 'expires_at' });
    expect(await errorOf(await act('pause', { reason: 5 }))).toMatchObject({ code: 'invalid_type', param: 'reason' });
  });

  test('is tried again as another batch', async () => {
    const id = await made();
    const again = await (await rig.post(`/v1/batches/${id}/retry_failed`, '')).json();
    expect(again).toMatchObject({ object: 'batch', pilotlight: { retry_of: id } });
  });

  test('shows how far it is', async () => {
    const id = await made();
    batches.set(id, {
      status: 'in_progress',
      counts: { total: 10, completed: 3, failed: 1 },
      progress: {
        ...batches.views.get(id)!.progress,
        phase: 'running',
        rowsPerSecond: 12.3456,
        etaMs: 61_001,
        rowsRunning: 4,
        hold: { reason: 'scaling_from_zero', message: 'A replica starts.' },
      },
    });
    expect(await (await rig.get(`/v1/batches/${id}`)).json()).toMatchObject({
      request_counts: { total: 10, completed: 3, failed: 1 },
      pilotlight: {
        phase: 'running',
        rows_per_second: 12.35,
        eta_seconds: 62,
        rows_running: 4,
        holding_reason: 'scaling_from_zero',
        holding_message: 'A replica starts.',
      },
    });
  });

  test('of another tenant is the same as none', async () => {
    const id = await made();
    const other = { authorization: `Bearer ${GATEWAY_KEY}` };
    for (const path of [id, `${id}/rows`, `${id}/events`]) {
      expect(await errorOf(await rig.get(`/v1/batches/${path}`, other))).toMatchObject({
        status: 404,
        code: 'batch_not_found',
      });
    }
    for (const act of ['cancel', 'pause', 'resume', 'retry_failed']) {
      expect((await rig.post(`/v1/batches/${id}/${act}`, '', other)).status).toBe(404);
    }
  });

  test('says which methods its paths have', async () => {
    const answer = await rig.post('/v1/batches/b/rows', '');
    expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
  });
});

describe('rows of a batch', () => {
  test('come as they will stand in its files, page after page', async () => {
    const id = await made();
    batches.lines.push(...Array.from({ length: 250 }, (_, n) => ({ row: n * 2, line: `{"custom_id":"${n}"}` })));
    const seen: string[] = [];
    for (let after = -1, more = true; more; ) {
      const answer = await rig.get(`/v1/batches/${id}/rows?after=${after}`);
      expect(answer.headers.get('content-type')).toBe('application/jsonl; charset=utf-8');
      seen.push(...(await answer.text()).trimEnd().split('\n'));
      after = Number(answer.headers.get('x-pilotlight-last-row'));
      more = answer.headers.get('x-pilotlight-has-more') === 'true';
    }
    expect(seen).toEqual(batches.lines.map(({ line }) => line));
  });

  test('of which there is none yet are no lines', async () => {
    const answer = await rig.get(`/v1/batches/${await made()}/rows?after=7&limit=5`);
    expect([await answer.text(), answer.headers.get('x-pilotlight-last-row')]).toEqual(['', '7']);
    expect(answer.headers.get('x-pilotlight-has-more')).toBe('false');
  });

  test('that are long make short pages', async () => {
    const id = await made();
    const line = JSON.stringify({ text: 'x'.repeat(1_000_000) });
    batches.lines.push(...Array.from({ length: 100 }, (_, row) => ({ row, line })));
    const answer = await rig.get(`/v1/batches/${id}/rows?limit=100`);
    expect((await answer.text()).trimEnd().split('\n')).toHaveLength(20);
    expect(answer.headers.get('x-pilotlight-has-more')).toBe('true');
  });
});

describe('events of a batch', () => {
  test('tell each change, and end with it', async () => {
    const id = await made();
    batches.news.push({ status: 'in_progress' }, { status: 'completed' });
    const answer = await rig.get(`/v1/batches/${id}/events`);
    expect(answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const events = (await answer.text()).trim().split('\n\n');
    expect(events.every((event) => event.startsWith('event: batch\ndata: '))).toBe(true);
    const statuses = events.map((event) => (JSON.parse(event.split('data: ')[1]!) as { status: string }).status);
    expect(statuses).toEqual(['validating', 'in_progress', 'completed']);
    expect(await rig.metric('pilotlight_ingress_held_calls')).toBe(0);
  });

  test('are not watched any more when their reader has left', async () => {
    const id = await made();
    const leaving = new AbortController();
    const answer = await fetch(`${rig.url}/v1/batches/${id}/events`, {
      headers: { authorization: 'Bearer sk-acme' },
      signal: leaving.signal,
    });
    expect(answer.status).toBe(200);
    await until(() => batches.watching === 1, 'the watch');
    expect(await rig.metric('pilotlight_ingress_held_calls')).toBe(1);
    leaving.abort();
    await until(() => batches.watching === 0, 'the end of the watch');
    await until(async () => (await rig.metric('pilotlight_ingress_held_calls')) === 0, 'its place');
  });
});
