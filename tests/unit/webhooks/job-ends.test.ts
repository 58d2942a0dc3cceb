import { describe, expect, test } from 'vitest';
import type { JobStatus, JobView } from '../../../src/core/jobs.ts';
import type { Notice } from '../../../src/core/notices.ts';
import { publishJobEnds } from '../../../src/webhooks/job-ends.ts';
import { jobSpec } from '../../support/stored-world.ts';

const WEBHOOK = { kind: 'webhook' } as const;

async function published(id: string, status: JobStatus, body = '{"status":"completed"}'): Promise<Notice[]> {
  const notices: Notice[] = [];
  const path = id.startsWith('resp_') ? '/v1/responses' : '/v1/chat/completions';
  const view: JobView = {
    spec: jobSpec(id, { path }),
    status,
    outcome: null,
    finishedAtEpochMs: 1_700_000_005_000,
    resultExpiresAtEpochMs: null,
  };
  const jobs = {
    result: () => Promise.resolve({ httpStatus: 200, contentType: 'application/json', body: Buffer.from(body) }),
  };
  const sink = { publish: (notice: Notice) => Promise.resolve(void notices.push(notice)) };
  await publishJobEnds(jobs, sink)(view, WEBHOOK);
  return notices;
}

describe('the end of a job', () => {
  for (const [id, status, body, type] of [
    ['resp_1', 'completed', '{"status":"completed"}', 'response.completed'],
    ['resp_1', 'completed', '{"status":"incomplete"}', 'response.incomplete'],
    ['resp_1', 'completed', 'data: no object', 'response.completed'],
    ['resp_1', 'completed', 'null', 'response.completed'],
    ['resp_1', 'failed', '', 'response.failed'],
    ['resp_1', 'expired', '', 'response.failed'],
    ['resp_1', 'cancelled', '', 'response.cancelled'],
    ['job_1', 'completed', '{"status":"incomplete"}', 'pilotlight.job.ended'],
    ['job_1', 'failed', '', 'pilotlight.job.ended'],
    ['job_1', 'cancelled', '', 'pilotlight.job.ended'],
  ] as const) {
    test(`${id} ${status} with ${body || 'nothing'} is ${type}`, async () => {
      expect(await published(id, status, body)).toEqual([
        { id: `evt_${id}`, type, tenant: 'team-a', createdAtEpochMs: 1_700_000_005_000, objectId: id },
      ]);
    });
  }
});
