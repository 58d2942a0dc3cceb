import type { JobSpec } from '../../src/core/jobs.ts';
import type { Outcome } from '../../src/core/outcome.ts';
import type { JobStore, RecordHeader, ScannedRecord } from '../../src/queue/jobs/ports.ts';

const COMPLETED: Outcome = { kind: 'completed', httpStatus: 200, code: null, attempts: 1, usage: null };

function spec(id: string): JobSpec {
  return {
    id,
    tenant: 'team-a',
    pool: 'default/chat',
    objective: 'nightly',
    path: '/v1/chat/completions',
    model: 'chat',
    servedModel: 'chat',
    adapter: null,
    inputTokens: 10,
    maxOutputTokens: 20,
    acceptedAtEpochMs: 1_700_000_000_000,
    deadlineEpochMs: null,
  };
}

/** The accept record of a job. */
export function accept(id: string): RecordHeader {
  return { kind: 'accept', spec: spec(id) };
}

/** The result record of a job that was accepted there. */
export function result(id: string, acceptRef: string, finishedAtEpochMs = 1_700_000_001_000): RecordHeader {
  return {
    kind: 'result',
    jobId: id,
    attempt: 1,
    outcome: COMPLETED,
    contentType: 'application/json',
    finishedAtEpochMs,
    job: {
      pool: 'default/chat',
      objective: 'nightly',
      tenant: 'team-a',
      acceptRef,
      acceptedAtEpochMs: 1_700_000_000_000,
      bodyBytes: 5,
    },
  };
}

export const bytes = (text: string): Buffer => Buffer.from(text);

export async function allOf<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

export function scanAll(store: JobStore): Promise<ScannedRecord[]> {
  return allOf(store.scan());
}

/** Ids of accepted jobs, and the kinds of other records, as a scan shows them. */
export async function scannedIds(store: JobStore): Promise<string[]> {
  return (await scanAll(store)).map(({ header }) => (header.kind === 'accept' ? header.spec.id : header.kind));
}
