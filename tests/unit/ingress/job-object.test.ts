import { expect, test } from 'vitest';
import type { JobView } from '../../../src/core/jobs.ts';
import type { Outcome } from '../../../src/core/outcome.ts';
import { jobError, jobObject } from '../../../src/ingress/policy/job-object.ts';

const queued: JobView = {
  spec: {
    id: 'job_1',
    tenant: 'acme',
    pool: 'default/chat',
    objective: 'nightly',
    path: '/v1/completions',
    model: 'tiny',
    servedModel: 'tiny',
    adapter: null,
    inputTokens: 1,
    maxOutputTokens: null,
    acceptedAtEpochMs: 1_700_000_000_999,
    deadlineEpochMs: 1_700_000_060_000,
  },
  status: 'queued',
  outcome: null,
  finishedAtEpochMs: null,
  resultExpiresAtEpochMs: null,
};

function ended(outcome: Partial<Outcome> & Pick<Outcome, 'kind'>): JobView {
  return {
    ...queued,
    status: outcome.kind,
    outcome: { httpStatus: 200, code: null, attempts: 2, usage: null, ...outcome },
    finishedAtEpochMs: 1_700_000_010_000,
    resultExpiresAtEpochMs: 1_700_086_410_000,
  };
}

test('a waiting job tells its place and when it is expected', () => {
  expect(jobObject(queued, { position: 4, phase: 'waking', etaMs: 41_200 })).toEqual({
    id: 'job_1',
    object: 'job',
    status: 'queued',
    model: 'tiny',
    path: '/v1/completions',
    objective: 'nightly',
    created_at: 1_700_000_000,
    finished_at: null,
    expires_at: null,
    deadline_at: 1_700_000_060,
    position: 4,
    eta_seconds: 42,
    error: null,
    result_url: '/v1/jobs/job_1/result',
  });
});

test('what is not known is left out', () => {
  expect(Object.keys(jobObject(queued, null))).not.toContain('position');
  expect(Object.keys(jobObject(queued, { position: 1, phase: 'queued', etaMs: null }))).not.toContain('eta_seconds');
});

test('a finished job tells when, and how long its result stays', () => {
  expect(jobObject(ended({ kind: 'completed' }), null)).toMatchObject({
    status: 'completed',
    finished_at: 1_700_000_010,
    expires_at: 1_700_086_410,
    error: null,
  });
});

test.each([
  { kind: 'cancelled', code: null, want: 'request_cancelled' },
  { kind: 'expired', code: null, want: 'deadline_exceeded' },
  { kind: 'expired', code: 'queue_ttl_exceeded', want: 'queue_ttl_exceeded' },
  { kind: 'failed', code: 'attempts_exhausted', want: 'attempts_exhausted' },
  { kind: 'failed', code: null, want: 'internal_error' },
] as const)('a job that $kind ($code) has the error $want', ({ kind, code, want }) => {
  const view = ended({ kind, code });
  expect(jobError(view)).toMatchObject({ code: want });
  expect(jobObject(view, null).error).toMatchObject({ code: want, param: null });
});
