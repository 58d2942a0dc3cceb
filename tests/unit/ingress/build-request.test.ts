import { describe, expect, test } from 'vitest';
import type { JobSpec } from '../../../src/core/jobs.ts';
import { EQUAL_TENANTS, NO_QUOTAS, type TenantDirectory } from '../../../src/core/tenants.ts';
import {
  type BatchRow,
  callFromJob,
  callFromRow,
  type HeldCall,
  heldRequest,
  promptTextOf,
} from '../../../src/ingress/policy/build-request.ts';
import { routeModel } from '../../../src/ingress/policy/route-call.ts';
import { DEFAULT_INGRESS_SETTINGS } from '../../../src/ingress/settings.ts';
import { fakeCatalog, identity } from './support/fake-catalog.ts';

const catalog = fakeCatalog();
const NOW = 1_700_000_000_000;
const settings = DEFAULT_INGRESS_SETTINGS;

function heldCall(model: string, changes: Partial<HeldCall> = {}): HeldCall {
  const resolution = routeModel({ catalog, identity: identity() }, model);
  if (resolution instanceof Error) throw resolution;
  return {
    id: 'req_1',
    path: '/v1/chat/completions',
    fields: { model, stream: false, maxOutputTokens: 50, serviceTier: null },
    resolution,
    objective: catalog.objective('default/chat', 'nightly')!,
    fairnessId: 'acme',
    terms: EQUAL_TENANTS.termsOf('acme'),
    ttlMs: null,
    deadlineMs: null,
    body: Buffer.alloc(401),
    promptText: () => 'p',
    forwardHeaders: {},
    nowEpochMs: NOW,
    ...changes,
  };
}

describe('heldRequest', () => {
  test('takes order and limits from objective and pool', () => {
    const { call, ticket } = heldRequest(heldCall('tiny-sql'), settings);
    expect(call).toMatchObject({ model: 'tiny-sql', servedModel: 'sql-lora', adapter: 'sql-lora', inputTokens: 101 });
    expect(ticket).toEqual({
      id: 'req_1',
      kind: 'held',
      objective: 'nightly',
      priority: -10,
      fairnessId: 'acme',
      weight: 1,
      costTokens: 151,
      bytes: 401,
      classKey: 'sql-lora',
      expiresAtEpochMs: NOW + 60_000,
      arrivedAtEpochMs: null,
      limits: {
        poolMaxRequests: 100_000,
        poolMaxBytes: 2_000_000_000,
        shedAtPercent: 50,
        objectiveMaxRequests: 50_000,
        objectiveMaxBytes: 1_000_000_000,
      },
    });
  });

  test('without a limit or a TTL it costs a mean answer and never expires', () => {
    const fields = { model: 'tiny', stream: true, maxOutputTokens: null, serviceTier: null };
    const objective = catalog.objective('default/chat', 'interactive')!;
    const { ticket, call } = heldRequest(heldCall('tiny', { fields, objective }), settings);
    expect(ticket).toMatchObject({ costTokens: 312, expiresAtEpochMs: null, classKey: '', priority: 100 });
    expect(call).toMatchObject({ adapter: null, maxOutputTokens: null, stream: true });
  });

  test('a stream may wait longer for its slot and be silent for less', () => {
    const fields = { model: 'tiny', stream: true, maxOutputTokens: null, serviceTier: null };
    expect(heldRequest(heldCall('tiny', { fields }), settings).timeouts).toEqual({
      maxWaitMs: 3_600_000,
      idleMs: 120_000,
      overallMs: 1_800_000,
    });
    expect(heldRequest(heldCall('tiny'), settings).timeouts).toEqual({
      maxWaitMs: 600_000,
      idleMs: 1_800_000,
      overallMs: 1_800_000,
    });
  });
});

describe('how long a held call may wait', () => {
  const objective = { ...catalog.objective('default/chat', 'nightly')!, queueTtlMs: 60_000 };
  const open = { ...objective, queueTtlMs: null };
  const stopping = { ...objective, queueTtlStopsWithoutCapacity: true };
  test.each([
    { name: 'its objective says', call: { objective }, want: { expiresAtEpochMs: NOW + 60_000 } },
    { name: 'the caller waits for less', call: { objective, ttlMs: 500 }, want: { expiresAtEpochMs: NOW + 500 } },
    {
      name: 'the caller would wait for longer than the objective lets it',
      call: { objective, ttlMs: 90_000 },
      want: { expiresAtEpochMs: NOW + 60_000 },
    },
    { name: 'only the caller sets a limit', call: { objective: open, ttlMs: 7 }, want: { expiresAtEpochMs: NOW + 7 } },
    {
      name: 'its deadline comes first',
      call: { objective, ttlMs: 9_000, deadlineMs: 2_000 },
      want: { expiresAtEpochMs: NOW + 2_000, deadlineEpochMs: NOW + 2_000 },
    },
    {
      name: 'the clock of its TTL can stop and that of its deadline cannot',
      call: { objective: stopping, ttlMs: 1_000, deadlineMs: 5_000 },
      want: { expiresAtEpochMs: NOW + 1_000, expiryStopsWithoutCapacity: true, deadlineEpochMs: NOW + 5_000 },
    },
    {
      name: 'it has a deadline alone',
      call: { objective: { ...open, queueTtlStopsWithoutCapacity: true }, deadlineMs: 5_000 },
      want: { expiresAtEpochMs: NOW + 5_000, deadlineEpochMs: NOW + 5_000 },
    },
  ])('$name', ({ call, want }) => {
    const { ticket } = heldRequest(heldCall('tiny', call), settings);
    const { expiresAtEpochMs, expiryStopsWithoutCapacity, deadlineEpochMs } = ticket;
    expect({ expiresAtEpochMs, expiryStopsWithoutCapacity, deadlineEpochMs }).toEqual({
      expiryStopsWithoutCapacity: undefined,
      deadlineEpochMs: undefined,
      ...want,
    });
  });
});

describe('the terms of its tenant', () => {
  const quotas = { ...NO_QUOTAS, maxConcurrency: 3, maxRequests: 40, maxBytes: 5_000 };
  const tenants: TenantDirectory = { termsOf: () => ({ weight: 4, quotas }) };
  const want = { weight: 4, maxConcurrency: 3, limits: { tenantMaxRequests: 40, tenantMaxBytes: 5_000 } };

  test('go with a held call, a job and a row into the order', () => {
    const held = heldRequest(heldCall('tiny', { terms: tenants.termsOf('acme') }), settings);
    expect(held.ticket).toMatchObject(want);
    expect(callFromJob(job, jobBody, catalog, settings, tenants)).toMatchObject({ ticket: want });
    expect(callFromRow(batchRow, jobBody, catalog, settings, tenants)).toMatchObject({ ticket: want });
  });

  test('are as of every other where it has none', () => {
    const { ticket } = heldRequest(heldCall('tiny'), settings);
    expect(ticket.weight).toBe(1);
    expect(ticket).not.toHaveProperty('maxConcurrency');
    expect(ticket.limits).not.toHaveProperty('tenantMaxRequests');
  });
});

const job: JobSpec = {
  id: 'job_1',
  tenant: 'acme',
  pool: 'default/chat',
  objective: 'nightly',
  path: '/v1/chat/completions',
  model: 'gpt-4o-mini',
  servedModel: 'tiny',
  adapter: null,
  inputTokens: 10,
  maxOutputTokens: 20,
  acceptedAtEpochMs: NOW,
  deadlineEpochMs: NOW + 5_000,
};
const jobBody = Buffer.from('{"model":"tiny","messages":[{"role":"user","content":"hi"}]}');
const batchRow: BatchRow = {
  id: 'batch_req_1_1',
  tenant: 'acme',
  group: {
    pool: 'default/chat',
    objective: 'nightly',
    path: '/v1/chat/completions',
    model: 'gpt-4o-mini',
    servedModel: 'tiny',
    adapter: null,
  },
  deadlineEpochMs: NOW + 5_000,
  inputTokens: 10,
  maxOutputTokens: null,
};

describe('callFromJob', () => {
  const spec = job;
  const body = jobBody;

  test('keeps arrival, deadline and cost of the job, and waits without another limit', () => {
    const request = callFromJob(spec, body, catalog, settings, EQUAL_TENANTS);
    expect(request).toMatchObject({
      call: { id: 'job_1', stream: false, servedModel: 'tiny', forwardHeaders: { 'x-request-id': 'job_1' } },
      ticket: { kind: 'stored', priority: -10, costTokens: 30, arrivedAtEpochMs: NOW, expiresAtEpochMs: NOW + 5_000 },
      timeouts: { maxWaitMs: null },
    });
    if (request instanceof Error) throw request;
    expect(request.call.promptText()).toBe('user\nhi\n');
  });

  test('without its objective it keeps the name it is counted under, at the default priority', () => {
    const request = callFromJob({ ...spec, objective: 'deleted' }, body, catalog, settings, EQUAL_TENANTS);
    expect(request).toMatchObject({ ticket: { objective: 'deleted', priority: 0 } });
  });

  test('without its pool it cannot run', () => {
    expect(callFromJob({ ...spec, pool: 'default/gone' }, body, catalog, settings, EQUAL_TENANTS)).toMatchObject({
      code: 'no_capacity',
    });
  });
});

describe('callFromRow', () => {
  const row = batchRow;
  const { group } = row;
  const body = Buffer.from('{"model":"gpt-4o-mini", "seed":12345678901234567890,"messages":[]}');

  test('arrives when it enters the order, expires with its batch, and waits without another limit', () => {
    expect(callFromRow(row, body, catalog, settings, EQUAL_TENANTS)).toMatchObject({
      call: { id: row.id, stream: false, servedModel: 'tiny', forwardHeaders: { 'x-request-id': row.id } },
      ticket: {
        id: row.id,
        kind: 'row',
        fairnessId: 'acme',
        priority: -10,
        costTokens: 221,
        arrivedAtEpochMs: null,
        expiresAtEpochMs: NOW + 5_000,
      },
      timeouts: { maxWaitMs: null },
    });
  });

  test('names the model as its server knows it, and leaves the rest as it was written', () => {
    const request = callFromRow(row, body, catalog, settings, EQUAL_TENANTS);
    if (request instanceof Error) throw request;
    expect(Buffer.from(request.call.body).toString()).toBe(
      '{"model":"tiny", "seed":12345678901234567890,"messages":[]}',
    );
    const same = callFromRow(
      { ...row, group: { ...group, servedModel: group.model } },
      body,
      catalog,
      settings,
      EQUAL_TENANTS,
    );
    expect(same).toMatchObject({ call: { body } });
  });

  test('loses the member that is ours', () => {
    const own = Buffer.from('{"model":"tiny", "pilotlight":{"objective":"x"},"messages":[]}');
    const request = callFromRow({ ...row, group: { ...group, model: 'tiny' } }, own, catalog, settings, EQUAL_TENANTS);
    if (request instanceof Error) throw request;
    expect(Buffer.from(request.call.body).toString()).toBe('{"model":"tiny","messages":[]}');
  });

  test('without its pool it cannot run', () => {
    const gone = { ...row, group: { ...group, pool: 'default/gone' } };
    expect(callFromRow(gone, body, catalog, settings, EQUAL_TENANTS)).toMatchObject({ code: 'no_capacity' });
  });
});

test.each([
  {
    name: 'messages in order',
    path: '/v1/chat/completions',
    body: {
      messages: [
        { role: 'system', content: 'S' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'U' },
            'V',
            { type: 'image_url', image_url: { url: 'data:1' } },
            { type: 'input_audio' },
          ],
        },
        { role: 'assistant', content: null },
      ],
    },
    want: 'system\nS\nuser\nU\nV\ndata:1\ninput_audio\nassistant\n\n',
  },
  {
    name: 'tools before messages',
    path: '/v1/chat/completions',
    body: { messages: [{ role: 'user', content: 'x' }], tools: [{ a: 1 }] },
    want: '[{"a":1}]\nuser\nx\n',
  },
  { name: 'a prompt', path: '/v1/completions', body: { prompt: 'once' }, want: 'once' },
  { name: 'token ids', path: '/v1/completions', body: { prompt: [1, 2] }, want: '1\n2' },
  { name: 'an input', path: '/v1/embeddings', body: { input: ['a', 'b'] }, want: 'a\nb' },
  { name: 'prompt embeddings, which say nothing', path: '/v1/completions', body: { prompt_embeds: 'x' }, want: '' },
] as const)('promptText: $name', ({ path, body, want }) => {
  expect(promptTextOf(path, Buffer.from(JSON.stringify(body)))).toBe(want);
});
