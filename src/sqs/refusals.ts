import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import type { Refusal } from './hand-over.ts';
import type { Held } from './held-messages.ts';
import { isFifo } from './policy/reply.ts';
import { type Attribute, textAttributes } from './policy/result.ts';
import { fifoName, type Results } from './results.ts';

export interface RefusalsDeps {
  readonly results: Pick<Results, 'send' | 'post'>;
  readonly deadLetterUrl: string | null;
  readonly log: Logger;
}

/** Messages whose error was told already, remembered so that each redelivery does not tell it again. */
const REMEMBERED = 10_000;
/** As many as a message may have. */
const MAX_ATTRIBUTES = 10;

/** Tells of messages that can never run, and takes them out of the way. */
export class Refusals {
  readonly #deps: RefusalsDeps;
  readonly #told = new Set<string>();

  constructor(deps: RefusalsDeps) {
    this.#deps = deps;
  }

  /** True when the message may be deleted; false when it has to stay for the redrive policy of its queue, or for a later try. */
  async refuse(held: Held, refusal: Refusal): Promise<boolean> {
    const { deadLetterUrl, log } = this.#deps;
    const { message } = held;
    const { code } = refusal.error;
    try {
      await this.#tell(held, refusal);
      if (deadLetterUrl !== null) await this.#bury(held, refusal, deadLetterUrl);
    } catch (error) {
      log.warn({ messageId: message.id, code, problem: asError(error).message }, 'sqs.refusal_failed');
      return false;
    }
    log.info({ messageId: message.id, code, deadLettered: deadLetterUrl !== null }, 'sqs.message_refused');
    if (deadLetterUrl !== null) this.#told.delete(message.id);
    return deadLetterUrl !== null;
  }

  async #tell({ message }: Held, { head, correlationId, error, replyUrl }: Refusal): Promise<void> {
    if (replyUrl === null || this.#told.has(message.id)) return;
    const { format, customId, metadata } = head;
    const { id: messageId, groupId } = message;
    const told = { format, customId, metadata, correlationId, messageId, jobId: null, objective: null };
    await this.#deps.results.send({ queueUrl: replyUrl, groupId }, told, { kind: 'failed', error });
    this.#told.add(message.id);
    const [oldest] = this.#told;
    if (this.#told.size > REMEMBERED && oldest !== undefined) this.#told.delete(oldest);
  }

  /** The message as it came, with the reason; of its own attributes as many as have room. */
  async #bury({ message }: Held, { error }: Refusal, queueUrl: string): Promise<void> {
    const reason = textAttributes({
      error_code: error.code,
      error_message: error.message,
      source_message_id: message.id,
    });
    const own = Object.entries(message.attributes).filter(([name]) => !(name in reason));
    const room = own.slice(0, MAX_ATTRIBUTES - Object.keys(reason).length);
    const kept = room.map(([name, value]): [string, Attribute] => [name, { type: 'String', value }]);
    const fifo = isFifo(queueUrl);
    await this.#deps.results.post(queueUrl, {
      body: message.body,
      attributes: { ...Object.fromEntries(kept), ...reason },
      groupId: fifo ? fifoName(message.groupId ?? message.id) : null,
      dedupId: fifo ? message.id : null,
    });
  }
}
