import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import type { SqsAnnouncement } from '../../../src/core/jobs.ts';
import type { EntryAnswer } from '../../../src/sqs/ports.ts';
import { findMoto } from '../../support/moto.ts';
import { FakeJobs, openRig, type RigOptions } from '../../support/sqs-rig.ts';
import { attribute, SqsWorld } from '../../support/sqs-world.ts';
import { until } from '../../support/until.ts';

const found = await findMoto();
const row = (customId: string, more: object = {}) => ({
  custom_id: customId,
  url: '/v1/chat/completions',
  body: { model: 'chat', messages: [{ role: 'user', content: customId }] },
  ...more,
});

describe.skipIf(found.kind === 'missing')('messages of a real queue', () => {
  let world: SqsWorld;
  let rigs: ReturnType<typeof openRig>[] = [];

  beforeAll(async () => {
    world = await SqsWorld.start();
  });
  afterAll(() => world.stop());
  afterEach(async () => {
    world.proxy.misbehave(() => 'pass');
    for (const { intake } of rigs) await intake.stop();
    rigs = [];
  });

  function open(options: Omit<RigOptions, 'service' | 'payloads'>): ReturnType<typeof openRig> {
    const rig = openRig({ service: world.service, payloads: world.payloads, ...options });
    rigs.push(rig);
    rig.intake.start();
    return rig;
  }

  test('become jobs, and are deleted after that; the job has the body as it was written', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    await world.send(
      url,
      '{"custom_id":"a","url":"/v1/chat/completions","body":{"seed":9007199254740993, "model":"chat"}}',
    );
    const { counts } = open({ url, jobs });
    await world.untilEmpty(url);
    expect([...jobs.accepted.values()].map(({ text }) => text)).toEqual(['{"seed":9007199254740993, "model":"chat"}']);
    expect(Object.fromEntries(counts)).toEqual({ accepted: 1 });
  });

  test('stay hidden far beyond their visibility while the system is full, and become jobs when it has room', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    jobs.refusal = new PilotlightError('queue_full', 'full', { retryAfterMs: 200 });
    await world.send(url, row('a'));
    const { counts } = open({ url, jobs, visibilityMs: 1_000 });
    const startedMs = performance.now();
    await until(() => performance.now() - startedMs > 3_500, 'three visibility timeouts pass');
    expect(await world.counts(url)).toEqual({ visible: 0, hidden: 1 });
    expect(jobs.submissions).toBeGreaterThan(2);
    jobs.refusal = null;
    await world.untilEmpty(url);
    expect(Object.fromEntries(counts)).toEqual({ accepted: 1 });
  });

  test('go back at once when the gateway stops before it could take them over', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    jobs.refusal = new PilotlightError('queue_unavailable', 'Redis is away');
    await world.send(url, row('a'));
    const { intake } = open({ url, jobs, visibilityMs: 600_000 });
    await until(() => jobs.submissions > 0, 'it was tried');
    await intake.stop();
    expect(await world.counts(url)).toEqual({ visible: 1, hidden: 0 });
  });

  test('are one job however often they are delivered, also when their deletion failed', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    const real = world.service.source(url);
    let refusals = 0;
    const failing: EntryAnswer = { code: 'InternalError', isSenderFault: true };
    const queue = {
      ...real,
      delete: (receipts: readonly string[]) => {
        refusals += 1;
        // Given up: it is delivered again when its visibility is over.
        return refusals > 1 ? real.delete(receipts) : Promise.resolve(receipts.map(() => failing));
      },
    };
    await world.send(url, row('a'));
    const { counts } = open({ url, jobs, queue, visibilityMs: 1_000 });
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(1);
    expect(Object.fromEntries(counts)).toEqual({ accepted: 1, repeated: 1 });
  });

  test('of a batch of deletions only those that failed are deleted again', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    const real = world.service.source(url);
    const calls: number[] = [];
    const queue = {
      ...real,
      delete: async (receipts: readonly string[]): Promise<readonly EntryAnswer[]> => {
        calls.push(receipts.length);
        if (calls.length > 1) return real.delete(receipts);
        const done = await real.delete(receipts.slice(1));
        return [{ code: 'InternalError', isSenderFault: false }, ...done];
      },
    };
    for (let index = 0; index < 10; index += 1) await world.send(url, row(`row-${index}`));
    open({ url, jobs, queue });
    await world.untilEmpty(url);
    expect(calls.reduce((sum, count) => sum + count)).toBe(11);
    expect(jobs.submissions).toBe(10);
  });

  test('are found again as the same job after the process died between hand-over and deletion', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    await world.send(url, row('a'));
    const real = world.service.source(url);
    const never = new Promise<never>(() => undefined);
    const dying = openRig({
      service: world.service,
      payloads: world.payloads,
      url,
      jobs,
      visibilityMs: 1_000,
      queue: { ...real, setVisibility: () => never, delete: () => never },
    });
    dying.intake.start();
    await until(() => jobs.accepted.size === 1, 'it was handed over');
    // From here on the first process does nothing more that the queue would see, and receives nothing.
    world.proxy.misbehave(() => 'pass');
    void dying.intake.stop();
    const { counts } = open({ url, jobs });
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(1);
    expect(Object.fromEntries(counts)).toEqual({ repeated: 1 });
  });

  test('that can never run go to the dead-letter queue with the reason, and the requester hears of it', async () => {
    const [url, dead, results, jobs] = [await world.queue(), await world.queue(), await world.queue(), new FakeJobs()];
    await world.send(url, 'this is { not JSON', { tenant: 'x' });
    await world.send(url, row('bad', { body: { model: 'forbidden' } }), { CorrelationId: 'c-1' });
    await world.send(url, row('old', { deadline: 1_000_000_000 }));
    open({ url, jobs, deadLetterUrl: dead, resultsUrl: results });
    const buried = await world.collect(dead, 3);
    const codes = buried.map((message) => attribute(message, 'error_code'));
    expect(codes.sort()).toEqual(['deadline_exceeded', 'invalid_json', 'model_forbidden']);
    const broken = buried.find((message) => attribute(message, 'error_code') === 'invalid_json');
    expect([broken?.Body, attribute(broken, 'tenant')]).toEqual(['this is { not JSON', 'x']);
    expect(attribute(broken, 'error_message')).toMatch(/^The body is not valid JSON/);
    const told = await world.collect(results, 3);
    const forbidden = told.find((message) => attribute(message, 'CorrelationId') === 'c-1');
    expect(JSON.parse(forbidden?.Body ?? '')).toMatchObject({ custom_id: 'bad', error: { code: 'model_forbidden' } });
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(0);
  });

  test('that can never run stay for the redrive policy when there is no dead-letter queue, without a hot loop', async () => {
    const [url, results, jobs] = [await world.queue(), await world.queue(), new FakeJobs()];
    await world.send(url, 'not JSON');
    const { counts } = open({ url, jobs, resultsUrl: results });
    expect(await world.collect(results, 1)).toHaveLength(1);
    await until(() => counts.get('handed_back') === 1, 'it was handed back');
    expect(await world.counts(url)).toEqual({ visible: 0, hidden: 1 });
    expect(counts.get('refused')).toBe(1);
  });

  test('may name a results queue that is listed, and no other', async () => {
    const [url, mine, dead, jobs] = [await world.queue(), await world.queue(), await world.queue(), new FakeJobs()];
    await world.send(url, row('a'), { ReplyTo: mine });
    await world.send(url, row('b'), { ReplyTo: 'https://sqs.us-east-1.amazonaws.com/1/evil' });
    open({ url, jobs, replyTo: [mine], deadLetterUrl: dead });
    const [buried] = await world.collect(dead, 1);
    expect(attribute(buried, 'error_message')).toContain('sqs.queues[].replyTo');
    await world.untilEmpty(url);
    expect([...jobs.accepted.values()].map(({ spec }) => spec.announce)).toMatchObject([{ queueUrl: mine }]);
  });

  test('may point to a payload in a listed bucket, through a bad day of S3', async () => {
    const [url, dead, jobs] = [await world.queue(), await world.queue(), new FakeJobs()];
    await world.bucket('payloads');
    await world.put('payloads', 'a/1', JSON.stringify(row('big')));
    const pointTo = (kind: string, bucket: string, key: string) => [kind, { s3BucketName: bucket, s3Key: key }];
    const [newer, older] = [
      'software.amazon.payloadoffloading.PayloadS3Pointer',
      'com.amazon.sqs.javamessaging.MessageS3Pointer',
    ];
    await world.send(url, pointTo(newer, 'payloads', 'a/1'), { note: 'newer' });
    await world.send(url, pointTo(older, 'payloads', 'a/1'), { note: 'older' });
    await world.send(url, pointTo(newer, 'secrets', 'a/1'));
    await world.send(url, pointTo(newer, 'payloads', 'missing'));
    await world.send(url, pointTo(newer, 'payloads', 'a/1'), { ExtendedPayloadSize: '2000000000' });
    let failures = 0;
    world.proxy.misbehave(({ url: path }) =>
      path.startsWith('/payloads/') && (failures += 1) <= 4 ? 'unavailable' : 'pass',
    );
    open({ url, jobs, buckets: ['payloads'], deadLetterUrl: dead });
    const codes = (await world.collect(dead, 3)).map((message) => attribute(message, 'error_code'));
    expect(codes.sort()).toEqual(['body_too_large', 'file_not_found', 'invalid_value']);
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(2);
    expect(failures).toBeGreaterThan(4);
  });

  test('are never more than may be held at one time', async () => {
    const [url, jobs] = [await world.queue(), new FakeJobs()];
    jobs.refusal = new PilotlightError('queue_full', 'full', { retryAfterMs: 100 });
    for (let index = 0; index < 12; index += 1) await world.send(url, row(`row-${index}`));
    const { held } = open({ url, jobs, maxHeld: 3 });
    await until(() => jobs.submissions > 9, 'they were tried more than once');
    expect(held.size).toBe(3);
    expect(await world.counts(url)).toEqual({ visible: 9, hidden: 3 });
    jobs.refusal = null;
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(12);
  });

  test('of one FIFO group run one after the other, each to the end of its result; groups run side by side', async () => {
    const [url, results] = [await world.queue({ fifo: true }), await world.queue({ fifo: true })];
    const jobs = new FakeJobs();
    for (const [index, group] of ['g', 'g', 'h', 'g'].entries()) {
      const more = { MessageGroupId: group, MessageDeduplicationId: `d-${index}` };
      await world.send(url, row(`${group}-${index}`), {}, more);
    }
    open({ url, jobs, resultsUrl: results, visibilityMs: 2_000 });
    const running = () => [...jobs.accepted.values()].filter(({ view }) => !view.outcome).map(({ spec }) => spec.id);
    const order: string[] = [];
    for (const expected of [2, 3, 4]) {
      await until(() => jobs.accepted.size === (expected === 2 ? 2 : expected), `${expected} were accepted`);
      for (const id of running()) {
        order.push(jobs.accepted.get(id)?.text ?? '');
        jobs.finish(id);
      }
    }
    const told = await world.collect(results, 4);
    const ids = told.map(({ Body = '' }) => (JSON.parse(Body) as { custom_id: string }).custom_id);
    expect(ids.filter((id) => id.startsWith('g'))).toEqual(['g-0', 'g-1', 'g-3']);
    expect(ids).toContain('h-2');
    await world.untilEmpty(url);
    expect(order).toHaveLength(4);
  });

  test('of a FIFO group keep their order when one gateway stops and another goes on; the job that runs is met again', async () => {
    const [url, results, jobs] = [await world.queue({ fifo: true }), await world.queue(), new FakeJobs()];
    for (const index of [0, 1, 2]) {
      const more = { MessageGroupId: 'g', MessageDeduplicationId: `d-${index}` };
      await world.send(url, row(`g-${index}`), {}, more);
    }
    const first = open({ url, jobs, resultsUrl: results, visibilityMs: 600_000 });
    await until(() => jobs.accepted.size === 1, 'the first of them was accepted');
    await first.intake.stop();
    expect(await world.counts(url)).toEqual({ visible: 3, hidden: 0 });
    open({ url, jobs, resultsUrl: results });
    for (const count of [1, 2, 3]) {
      await until(() => jobs.accepted.size === count, `${count} were accepted`);
      jobs.finish([...jobs.accepted.keys()].at(-1) ?? '');
    }
    const told = await world.collect(results, 3);
    const ids = told.map(({ Body = '' }) => (JSON.parse(Body) as { custom_id: string }).custom_id);
    expect(ids.sort()).toEqual(['g-0', 'g-1', 'g-2']);
    await world.untilEmpty(url);
    expect(jobs.accepted.size).toBe(3);
  });

  test('results that are too large for a message lie in a bucket, or become an error', async () => {
    const [url, results] = [await world.queue(), await world.queue()];
    await world.bucket('results');
    const jobs = new FakeJobs();
    jobs.answer = Buffer.from(JSON.stringify({ text: 'x'.repeat(20_000) }));
    const limits = { url, jobs, resultsUrl: results, maxResultBytes: 10_000 };
    await world.send(url, row('a'));
    const withBucket = open({ ...limits, resultsBucket: 'results' });
    await until(() => jobs.accepted.size === 1, 'it was accepted');
    const [id = ''] = jobs.accepted.keys();
    const view = jobs.finish(id);
    await withBucket.results.sendEnd(view, view.spec.announce as SqsAnnouncement);
    await openRig({ service: world.service, payloads: world.payloads, ...limits }).results.sendEnd(
      view,
      view.spec.announce as SqsAnnouncement,
    );
    const told = await world.collect(results, 2);
    const pointer = told.find(({ Body = '' }) => Body.startsWith('['));
    const payload = await world.payloads.get(
      { bucket: 'results', key: `results/${id}.json` },
      100_000,
      new AbortController().signal,
    );
    expect(payload.kind === 'found' && JSON.parse(Buffer.from(payload.bytes).toString())).toMatchObject({
      custom_id: 'a',
      response: { status_code: 200 },
    });
    expect(Number(attribute(pointer, 'ExtendedPayloadSize'))).toBeGreaterThan(20_000);
    const error = told.find(({ Body = '' }) => Body.startsWith('{'));
    expect(attribute(error, 'error_code')).toBe('upstream_response_too_large');
  });
});
