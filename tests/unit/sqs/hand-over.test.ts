/* eslint-disable @typescript-eslint/require-await -- fakes answer at once, through the same promises as the real ones */
import { describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { parseJsonBody } from '../../../src/ingress/policy/json-body.ts';
import { memberText } from '../../../src/ingress/policy/json-members.ts';
import { HandOver, type HandOverDeps } from '../../../src/sqs/hand-over.ts';
import type { Held } from '../../../src/sqs/held-messages.ts';
import type { QueueMessage } from '../../../src/sqs/ports.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { silentLogger } from '../../support/silent-logger.ts';
import { FakeJobs } from '../../support/sqs-rig.ts';
import { jobSpec } from '../../support/stored-world.ts';

const BODY = JSON.stringify({ custom_id: 'a', url: '/v1/chat/completions', body: { model: 'chat' } });

function rig(overrides: Partial<HandOverDeps> = {}) {
  const clock = new FakeClock();
  const jobs = new FakeJobs();
  const book = new Map<string, number>();
  const results: string[] = [];
  const handOver = new HandOver({
    source: 'work',
    replies: { resultsUrl: 'http://sqs/results', replyTo: [] },
    toJob: ({ id, bodyText }) => ({ spec: jobSpec(id), body: Buffer.from(bodyText) }),
    jobs,
    attempts: {
      begin: async (id) => book.set(id, (book.get(id) ?? 0) + 1).get(id) ?? 0,
      undo: async (id) => void book.set(id, (book.get(id) ?? 1) - 1),
    },
    clock,
    random: { next: () => 0.5 },
    log: silentLogger,
    meter: {
      message: (result) => results.push(result),
      accepted: () => undefined,
      held: () => undefined,
      result: () => undefined,
      heartbeatFailed: () => undefined,
    },
    announces: true,
    json: { parse: parseJsonBody, member: memberText },
    payloads: { get: async () => ({ kind: 'missing' }), put: async () => undefined },
    buckets: [],
    maxBodyBytes: 1_000,
    jobIdOf: (id) => `job_${id}`,
    ...overrides,
  });
  return { clock, jobs, book, results, handOver };
}

function held(fields: Partial<QueueMessage> = {}): Held {
  const message = { id: 'm-1', receipt: 'r', body: BODY, receiveCount: 1, groupId: null, attributes: {}, ...fields };
  return { message: { sentAtEpochMs: 0, ...message }, heldSinceMs: 0, signal: new AbortController().signal };
}

const going = () => new AbortController().signal;

describe('a message is handed over', () => {
  test('as a job that tells its end to the results queue', async () => {
    const { handOver, jobs, results } = rig();
    expect(await handOver.take(held(), going())).toMatchObject({ kind: 'accepted' });
    const [job] = jobs.accepted.values();
    expect(job?.spec.announce).toEqual({
      kind: 'sqs',
      source: 'work',
      queueUrl: 'http://sqs/results',
      correlationId: 'm-1',
      format: 'batch_row',
      customId: 'a',
      metadata: null,
      messageId: 'm-1',
      groupId: null,
    });
    expect(results).toEqual(['accepted']);
  });

  test('as nothing when its job has ended already', async () => {
    const { handOver, jobs } = rig();
    await handOver.take(held(), going());
    jobs.finish('job_m-1');
    expect(await handOver.take(held({ receiveCount: 2 }), going())).toMatchObject({ kind: 'accepted' });
    expect(jobs.submissions).toBe(1);
  });

  test('once more while its job waits, because the crash that left it here may have taken the job’s place', async () => {
    const { handOver, jobs, results } = rig();
    await handOver.take(held(), going());
    await handOver.take(held({ receiveCount: 2 }), going());
    expect(jobs.submissions).toBe(2);
    expect(results).toEqual(['accepted', 'repeated']);
  });

  test('later, when the system stays full for a minute', async () => {
    const { handOver, jobs, clock } = rig();
    jobs.refusal = new PilotlightError('queue_full', 'full', { retryAfterMs: 5_000 });
    const verdict = handOver.take(held(), going());
    await clock.advance(70_000);
    expect(await verdict).toEqual({ kind: 'later', afterMs: 11_250, isPressure: true });
    expect(jobs.submissions).toBeGreaterThan(5);
  });

  test('at once later, when the gateway stops', async () => {
    const { handOver, jobs } = rig();
    const stopping = new AbortController();
    jobs.refusal = new PilotlightError('store_unavailable', 'away');
    const verdict = handOver.take(held(), stopping.signal);
    stopping.abort();
    expect(await verdict).toEqual({ kind: 'later', afterMs: 0, isPressure: true });
  });

  test('never, when its own error is final', async () => {
    const { handOver } = rig({ toJob: () => new PilotlightError('model_not_found', 'no such model') });
    expect(await handOver.take(held(), going())).toMatchObject({
      kind: 'refused',
      refusal: { error: { code: 'model_not_found' }, replyUrl: 'http://sqs/results', head: { customId: 'a' } },
    });
  });
});

describe('a message that came often', () => {
  const broken = {
    toJob: () => {
      throw new Error('a bug');
    },
  };

  test('is given up after five tries that came to no end', async () => {
    const { handOver } = rig(broken);
    for (let tries = 0; tries < 5; tries += 1) {
      expect(await handOver.take(held({ receiveCount: 4 + tries }), going())).toMatchObject({ kind: 'later' });
    }
    const last = await handOver.take(held({ receiveCount: 9 }), going());
    expect(last).toMatchObject({ kind: 'refused', refusal: { error: { code: 'attempts_exhausted' } } });
  });

  test('is not counted while its job runs, as one of a FIFO group is delivered again and again', async () => {
    const { handOver } = rig({ announces: false });
    for (let tries = 0; tries < 10; tries += 1) {
      expect(await handOver.take(held({ receiveCount: 4 + tries }), going())).toMatchObject({ kind: 'accepted' });
    }
  });

  test('is not counted for what was handed back in order, however often that was', async () => {
    const { handOver, jobs, clock, book } = rig();
    jobs.refusal = new PilotlightError('queue_unavailable', 'Redis is away');
    for (let tries = 0; tries < 10; tries += 1) {
      const verdict = handOver.take(held({ receiveCount: 10 + tries }), going());
      await clock.advance(70_000);
      expect(await verdict).toMatchObject({ kind: 'later' });
    }
    expect(book.get('m-1')).toBe(0);
  });
});
