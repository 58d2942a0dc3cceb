import type { Clock } from '../core/clock.ts';
import { asError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { Gatherer } from './gatherer.ts';
import { type EntryAnswer, MAX_ENTRIES, type QueueMessage, type SourceMeter, type SourceQueue } from './ports.ts';

/** A message that nobody else sees while its visibility is renewed. */
export interface Held {
  readonly message: QueueMessage;
  readonly heldSinceMs: number;
  /** Aborts when the delivery is ours no more, or when it has to be given up. */
  readonly signal: AbortSignal;
}

interface Entry extends Held {
  readonly lost: AbortController;
  renewedAtMs: number;
}

export interface HeldDeps {
  readonly queue: SourceQueue;
  readonly visibilityMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly meter: SourceMeter;
}

/** Heartbeats look this often within one visibility timeout; each message is due after a third of it. */
const LOOKS = 12;
/** Calls under way at one time. */
const CALLS = 8;
/** A deletion is repeated for as long as the message is held. */
const FIRST_DELETE_WAIT_MS = 200;
const LONGEST_DELETE_WAIT_MS = 10_000;

/** The messages that one process holds of one queue, kept from everybody else until they are deleted or handed back. */
export class HeldMessages {
  readonly #deps: HeldDeps;
  readonly #entries = new Set<Entry>();
  readonly #deletes: Gatherer<string, EntryAnswer>;
  readonly #handBacks: Gatherer<{ receipt: string; visibilityMs: number }, EntryAnswer>;

  constructor(deps: HeldDeps) {
    this.#deps = deps;
    const { queue, clock } = deps;
    this.#deletes = new Gatherer((receipts) => queue.delete(receipts), { clock });
    this.#handBacks = new Gatherer((entries) => queue.setVisibility(entries), { clock });
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Takes up a message that was received just now. */
  hold(message: QueueMessage): Held {
    const nowMs = this.#deps.clock.monotonicMs();
    const lost = new AbortController();
    const entry: Entry = { message, heldSinceMs: nowMs, renewedAtMs: nowMs, lost, signal: lost.signal };
    this.#entries.add(entry);
    this.#deps.meter.held(this.size);
    return entry;
  }

  /** Deletes it for good. False when that did not work before the signal: it will be delivered again. */
  async delete(held: Held, signal: AbortSignal): Promise<boolean> {
    const { clock, log } = this.#deps;
    try {
      for (let waitMs = FIRST_DELETE_WAIT_MS; ; waitMs = Math.min(waitMs * 2, LONGEST_DELETE_WAIT_MS)) {
        const failure = await this.#deletes.add(held.message.receipt).catch(whole);
        if (failure === null) return true;
        log.warn({ messageId: held.message.id, problem: failure.code }, 'sqs.delete_failed');
        if (failure.isSenderFault || held.signal.aborted || signal.aborted) return false;
        await clock.sleep(waitMs, AbortSignal.any([held.signal, signal])).catch(() => undefined);
      }
    } finally {
      this.#release(held);
    }
  }

  /** It will be delivered again after so long; when that cannot be said, after the rest of its visibility. */
  async handBack(held: Held, afterMs: number): Promise<void> {
    // Before the call: a heartbeat that comes later would undo it.
    this.#release(held);
    if (held.signal.aborted) return;
    const failure = await this.#handBacks.add({ receipt: held.message.receipt, visibilityMs: afterMs }).catch(whole);
    if (failure) this.#deps.log.debug({ messageId: held.message.id, problem: failure.code }, 'sqs.hand_back_failed');
  }

  /** Renews visibility until the signal. */
  async heartbeat(signal: AbortSignal): Promise<void> {
    const { clock, visibilityMs } = this.#deps;
    const isOn = () => !signal.aborted;
    while (await clock.sleep(visibilityMs / LOOKS, signal).then(isOn, isOn)) {
      const dueMs = clock.monotonicMs() - visibilityMs / 3;
      // What will be due before the next look is taken along.
      const due = [...this.#entries].filter(({ renewedAtMs }) => renewedAtMs <= dueMs + visibilityMs / LOOKS / 2);
      for (let at = 0; at < due.length; at += MAX_ENTRIES * CALLS) {
        const starts = Array.from({ length: CALLS }, (_, call) => at + call * MAX_ENTRIES);
        await Promise.all(starts.map((start) => this.#renew(due.slice(start, start + MAX_ENTRIES))));
      }
    }
  }

  async #renew(due: readonly Entry[]): Promise<void> {
    const { queue, visibilityMs, clock, log, meter } = this.#deps;
    const entries = due.filter((entry) => this.#entries.has(entry));
    if (entries.length === 0) return;
    const startedMs = clock.monotonicMs();
    let answers: readonly EntryAnswer[];
    try {
      answers = await queue.setVisibility(entries.map(({ message }) => ({ receipt: message.receipt, visibilityMs })));
    } catch (error) {
      log.warn({ messages: entries.length, problem: asError(error).message }, 'sqs.heartbeat_failed');
      meter.heartbeatFailed(entries.length);
      return;
    }
    for (const [index, entry] of entries.entries()) {
      const failure = answers[index] ?? null;
      if (failure === null) {
        entry.renewedAtMs = startedMs;
      } else if (this.#entries.has(entry)) {
        meter.heartbeatFailed(1);
        if (failure.isSenderFault) this.#lose(entry, failure.code);
      }
    }
  }

  /** Somebody else may have it, or it is deleted. */
  #lose(entry: Entry, code: string): void {
    this.#deps.log.warn({ messageId: entry.message.id, problem: code }, 'sqs.message_lost');
    this.#release(entry);
    entry.lost.abort(new Error(`the delivery of message ${entry.message.id} is over: ${code}`));
  }

  #release(held: Held): void {
    this.#entries.delete(held as Entry);
    this.#deps.meter.held(this.size);
  }
}

/** A call that failed as a whole is worth a repetition. */
function whole(error: unknown): EntryAnswer {
  return { code: asError(error).message, isSenderFault: false };
}
