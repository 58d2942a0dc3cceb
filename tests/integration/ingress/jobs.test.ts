import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { CHAT_ANSWER } from '../../unit/ingress/support/fake-runner.ts';
import { GATEWAY_KEY, type Rig, startRig, until } from './rig.ts';

const CHAT = '/v1/chat/completions';
const chat = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'hi' }], max_tokens: 40 };
const RESULT = { httpStatus: 200, contentType: 'application/json', body: Buffer.from(CHAT_ANSWER) };

let rig: Rig;
beforeEach(async () => {
  rig = await startRig();
});
afterEach(() => rig.close());

async function submitted(): Promise<string> {
  const response = await rig.post('/v1/jobs', chat);
  return ((await response.json()) as { id: string }).id;
}

describe('POST /v1/jobs', () => {
  test('answers 202 with the job and where it is', async () => {
    const response = await rig.post('/v1/jobs', { body: chat, objective: 'nightly', deadline: '2h' });
    expect(response.status).toBe(202);
    const job = (await response.json()) as { id: string };
    expect(job.id).toMatch(/^job_[0-9a-f]{32}$/);
    expect(response.headers.get('location')).toBe(`/v1/jobs/${job.id}`);
    expect(job).toMatchObject({
      object: 'job',
      status: 'queued',
      model: 'gpt-4o-mini',
      objective: 'nightly',
      position: 3,
      eta_seconds: 3,
      error: null,
      result_url: `/v1/jobs/${job.id}/result`,
    });
  });

  test('stores the call with everything that was decided about it', async () => {
    await rig.post('/v1/jobs', { body: chat, objective: 'nightly', deadline: '2h' });
    const [spec] = rig.jobs.specs;
    expect(spec).toMatchObject({
      tenant: 'acme',
      pool: 'default/chat',
      objective: 'nightly',
      path: CHAT,
      model: 'gpt-4o-mini',
      servedModel: 'tiny',
      adapter: null,
      maxOutputTokens: 40,
    });
    expect(spec!.deadlineEpochMs! - spec!.acceptedAtEpochMs).toBe(7_200_000);
    expect(rig.jobs.bodies.get(spec!.id)).toBe(JSON.stringify({ ...chat, model: 'tiny' }));
  });

  test("without a deadline has its objective's", async () => {
    await rig.post('/v1/jobs', { body: chat, objective: 'nightly' });
    const [spec] = rig.jobs.specs;
    expect(spec!.deadlineEpochMs! - spec!.acceptedAtEpochMs).toBe(3_600_000);
  });

  test('passes on a refusal of the backlog', async () => {
    rig.jobs.submit = () =>
      Promise.resolve({
        kind: 'rejected',
        error: new PilotlightError('queue_full', '50,000 stored (limits.storedRequests)'),
      });
    const response = await rig.post('/v1/jobs', chat);
    expect([response.status, response.headers.get('retry-after')]).toEqual([429, '7']);
  });

  test('with a wait answers the result', async () => {
    const answer = rig.post('/v1/jobs', chat, { prefer: 'wait=30' });
    await until(() => rig.jobs.specs.length === 1, 'the job');
    rig.jobs.finish(rig.jobs.specs[0]!.id, { kind: 'completed' }, RESULT);
    const response = await answer;
    expect([response.status, response.headers.get('preference-applied')]).toEqual([200, 'wait=30']);
    expect(await response.text()).toBe(CHAT_ANSWER);
  });
});

describe('Prefer: respond-async', () => {
  test('turns a call into a job', async () => {
    const response = await rig.post(CHAT, chat, { prefer: 'respond-async' });
    expect(response.status).toBe(202);
    expect(response.headers.get('preference-applied')).toBe('respond-async');
    expect(response.headers.get('location')).toBe(`/v1/jobs/${rig.jobs.specs[0]!.id}`);
    expect(rig.runner.requests).toEqual([]);
  });

  test('with a wait answers the result when it comes in time', async () => {
    const answer = rig.post(CHAT, chat, { prefer: 'respond-async, wait=30' });
    await until(() => rig.jobs.specs.length === 1, 'the job');
    rig.jobs.finish(rig.jobs.specs[0]!.id, { kind: 'completed' }, RESULT);
    const response = await answer;
    expect(response.status).toBe(200);
    expect(response.headers.get('preference-applied')).toBe('respond-async, wait=30');
    expect(response.headers.get('location')).toContain('/v1/jobs/job_');
    expect(await response.text()).toBe(CHAT_ANSWER);
  });

  test('answers the job when the wait is over', async () => {
    const answer = rig.post(CHAT, chat, { prefer: 'respond-async, wait=5' });
    await until(() => rig.jobs.specs.length === 1, 'the job');
    await until(() => rig.jobs.waits === 1, 'the wait');
    rig.jobs.endWaits();
    const response = await answer;
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ status: 'queued' });
  });

  test('a wait alone is no wish to go', async () => {
    expect((await rig.post(CHAT, chat, { prefer: 'wait=5' })).status).toBe(200);
    expect(rig.jobs.specs).toEqual([]);
  });
});

describe('a job', () => {
  test('of another tenant is unknown, and so are its result and its cancelling', async () => {
    const id = await submitted();
    const other = { authorization: `Bearer ${GATEWAY_KEY}` };
    for (const response of [
      await rig.get(`/v1/jobs/${id}`, other),
      await rig.get(`/v1/jobs/${id}/result`, other),
      await rig.post(`/v1/jobs/${id}/cancel`, '', other),
      await rig.get('/v1/jobs/job_0'),
    ]) {
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: { code: 'job_not_found', param: 'id' } });
    }
  });

  test('that is not finished has no result, and says when to ask again', async () => {
    const response = await rig.get(`/v1/jobs/${await submitted()}/result`);
    expect([response.status, response.headers.get('retry-after')]).toEqual([409, '3']);
    expect(response.headers.get('x-should-retry')).toBeNull();
    expect(await response.json()).toMatchObject({ error: { code: 'job_not_finished' } });
  });

  test("that is finished has the model server's own answer, whatever its status", async () => {
    const id = await submitted();
    rig.jobs.finish(id, { kind: 'completed', httpStatus: 400 }, { ...RESULT, httpStatus: 400 });
    const response = await rig.get(`/v1/jobs/${id}/result`);
    expect([response.status, await response.text()]).toEqual([400, CHAT_ANSWER]);
    expect(await (await rig.get(`/v1/jobs/${id}`)).json()).toMatchObject({
      status: 'completed',
      finished_at: expect.any(Number) as number,
    });
  });

  test.each([
    { kind: 'expired', code: 'deadline_exceeded', status: 504 },
    { kind: 'failed', code: 'attempts_exhausted', status: 502 },
    { kind: 'cancelled', code: 'request_cancelled', status: 499 },
  ] as const)('that $kind has an error for its result', async ({ kind, code, status }) => {
    const id = await submitted();
    rig.jobs.finish(id, { kind, code });
    const response = await rig.get(`/v1/jobs/${id}/result`);
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error: { code } });
  });

  test('whose result is no longer kept says so', async () => {
    const id = await submitted();
    rig.jobs.finish(id, { kind: 'completed' });
    expect(await (await rig.get(`/v1/jobs/${id}/result`)).json()).toMatchObject({
      error: { code: 'result_not_found' },
    });
  });

  test('can be cancelled twice, by either verb', async () => {
    const id = await submitted();
    const first = await rig.post(`/v1/jobs/${id}/cancel`, '');
    expect([first.status, await first.json()]).toMatchObject([200, { status: 'cancelled' }]);
    const second = await fetch(`${rig.url}/v1/jobs/${id}`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer sk-acme' },
    });
    expect(second.status).toBe(200);
  });

  test('that has its result cannot, and nobody should try again', async () => {
    const id = await submitted();
    rig.jobs.finish(id, { kind: 'completed' }, RESULT);
    const response = await rig.post(`/v1/jobs/${id}/cancel`, '');
    expect([response.status, response.headers.get('x-should-retry')]).toEqual([409, 'false']);
    expect(await response.json()).toMatchObject({ error: { code: 'job_already_finished' } });
  });
});
