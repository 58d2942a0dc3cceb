import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { keyHash } from '../../../src/ingress/adapters/configured-keys.ts';
import { identity } from '../../unit/ingress/support/fake-catalog.ts';
import { GATEWAY_KEY, type Rig, startRig } from './rig.ts';

const CHAT = '/v1/chat/completions';
const JOBS = '/v1/jobs';
const messages = [{ role: 'user', content: 'hi' }];
const chat = { model: 'tiny', messages };
const limited = { authorization: 'Bearer sk-limited' };
const gateway = { authorization: `Bearer ${GATEWAY_KEY}` };

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({
    tenants: [
      { identity: identity(), keys: [keyHash('sk-acme')] },
      { identity: identity({ tenant: 'gateway', trusted: true }), keys: [keyHash(GATEWAY_KEY)] },
      {
        identity: identity({
          tenant: 'limited',
          allowedObjectives: ['nightly'],
          allowedModels: ['tiny'],
          defaultObjective: 'nightly',
        }),
        keys: [keyHash('sk-limited')],
      },
    ],
  });
});
afterAll(() => rig.close());

interface Row {
  name: string;
  path?: string;
  body?: unknown;
  headers?: Record<string, string>;
  status: number;
  code: string;
  type?: string;
  param: string | null;
}

const ROWS: Row[] = [
  { name: 'malformed JSON', body: '{"model": "tiny",', status: 400, code: 'invalid_json', param: 'body' },
  { name: 'an empty body', body: '', status: 400, code: 'invalid_json', param: 'body' },
  { name: 'a JSON array', body: [], status: 400, code: 'invalid_type', param: 'body' },
  { name: 'a missing model', body: { messages }, status: 400, code: 'missing_required_parameter', param: 'model' },
  {
    name: 'a missing message list',
    body: { model: 'tiny' },
    status: 400,
    code: 'missing_required_parameter',
    param: 'messages',
  },
  {
    name: 'a wrong type deep inside',
    body: { model: 'tiny', messages: [...messages, { role: 'user', content: 1 }] },
    status: 400,
    code: 'invalid_type',
    param: 'messages[1].content',
  },
  {
    name: 'a limit out of range',
    body: { ...chat, max_tokens: 0 },
    status: 400,
    code: 'invalid_value',
    param: 'max_tokens',
  },
  { name: 'an unknown model', body: { ...chat, model: 'gpt-9' }, status: 404, code: 'model_not_found', param: 'model' },
  {
    name: 'a forbidden model',
    body: { ...chat, model: 'tiny-sql' },
    headers: limited,
    status: 403,
    code: 'model_forbidden',
    type: 'permission_error',
    param: 'model',
  },
  {
    name: 'an unknown objective in a header',
    body: chat,
    headers: { ...gateway, 'x-llm-d-inference-objective': 'nope' },
    status: 400,
    code: 'unknown_objective',
    param: 'x-llm-d-inference-objective',
  },
  {
    name: 'a malformed fairness id',
    body: chat,
    headers: { ...gateway, 'x-gateway-inference-fairness-id': 'a b' },
    status: 400,
    code: 'invalid_value',
    param: 'x-gateway-inference-fairness-id',
  },
  {
    name: 'an unknown objective in a job',
    path: JOBS,
    body: { body: chat, objective: 'nope' },
    status: 400,
    code: 'unknown_objective',
    param: 'objective',
  },
  {
    name: 'a forbidden objective',
    path: JOBS,
    body: { body: chat, objective: 'interactive' },
    headers: limited,
    status: 403,
    code: 'objective_forbidden',
    type: 'permission_error',
    param: 'objective',
  },
  {
    name: 'a bad duration',
    path: JOBS,
    body: { body: chat, deadline: 'soon' },
    status: 400,
    code: 'invalid_value',
    param: 'deadline',
  },
  {
    name: 'an unknown model in a job',
    path: JOBS,
    body: { body: { ...chat, model: 'gpt-9' } },
    status: 404,
    code: 'model_not_found',
    param: 'body.model',
  },
  {
    name: 'a streamed job',
    path: JOBS,
    body: { ...chat, stream: true },
    status: 400,
    code: 'invalid_value',
    param: 'stream',
  },
  {
    name: 'a stream that should answer later',
    body: { ...chat, stream: true },
    headers: { prefer: 'respond-async' },
    status: 400,
    code: 'invalid_value',
    param: 'stream',
  },
  {
    name: 'no key',
    body: chat,
    headers: { authorization: '' },
    status: 401,
    code: 'invalid_api_key',
    type: 'authentication_error',
    param: null,
  },
  {
    name: 'a key nobody has',
    body: chat,
    headers: { authorization: 'Bearer sk-nobody' },
    status: 401,
    code: 'invalid_api_key',
    type: 'authentication_error',
    param: null,
  },
  {
    name: 'another scheme',
    body: chat,
    headers: { authorization: 'Basic c2stYWNtZQ==' },
    status: 401,
    code: 'invalid_api_key',
    type: 'authentication_error',
    param: null,
  },
  {
    name: 'a form',
    body: 'a=b',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    status: 415,
    code: 'unsupported_media_type',
    param: 'content-type',
  },
  {
    name: 'another charset',
    body: chat,
    headers: { 'content-type': 'application/json; charset=latin1' },
    status: 415,
    code: 'unsupported_media_type',
    param: 'content-type',
  },
  {
    name: 'an unknown compression',
    body: chat,
    headers: { 'content-encoding': 'compress' },
    status: 415,
    code: 'unsupported_media_type',
    param: 'content-encoding',
  },
  {
    name: 'a damaged compression',
    body: chat,
    headers: { 'content-encoding': 'gzip' },
    status: 400,
    code: 'invalid_json',
    param: 'body',
  },
  { name: 'an unknown path', path: '/v1/audio/speech', body: chat, status: 404, code: 'route_not_found', param: null },
  { name: 'a wrong method', path: '/v1/models', body: chat, status: 405, code: 'method_not_allowed', param: null },
  {
    name: 'a broken path',
    path: '/v1/jobs/%E0%A4%A/cancel',
    body: '',
    status: 400,
    code: 'invalid_value',
    param: 'path',
  },
  {
    name: 'a job nobody has',
    path: '/v1/jobs/job_0/cancel',
    body: '',
    status: 404,
    code: 'job_not_found',
    param: 'id',
  },
];

describe('bad input is answered with an error of all four keys', () => {
  test.each(ROWS)(
    '$name',
    async ({ path = CHAT, body, headers, status, code, type = 'invalid_request_error', param }) => {
      const response = await rig.post(path, body, headers);
      expect(response.status).toBe(status);
      expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8');
      expect(response.headers.get('x-request-id')).toMatch(/^req_[0-9a-f]{32}$/);
      expect(await response.json()).toEqual({ error: { message: expect.any(String) as string, type, param, code } });
    },
  );

  test('and nothing of it reaches the dispatcher, the backlog or the log', () => {
    expect(rig.runner.requests).toEqual([]);
    expect(rig.jobs.specs).toEqual([]);
    expect(rig.logLines).toEqual([]);
  });
});

test('a wrong method is told the right one', async () => {
  const response = await rig.get(CHAT);
  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
});

test('an untrusted caller cannot set its objective by header, and that is counted', async () => {
  await rig.post(CHAT, chat, { 'x-llm-d-inference-objective': 'interactive' });
  expect(rig.runner.requests.at(-1)?.ticket).toMatchObject({ objective: 'default', fairnessId: 'acme' });
  expect(await rig.metric('pilotlight_ingress_ignored_headers_total')).toBe(1);
});

test('a trusted caller can, and its fairness id too', async () => {
  await rig.post(CHAT, chat, {
    ...gateway,
    'x-gateway-inference-objective': 'nightly',
    'x-llm-d-inference-fairness-id': 'team-a',
  });
  expect(rig.runner.requests.at(-1)?.ticket).toMatchObject({
    objective: 'nightly',
    fairnessId: 'team-a',
    priority: -10,
  });
});
