import { describe, expect, test } from 'vitest';
import type { JobView } from '../../../src/core/jobs.ts';
import type { Notice } from '../../../src/core/notices.ts';
import type { OutcomeKind } from '../../../src/core/outcome.ts';
import { publishJobEnds } from '../../../src/webhooks/job-ends.ts';
import { COMPLETED, jobSpec } from '../../support/stored-world.ts';

const WEBHOOK = { kind: 'webhook' } as const;

async function published(id: string, status: OutcomeKind, httpStatus: number, body: string): Promise<Notice[]> {
  const notices: Notice[] = [];
  const path = id.startsWith('resp_') ? '/v1/responses' : '/v1/chat/completions';
  const view: JobView = {
    spec: jobSpec(id, { path }),
    status,
    outcome: { ...COMPLETED, kind: status, httpStatus },
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
  for (const [id, status, httpStatus, body, type] of [
    ['resp_1', 'completed', 200, '{"status":"completed"}', 'response.completed'],
    ['resp_1', 'completed', 200, '{"status":"incomplete"}', 'response.incomplete'],
    ['resp_1', 'completed', 200, 'data: no object', 'response.completed'],
    ['resp_1', 'completed', 200, 'null', 'response.completed'],
    ['resp_1', 'completed', 400, '{"error":{}}', 'response.failed'],
    ['resp_1', 'failed', 502, '', 'response.failed'],
    ['resp_1', 'expired', 504, '', 'response.failed'],
    ['resp_1', 'cancelled', 499, '', 'response.cancelled'],
    ['job_1', 'completed', 200, '{"status":"incomplete"}', 'pilotlight.job.ended'],
    ['job_1', 'failed', 502, '', 'pilotlight.job.ended'],
    ['job_1', 'cancelled', 499, '', 'pilotlight.job.ended'],
  ] as const) {
    test(`${id} ${status} with ${httpStatus} ${body || 'and nothing'} is ${type}`, async () => {
      expect(await published(id, status, httpStatus, body)).toEqual([
        { id: `evt_${id}`, type, tenant: 'team-a', createdAtEpochMs: 1_700_000_005_000, objectId: id },
      ]);
    });
  }
});
