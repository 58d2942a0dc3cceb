import { describe, expect, test } from 'vitest';
import { API_PATHS } from '../../../src/core/call.ts';
import { callWishes } from '../../../src/ingress/policy/call-wishes.ts';
import { parseCall, servedBody } from '../../../src/ingress/policy/parse-call.ts';
import { ttlOfHeaders } from '../../../src/ingress/policy/wished-duration.ts';

const CHAT = '/v1/chat/completions';

describe('the TTL of a header', () => {
  test.each([
    { header: undefined, ttlMs: null },
    { header: '', ttlMs: null },
    { header: '30s', ttlMs: 30_000 },
    { header: '1500ms', ttlMs: 1_500 },
    { header: '1h30m', ttlMs: 5_400_000 },
    { header: '1.5h', ttlMs: 5_400_000 },
    { header: '.5s', ttlMs: 500 },
    { header: '+2m', ttlMs: 120_000 },
    { header: '1.2ms', ttlMs: 2 },
    { header: '2us3ns', ttlMs: 1 },
    { header: '7µs', ttlMs: 1 },
    { header: '8760h', ttlMs: 365 * 86_400_000 },
  ])('$header is $ttlMs ms', ({ header, ttlMs }) => {
    expect(ttlOfHeaders({ 'x-llm-d-inference-ttl': header })).toBe(ttlMs);
  });

  test.each(['30', '0', '0s', '-5s', '1d', '30 s', '1s, 2s', 's', '1..5s', '1.5.5s', '8761h', '9'.repeat(400), 'NaNs'])(
    '%s is refused, with the name of the header',
    (header) => {
      expect(ttlOfHeaders({ 'x-llm-d-inference-ttl': header })).toMatchObject({
        code: 'invalid_value',
        httpStatus: 400,
        param: 'x-llm-d-inference-ttl',
      });
    },
  );

  test('a header that comes twice is refused', () => {
    expect(ttlOfHeaders({ 'x-llm-d-inference-ttl': ['1s', '2s'] })).toMatchObject({ code: 'invalid_value' });
  });
});

describe('the member that is ours', () => {
  test.each(API_PATHS)('is read on %s', (path) => {
    const pilotlight = { objective: 'nightly', ttl: '30s', deadline: '2h' };
    expect(callWishes(path, { pilotlight })).toEqual({
      background: false,
      objective: 'nightly',
      objectiveParam: 'pilotlight.objective',
      ttlMs: 30_000,
      deadlineMs: 7_200_000,
    });
  });

  test('metadata name an objective on /v1/responses only', () => {
    const metadata = { 'pilotlight-objective': 'nightly' };
    expect(callWishes('/v1/responses', { metadata })).toMatchObject({
      objective: 'nightly',
      objectiveParam: 'metadata.pilotlight-objective',
    });
    expect(callWishes(CHAT, { metadata })).toMatchObject({ objective: null });
  });

  test.each([
    { name: 'a text', pilotlight: 'x', code: 'invalid_type', param: 'pilotlight' },
    { name: 'a list', pilotlight: [], code: 'invalid_type', param: 'pilotlight' },
    { name: 'a misspelt field', pilotlight: { tll: '1s' }, code: 'invalid_value', param: 'pilotlight.tll' },
    { name: 'a TTL that is a number', pilotlight: { ttl: 30 }, code: 'invalid_type', param: 'pilotlight.ttl' },
    { name: 'a TTL without a unit', pilotlight: { ttl: '30' }, code: 'invalid_value', param: 'pilotlight.ttl' },
    { name: 'a TTL of nothing', pilotlight: { ttl: '0ms' }, code: 'invalid_value', param: 'pilotlight.ttl' },
    { name: 'a TTL of years', pilotlight: { ttl: '366d' }, code: 'invalid_value', param: 'pilotlight.ttl' },
    { name: 'a deadline of now', pilotlight: { deadline: '0s' }, code: 'invalid_value', param: 'pilotlight.deadline' },
    {
      name: 'a number as objective',
      pilotlight: { objective: 1 },
      code: 'invalid_type',
      param: 'pilotlight.objective',
    },
  ])('$name is refused', ({ pilotlight, code, param }) => {
    expect(callWishes(CHAT, { pilotlight })).toMatchObject({ code, param });
  });

  test.each([
    { name: 'as it is', sent: '{"model":"m", "seed":9007199254740993,"prompt":"x"}', got: null },
    {
      name: 'without our member',
      sent: '{"model":"m","pilotlight":{"ttl":"5s"}, "seed":9007199254740993,"prompt":"x"}',
      got: '{"model":"m","seed":9007199254740993,"prompt":"x"}',
    },
    {
      name: 'without our member, however its name is written',
      sent: '{"\\u0070ilotlight":{},"model":"m","prompt":"\\"pilotlight\\""}',
      got: '{"model":"m","prompt":"\\"pilotlight\\""}',
    },
  ])('a body is forwarded $name', ({ sent, got }) => {
    const parsed = parseCall('/v1/completions', Buffer.from(sent));
    if (parsed instanceof Error) throw parsed;
    const { path, text, fields } = parsed;
    const call = { path, text, model: 'm', servedModel: 'm', hasExtension: fields.hasExtension };
    expect(Buffer.from(servedBody(call, Buffer.from(sent))).toString()).toBe(got ?? sent);
  });
});
