import { describe, expect, test } from 'vitest';
import { rotated } from '../../../src/webhooks/policy/endpoint.ts';
import { settleMicrotasks } from '../../support/fake-clock.ts';
import { OK, status, WebhookWorld } from '../../support/webhook-world.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Of the only delivery. */
function only(world: WebhookWorld) {
  const [record] = world.deliveries.values();
  return record;
}

describe('a notice that nobody takes', () => {
  test('is tried along the schedule, under one id, and given up in the end', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = () => status(500);
    const startedMs = world.clock.epochMs();
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(80 * HOUR);
    const minutes = [0, 5, 35, 155, 455, 1_055, 1_895, 3_095];
    expect(world.sent.map(({ atMs }) => Math.floor((atMs - startedMs) / MINUTE))).toEqual([0, ...minutes]);
    expect(world.sent.map(({ parcel }) => parcel.sentAtEpochMs)).toEqual(world.sent.map(({ atMs }) => atMs));
    expect(new Set(world.sent.map(({ parcel }) => parcel.messageId))).toEqual(new Set(['evt_batch_1']));
    expect(only(world)).toMatchObject({ status: 'failed', attempts: 9, lastResult: 'HTTP 500' });
    expect(world.queued).toBe(0);
  });

  test('is delivered as soon as somebody does', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = (_parcel, place) => (place < 2 ? status(500) : OK);
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(6 * SECOND);
    expect(only(world)).toMatchObject({ status: 'pending', attempts: 2 });
    await world.clock.advance(5 * MINUTE);
    expect(only(world)).toMatchObject({ status: 'delivered', attempts: 3, nextAttemptAtEpochMs: null });
    expect(world.sent).toHaveLength(3);
  });

  test('waits as long as the receiver asks for', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = (_parcel, place) => (place === 0 ? status(429, 10 * MINUTE) : OK);
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(9 * MINUTE);
    expect(world.sent).toHaveLength(1);
    await world.clock.advance(2 * MINUTE);
    expect(only(world)).toMatchObject({ status: 'delivered' });
  });

  for (const code of [100, 199, 301, 302, 307, 400, 404, 500, 503]) {
    test(`counts a ${code} as a failure`, async () => {
      const world = new WebhookWorld();
      world.addEndpoint('a');
      world.answer = () => status(code);
      await world.publisher.publish(world.notice('batch_1'));
      await world.clock.advance(SECOND);
      expect(only(world)).toMatchObject({ status: 'pending', attempts: 1 });
    });
  }
});

describe('an endpoint', () => {
  test('that says 410 is switched off, and what still waits for it is given up', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = (parcel) => (parcel.payload.includes('batch_2') ? status(410) : status(500));
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(SECOND);
    await world.publisher.publish(world.notice('batch_2'));
    await world.clock.advance(MINUTE);
    expect(world.endpoints.get('a')?.enabled).toBe(false);
    expect([...world.deliveries.values()].map(({ status: ended, lastResult }) => [ended, lastResult])).toEqual([
      ['failed', 'the webhook is switched off'],
      ['failed', 'HTTP 410'],
    ]);
    await world.publisher.publish(world.notice('batch_3'));
    expect(world.deliveries.size).toBe(2);
  });

  test('that is deleted gets nothing more', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = () => status(500);
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(SECOND);
    world.endpoints.delete('a');
    await world.clock.advance(MINUTE);
    expect(world.sent).toHaveLength(1);
    expect(only(world)).toMatchObject({ status: 'failed', lastResult: 'the webhook was deleted' });
  });

  test('is signed for with the old secret for a day after a rotation', async () => {
    const world = new WebhookWorld();
    const record = world.addEndpoint('a');
    const secretsNow = async (batch: string) => {
      await world.publisher.publish(world.notice(batch));
      await world.clock.advance(SECOND);
      return world.sent.at(-1)?.parcel.secrets;
    };
    world.endpoints.set('a', rotated(record, 'new', world.clock.epochMs()));
    expect(await secretsNow('batch_1')).toEqual(['new', 'secret of a']);
    await world.clock.advance(23 * HOUR);
    expect(await secretsNow('batch_2')).toEqual(['new', 'secret of a']);
    await world.clock.advance(HOUR);
    expect(await secretsNow('batch_3')).toEqual(['new']);
  });

  test('that hangs holds eight attempts, and others get theirs', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('dead', ['batch.failed']);
    world.addEndpoint('alive');
    world.answer = (parcel) => (parcel.url.includes('dead') ? new Promise(() => undefined) : OK);
    for (let index = 0; index < 100; index += 1) {
      await world.publisher.publish(world.notice(`failed_${index}`, 'batch.failed'));
    }
    for (let index = 0; index < 20; index += 1) await world.publisher.publish(world.notice(`done_${index}`));
    await world.clock.advance(SECOND);
    const to = (host: string) => world.sent.filter(({ parcel }) => parcel.url.includes(host)).length;
    expect([to('dead'), to('alive')]).toEqual([8, 20]);
  });

  test('that is away costs few attempts while it is, and loses none of its notices', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    let isBack = false;
    world.answer = () => (isBack ? OK : { kind: 'unreachable', why: 'ECONNREFUSED' });
    for (let index = 0; index < 100; index += 1) await world.publisher.publish(world.notice(`batch_${index}`));
    await world.clock.advance(10 * MINUTE);
    // 8 at first, then one each second, 2 s, 4 s … 60 s.
    expect(world.sent.length).toBeLessThan(40);
    isBack = true;
    await world.clock.advance(3 * HOUR);
    expect([...world.deliveries.values()].filter((record) => record.status === 'delivered')).toHaveLength(100);
  });
});

describe('a gateway', () => {
  test('that stops cuts an attempt without counting it', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = () => new Promise(() => undefined);
    await world.publisher.publish(world.notice('batch_1'));
    const handled = world.deliverer.handle({ id: only(world)?.id ?? '', round: 0 });
    await settleMicrotasks();
    expect(world.sent).toHaveLength(1);
    await world.deliverer.close();
    expect(await handled).toEqual({ kind: 'again', delayMs: 0 });
    expect(only(world)).toMatchObject({ status: 'pending', attempts: 0 });
  });

  test('without Redis takes no notice in, and goes on when it is back', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.isDown = true;
    await expect(world.publisher.publish(world.notice('batch_1'))).rejects.toThrow();
    world.isDown = false;
    await world.publisher.publish(world.notice('batch_1'));
    world.isDown = true;
    await world.clock.advance(MINUTE);
    expect(world.sent).toHaveLength(0);
    world.isDown = false;
    await world.clock.advance(10 * SECOND);
    expect(only(world)).toMatchObject({ status: 'delivered', attempts: 1 });
  });

  test('puts back what the queue has lost', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.answer = (_parcel, place) => (place === 0 ? status(500) : OK);
    world.deliverer.start();
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(SECOND);
    world.loseQueue();
    await world.clock.advance(3 * MINUTE);
    expect(only(world)).toMatchObject({ status: 'delivered', attempts: 2 });
    await world.deliverer.close();
  });

  test('drops a notice for an endpoint that has too many waiting, and no other', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    world.isFull = true;
    await world.publisher.publish(world.notice('batch_1'));
    expect(world.deliveries.size).toBe(0);
    world.isFull = false;
    await world.publisher.publish(world.notice('batch_2'));
    await world.clock.advance(SECOND);
    expect(only(world)).toMatchObject({ status: 'delivered' });
  });

  test('that hears of an old round does nothing', async () => {
    const world = new WebhookWorld();
    world.addEndpoint('a');
    await world.publisher.publish(world.notice('batch_1'));
    await world.clock.advance(SECOND);
    const { id } = only(world) ?? { id: '' };
    expect(await world.deliverer.handle({ id, round: 7 })).toEqual({ kind: 'done' });
    expect(await world.deliverer.handle({ id: 'unknown', round: 0 })).toEqual({ kind: 'done' });
    expect(world.sent).toHaveLength(1);
  });
});
