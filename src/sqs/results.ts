import type { Clock } from '../core/clock.ts';
import { PilotlightError } from '../core/errors.ts';
import type { JobService, JobView, SqsAnnouncement } from '../core/jobs.ts';
import { Gatherer } from './gatherer.ts';
import { MESSAGE_FORMATS } from './policy/message-call.ts';
import { pointerMessage, SIZE_ATTRIBUTES } from './policy/pointer.ts';
import { isFifo } from './policy/reply.ts';
import { type Attributes, type RequestEnd, type ResultHead, resultAttributes, resultBody } from './policy/result.ts';
import type { EntryAnswer, Outbound, OutgoingMessage, PayloadStore, SourceMeter } from './ports.ts';

export interface ResultsDeps {
  readonly jobs: Pick<JobService, 'result'>;
  readonly outbound: Outbound;
  readonly payloads: PayloadStore;
  readonly clock: Clock;
  readonly meter: SourceMeter;
  /** Body and attributes of one message. */
  readonly maxResultBytes: number;
  /** Null = a result that is too large becomes an error. */
  readonly resultsBucket: string | null;
}

/** Where a result goes. */
export interface ResultAddress {
  readonly queueUrl: string;
  /** Keeps results of one group in order on a FIFO queue; null = in no order. */
  readonly groupId: string | null;
}

/** Names, types and values count; this much more than their texts is never needed. */
const ATTRIBUTE_FRAME_BYTES = 16;

/** Sends results of one source. Every method rejects when the message was not taken; repeating it is safe. */
export class Results {
  readonly #deps: ResultsDeps;
  /** One for each queue that the configuration names. */
  readonly #gatherers = new Map<string, Gatherer<OutgoingMessage, EntryAnswer>>();

  constructor(deps: ResultsDeps) {
    this.#deps = deps;
  }

  /** Sends how a job ended, with its answer. */
  async sendEnd(view: JobView, announcement: SqsAnnouncement): Promise<void> {
    const { spec } = view;
    const { format, customId, metadata, correlationId, messageId } = announcement;
    const known = MESSAGE_FORMATS.find((name) => name === format) ?? 'batch_row';
    const head = { format: known, customId, metadata, correlationId, messageId };
    const end = await this.#endOf(view);
    await this.send(announcement, { ...head, jobId: spec.id, objective: spec.objective }, end);
  }

  /** Sends an end, as a pointer when it is too large. */
  async send(address: ResultAddress, head: ResultHead, end: RequestEnd): Promise<void> {
    const { maxResultBytes, resultsBucket, payloads, meter } = this.#deps;
    const attributes = resultAttributes(head, end);
    const body = resultBody(head, end);
    const bodyBytes = Buffer.byteLength(body);
    if (bodyBytes + attributeBytes(attributes) <= maxResultBytes) {
      await this.#deliver(address, head, { body, attributes });
      meter.result('sent');
    } else if (resultsBucket === null || head.jobId === null) {
      const failed = { kind: 'failed', error: tooLarge(head, bodyBytes, maxResultBytes) } as const;
      await this.#deliver(address, head, {
        body: resultBody(head, failed),
        attributes: resultAttributes(head, failed),
      });
      meter.result('too_large');
    } else {
      const pointer = { bucket: resultsBucket, key: `results/${head.jobId}.json` };
      await payloads.put(pointer, Buffer.from(body));
      const size = { [SIZE_ATTRIBUTES[0]]: { type: 'Number', value: String(bodyBytes) } } as const;
      await this.#deliver(address, head, { body: pointerMessage(pointer), attributes: { ...attributes, ...size } });
      meter.result('pointer');
    }
  }

  /** Any message, to any queue of the configuration. */
  async post(queueUrl: string, message: OutgoingMessage): Promise<void> {
    const failure = await this.#gathererOf(queueUrl).add(message);
    if (failure) throw new Error(`the queue did not take the message: ${failure.code}`);
  }

  async #deliver(
    { queueUrl, groupId }: ResultAddress,
    { correlationId, jobId, messageId }: ResultHead,
    message: Pick<OutgoingMessage, 'body' | 'attributes'>,
  ): Promise<void> {
    const fifo = isFifo(queueUrl);
    try {
      // The group of a request that had none is its own: it holds up nobody.
      const order = {
        groupId: fifo ? fifoName(groupId ?? correlationId) : null,
        dedupId: fifo ? (jobId ?? messageId) : null,
      };
      await this.post(queueUrl, { ...message, ...order });
    } catch (error) {
      this.#deps.meter.result('failed');
      throw error;
    }
  }

  async #endOf({ spec, outcome }: JobView): Promise<RequestEnd> {
    const result = await this.#deps.jobs.result(spec.id, spec.tenant);
    if (result) return { kind: 'answered', statusCode: result.httpStatus, body: result.body };
    return { kind: 'failed', error: endError(spec.id, outcome) };
  }

  #gathererOf(queueUrl: string): Gatherer<OutgoingMessage, EntryAnswer> {
    const known = this.#gatherers.get(queueUrl);
    if (known) return known;
    const { outbound, clock, maxResultBytes } = this.#deps;
    const weigh = ({ body, attributes }: OutgoingMessage) => Buffer.byteLength(body) + attributeBytes(attributes);
    const options = { clock, maxWeight: maxResultBytes, weigh };
    const made = new Gatherer<OutgoingMessage, EntryAnswer>((messages) => outbound.send(queueUrl, messages), options);
    this.#gatherers.set(queueUrl, made);
    return made;
  }
}

/** Groups and ids of FIFO queues have up to 128 letters, digits and signs. */
export function fifoName(text: string): string {
  return text.replaceAll(/[^\x21-\x7e]/g, '_').slice(0, 128);
}

function attributeBytes(attributes: Attributes): number {
  return Object.entries(attributes).reduce(
    (sum, [name, { value }]) => sum + name.length + Buffer.byteLength(value) + ATTRIBUTE_FRAME_BYTES,
    0,
  );
}

function endError(id: string, outcome: JobView['outcome']): PilotlightError {
  switch (outcome?.kind) {
    case 'cancelled':
      return new PilotlightError(outcome.code ?? 'request_cancelled', `The job '${id}' was cancelled.`);
    case 'expired':
      return new PilotlightError(
        outcome.code ?? 'deadline_exceeded',
        `The job '${id}' was not finished by its deadline.`,
      );
    case 'failed':
      return new PilotlightError(
        outcome.code ?? 'internal_error',
        `The job '${id}' failed after ${outcome.attempts} attempts.`,
      );
    default:
      return new PilotlightError('result_not_found', `The result of job '${id}' is no longer kept.`);
  }
}

function tooLarge({ jobId }: ResultHead, bytes: number, limitBytes: number): PilotlightError {
  const where = jobId === null ? '' : `; fetch it at /v1/jobs/${jobId}/result, or set sqs.queues[].resultsBucket`;
  const message = `The result has ${bytes} bytes, more than a message may have (${limitBytes})${where}.`;
  return new PilotlightError('upstream_response_too_large', message);
}
