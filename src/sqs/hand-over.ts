import type { Clock } from '../core/clock.ts';
import { asError, PilotlightError } from '../core/errors.ts';
import type { JobService, JobSpec, SqsAnnouncement } from '../core/jobs.ts';
import type { Logger } from '../core/logger.ts';
import type { Random } from '../core/random.ts';
import type { Held } from './held-messages.ts';
import { UNKNOWN_HEAD } from './policy/decode.ts';
import type { MessageHead } from './policy/message-call.ts';
import { seenAgainAfterMs, tryAgainAfterMs } from './policy/pace.ts';
import { type ReplyRules, replyQueue } from './policy/reply.ts';
import { correlationOf, type ReaderDeps, readMessage, type ReadMessage } from './read-message.ts';
import type { AttemptBook, SourceMeter, ToJob } from './ports.ts';

export interface HandOverDeps extends ReaderDeps {
  /** Name of the source. */
  readonly source: string;
  readonly replies: ReplyRules;
  readonly toJob: ToJob;
  readonly jobs: Pick<JobService, 'submit' | 'get'>;
  readonly attempts: AttemptBook;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meter: SourceMeter;
  /** The end of a job is told with the job itself; else by whoever holds its message. */
  readonly announces: boolean;
}

export type Verdict =
  /** Durable: the message may go. `announcement` null = nobody wants the result. */
  | { readonly kind: 'accepted'; readonly spec: JobSpec; readonly announcement: SqsAnnouncement | null }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  /** Not now. */
  | { readonly kind: 'later'; readonly afterMs: number; readonly isPressure: boolean };

/** A message that can never run. */
export interface Refusal {
  readonly head: MessageHead;
  readonly correlationId: string;
  readonly error: PilotlightError;
  /** Where the error is told; null = nowhere. */
  readonly replyUrl: string | null;
}

/** Redelivered more often than this, a message is counted. */
const UNCOUNTED_RECEIVES = 3;
/** Tries of a counted message that ended in no way that we know, the crashes of a process among them. */
const MAX_ATTEMPTS = 5;
/** While the system refuses work for now, a message is kept so long before somebody else may try. */
const PATIENCE_MS = 60_000;

/** Makes jobs of messages. */
export class HandOver {
  readonly #deps: HandOverDeps;

  constructor(deps: HandOverDeps) {
    this.#deps = deps;
  }

  /** What becomes of a message. Never throws; the signal, or the loss of the message, ends its waits. */
  async take(held: Held, signal: AbortSignal): Promise<Verdict> {
    const { attempts, random, log } = this.#deps;
    const { message } = held;
    const isCounted = message.receiveCount > UNCOUNTED_RECEIVES;
    const ended = AbortSignal.any([held.signal, signal]);
    try {
      // Counting is a precaution: without Redis nothing is taken over anyway.
      const tries = isCounted ? await attempts.begin(message.id).catch(() => 0) : 0;
      const verdict = tries > MAX_ATTEMPTS ? this.#exhausted(held, tries) : await this.#try(held, ended);
      // A message of a FIFO group comes back as long as its job runs: only what came to no end counts.
      if (isCounted && verdict.kind !== 'refused') await attempts.undo(message.id).catch(() => undefined);
      return verdict;
    } catch (error) {
      // Ours: it counts as a try.
      log.error({ messageId: message.id, err: asError(error) }, 'sqs.hand_over_failed');
      return { kind: 'later', afterMs: seenAgainAfterMs(message.receiveCount, random.next()), isPressure: false };
    }
  }

  async #try(held: Held, signal: AbortSignal): Promise<Verdict> {
    const { clock, random, log } = this.#deps;
    const untilMs = clock.monotonicMs() + PATIENCE_MS;
    for (let tries = 0; ; tries += 1) {
      const verdict = await this.#once(held, signal).catch((error: unknown) => this.#putOff(error, signal));
      if (!(verdict instanceof PilotlightError)) return verdict;
      const waitMs = tryAgainAfterMs(tries, verdict.retryAfterMs, random.next());
      if (signal.aborted || clock.monotonicMs() + waitMs >= untilMs) {
        log.info({ messageId: held.message.id, code: verdict.code, problem: verdict.message }, 'sqs.message_put_off');
        const afterMs = signal.aborted ? 0 : seenAgainAfterMs(held.message.receiveCount, random.next());
        return { kind: 'later', afterMs, isPressure: true };
      }
      await clock.sleep(waitMs, signal).catch(() => undefined);
    }
  }

  /** An error that a later try may not meet; everything else goes on. */
  #putOff(error: unknown, signal: AbortSignal): PilotlightError {
    if (error instanceof PilotlightError && error.retryable) return error;
    if (signal.aborted) return new PilotlightError('draining', 'The gateway is stopping.');
    throw error;
  }

  /** A PilotlightError is one that a later try may not meet. */
  async #once(held: Held, signal: AbortSignal): Promise<Verdict | PilotlightError> {
    const { toJob, jobs, announces, replies, meter, clock } = this.#deps;
    const { message } = held;
    const read = await readMessage(this.#deps, message, signal);
    const replyUrl = replyQueue(message.attributes, replies);
    if (replyUrl instanceof PilotlightError) return refuse(read, replyUrl, replies.resultsUrl);
    if (read.asked instanceof PilotlightError) return refuse(read, read.asked, replyUrl);
    const made = toJob(read.asked);
    if (made instanceof PilotlightError) return made.retryable ? made : refuse(read, made, replyUrl);
    const announcement = replyUrl === null ? null : this.#announcement(held, read, replyUrl);
    const spec: JobSpec = announces && announcement ? { ...made.spec, announce: announcement } : made.spec;
    const known = await jobs.get(spec.id, spec.tenant);
    // One that waits may have lost its place by the same crash that left its message here: it is submitted again.
    if (known && known.status !== 'queued') {
      meter.message('repeated');
      return { kind: 'accepted', spec: known.spec, announcement };
    }
    const isOver = spec.deadlineEpochMs !== null && spec.deadlineEpochMs <= clock.epochMs();
    if (isOver && !known) return refuse(read, tooLate(), replyUrl);
    const answer = await jobs.submit(spec, made.body, { isRepeated: true });
    if (answer.kind === 'rejected') {
      return answer.error.retryable ? answer.error : refuse(read, answer.error, replyUrl);
    }
    meter.message(known ? 'repeated' : 'accepted');
    if (!known) meter.accepted(clock.epochMs() - message.sentAtEpochMs);
    return { kind: 'accepted', spec, announcement };
  }

  #announcement({ message }: Held, { head, correlationId }: ReadMessage, queueUrl: string): SqsAnnouncement {
    const { format, customId, metadata } = head;
    const { id: messageId, groupId } = message;
    const { source } = this.#deps;
    return { kind: 'sqs', source, queueUrl, correlationId, format, customId, metadata, messageId, groupId };
  }

  #exhausted({ message }: Held, tries: number): Verdict {
    const text = `The message was tried ${tries - 1} times, and no try came to an end.`;
    const error = new PilotlightError('attempts_exhausted', text);
    const replyUrl = replyQueue(message.attributes, this.#deps.replies);
    return refuse(
      { head: UNKNOWN_HEAD, correlationId: correlationOf(message, null), asked: error },
      error,
      replyUrl instanceof PilotlightError ? this.#deps.replies.resultsUrl : replyUrl,
    );
  }
}

function refuse({ head, correlationId }: ReadMessage, error: PilotlightError, replyUrl: string | null): Verdict {
  return { kind: 'refused', refusal: { head, correlationId, error, replyUrl } };
}

function tooLate(): PilotlightError {
  return new PilotlightError('deadline_exceeded', 'The deadline was over before the message was received.', {
    param: 'deadline',
  });
}
