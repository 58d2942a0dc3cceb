import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Random } from '../core/random.ts';
import { EndpointLanes } from './endpoint-lanes.ts';
import {
  type AttemptResult,
  abandoned,
  afterAttempt,
  attemptClass,
  type DeliveryRecord,
  isAway,
  isGone,
} from './policy/delivery.ts';
import { changed, type EndpointRecord, validSecrets } from './policy/endpoint.ts';
import { payloadOf } from './policy/payload.ts';
import type {
  Courier,
  DeliveryPointer,
  DeliveryQueue,
  DeliveryStore,
  DeliveryVerdict,
  EndpointStore,
  WebhookMeter,
} from './ports.ts';

export interface DelivererDeps {
  readonly endpoints: EndpointStore;
  readonly deliveries: DeliveryStore;
  readonly queue: DeliveryQueue;
  readonly courier: Courier;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meter: WebhookMeter;
  /** How long a delivery is tried again. */
  readonly giveUpAfterMs: number;
}

/** Attempts under way in one process, over all endpoints. */
const CONCURRENCY = 64;
/** A delivery that nobody has tried so long after its time may have lost its place in the queue. */
const OVERDUE_AFTER_MS = 60_000;
const LOOK_EVERY_MS = 60_000;
const DONE: DeliveryVerdict = { kind: 'done' };

/** Makes the attempts of deliveries, those of this process and, through the shared queue, those of gateways that died. */
export class Deliverer {
  readonly #deps: DelivererDeps;
  readonly #lanes = new EndpointLanes();
  readonly #stop = new AbortController();
  #looking: Promise<void> = Promise.resolve();

  constructor(deps: DelivererDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#deps.queue.work(CONCURRENCY, (pointer) => this.handle(pointer));
    this.#looking = this.#lookForOverdue();
  }

  /** Attempts under way are cut; another gateway, or the next start, makes them again. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the gateway is stopping'));
    await this.#looking;
    await this.#deps.queue.close();
  }

  /** What becomes of one pointer from the queue. Throws when Redis or the blob store are away. */
  async handle({ id, round }: DeliveryPointer): Promise<DeliveryVerdict> {
    const { deliveries, endpoints, clock, random } = this.#deps;
    const record = await deliveries.get(id);
    if (record?.status !== 'pending' || record.round !== round) return DONE;
    const dueInMs = (record.nextAttemptAtEpochMs ?? 0) - clock.epochMs();
    if (dueInMs > 0) return { kind: 'again', delayMs: dueInMs };
    const all = await endpoints.all(record.notice.tenant);
    const endpoint = all.find((known) => known.id === record.endpointId);
    if (!endpoint?.enabled) {
      return this.#conclude(abandoned(record, endpoint ? 'the webhook is switched off' : 'the webhook was deleted'));
    }
    const lane = this.#lanes.enter(endpoint.id, clock.monotonicMs(), random.next());
    if (lane.kind === 'wait') return { kind: 'again', delayMs: lane.delayMs };
    const startedAtEpochMs = clock.epochMs();
    const startedMs = clock.monotonicMs();
    let result: AttemptResult = { kind: 'timeout' };
    try {
      result = await this.#send(record, endpoint);
    } finally {
      const retryAfterMs = result.kind === 'answered' ? result.retryAfterMs : null;
      const endedMs = clock.monotonicMs();
      this.#lanes.leave(endpoint.id, endedMs, { isAway: isAway(result), retryAfterMs, tookMs: endedMs - startedMs });
    }
    // Cut by our own end: it does not count.
    if (this.#stop.signal.aborted && result.kind !== 'answered') return { kind: 'again', delayMs: 0 };
    if (isGone(result)) await this.#switchOff(endpoint);
    return this.#conclude(this.#after(record, startedAtEpochMs, result));
  }

  /** One attempt outside the queue, whose end is final. */
  async attemptOnce(record: DeliveryRecord, endpoint: EndpointRecord): Promise<DeliveryRecord> {
    const startedAtEpochMs = this.#deps.clock.epochMs();
    const after = this.#after(record, startedAtEpochMs, await this.#send(record, endpoint));
    const final: DeliveryRecord =
      after.status === 'pending' ? { ...after, status: 'failed', nextAttemptAtEpochMs: null } : after;
    await this.#deps.deliveries.save(final);
    return final;
  }

  /** What a fail-over of Redis took out of the queue is put in again; what is there stays as it is. */
  async #lookForOverdue(): Promise<void> {
    const { deliveries, queue, clock, log } = this.#deps;
    for (;;) {
      try {
        await clock.sleep(LOOK_EVERY_MS, this.#stop.signal);
      } catch {
        return;
      }
      try {
        const overdue = await deliveries.overdue(clock.epochMs() - OVERDUE_AFTER_MS);
        for (const pointer of overdue) await queue.push(pointer);
      } catch (error) {
        log.warn({ problem: asError(error).message }, 'webhook.sweep_failed');
      }
    }
  }

  async #send(record: DeliveryRecord, endpoint: EndpointRecord): Promise<AttemptResult> {
    const { courier, clock, meter, log } = this.#deps;
    const startedMs = clock.monotonicMs();
    const sentAtEpochMs = clock.epochMs();
    const secrets = validSecrets(endpoint, sentAtEpochMs).map(({ secret }) => secret);
    const { notice } = record;
    const parcel = { url: endpoint.url, messageId: notice.id, payload: payloadOf(notice), sentAtEpochMs, secrets };
    const result = await courier.send(parcel, this.#stop.signal);
    const durationMs = Math.round(clock.monotonicMs() - startedMs);
    const kind = attemptClass(result);
    meter.attempted(kind, durationMs);
    log.debug({ endpointId: endpoint.id, deliveryId: record.id, result: kind, durationMs }, 'webhook.attempted');
    return result;
  }

  #after(record: DeliveryRecord, startedAtEpochMs: number, result: AttemptResult): DeliveryRecord {
    const { clock, random, giveUpAfterMs } = this.#deps;
    const endedAtEpochMs = clock.epochMs();
    return afterAttempt(record, { startedAtEpochMs, endedAtEpochMs, result, giveUpAfterMs, chance: random.next() });
  }

  async #conclude(record: DeliveryRecord): Promise<DeliveryVerdict> {
    const { deliveries, clock, meter, log } = this.#deps;
    await deliveries.save(record);
    if (record.status === 'pending') {
      return { kind: 'again', delayMs: Math.max(0, (record.nextAttemptAtEpochMs ?? 0) - clock.epochMs()) };
    }
    meter.ended(record.status, Math.max(0, clock.epochMs() - record.notice.createdAtEpochMs));
    if (record.status === 'failed') {
      const { id, endpointId, attempts, lastResult } = record;
      log.warn({ deliveryId: id, endpointId, attempts, lastResult }, 'webhook.given_up');
    }
    return DONE;
  }

  async #switchOff({ id, tenant }: EndpointRecord): Promise<void> {
    const { endpoints, clock, log } = this.#deps;
    try {
      await endpoints.change(tenant, (records) => {
        const record = records.find((known) => known.id === id);
        if (!record?.enabled) return { answer: undefined };
        return { put: { ...changed(record, {}, clock.epochMs()), enabled: false }, answer: undefined };
      });
      log.warn({ endpointId: id, tenant }, 'webhook.switched_off');
    } catch (error) {
      // The next delivery meets the same answer.
      log.warn({ endpointId: id, problem: asError(error).message }, 'webhook.switch_off_failed');
    }
  }
}
