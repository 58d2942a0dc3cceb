import type { Clock } from '../core/clock.ts';
import { asError, PilotlightError } from '../core/errors.ts';
import type { JobService, JobSpec, JobView, SqsAnnouncement } from '../core/jobs.ts';
import type { Logger } from '../core/logger.ts';
import type { Random } from '../core/random.ts';
import type { HandOver, Verdict } from './hand-over.ts';
import type { Held, HeldMessages } from './held-messages.ts';
import { HOLD_AT_MOST_MS, seenAgainAfterMs, tryAgainAfterMs } from './policy/pace.ts';
import { MAX_ENTRIES, type QueueMessage, type SourceMeter, type SourceQueue } from './ports.ts';
import type { Refusals } from './refusals.ts';
import type { Results } from './results.ts';

export interface IntakeDeps {
  readonly queue: Pick<SourceQueue, 'receive'>;
  readonly held: HeldMessages;
  readonly handOver: Pick<HandOver, 'take'>;
  readonly refusals: Pick<Refusals, 'refuse'>;
  readonly results: Pick<Results, 'sendEnd'>;
  readonly jobs: Pick<JobService, 'wait'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly meter: SourceMeter;
  readonly maxHeld: number;
  readonly visibilityMs: number;
  /** The messages of a group run one after the other, each to its end. */
  readonly isFifo: boolean;
}

/** One look at a job whose end is waited for. */
const WAIT_MS = 60_000;
/** Nothing new is received for so long after a message had to be handed back because the system is full. */
const PRESSURE_MS = 5_000;
/** What is under way may take so long once it stops. */
const STOP_WITHIN_MS = 10_000;

/** Takes messages from one queue, as many at a time as it may hold, until it is stopped. */
export class SourceIntake {
  readonly #deps: IntakeDeps;
  readonly #stopping = new AbortController();
  readonly #stopped = new AbortController();
  readonly #underWay = new Set<Promise<void>>();
  /** What waits for its turn in each FIFO group that is under way. */
  readonly #groups = new Map<string, Held[]>();
  #loops: Promise<unknown> = Promise.resolve();
  #pressureUntilMs = 0;
  #released = new AbortController();

  constructor(deps: IntakeDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#loops = Promise.all([this.#receive(), this.#deps.held.heartbeat(this.#stopped.signal)]);
  }

  /** Receives no more; what was not taken over is handed back at once. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Error('the gateway is stopping'));
    const patience = new AbortController();
    const late = this.#deps.clock.sleep(STOP_WITHIN_MS, patience.signal).catch(() => undefined);
    await Promise.race([Promise.all(this.#underWay), late]);
    patience.abort();
    this.#stopped.abort();
    await this.#loops;
  }

  async #receive(): Promise<void> {
    const { queue, held, clock, random, log, maxHeld, visibilityMs } = this.#deps;
    const { signal } = this.#stopping;
    let failures = 0;
    while (await this.#hasRoom(signal)) {
      try {
        const free = Math.min(MAX_ENTRIES, maxHeld - held.size);
        for (const message of await queue.receive(free, visibilityMs, signal)) this.#take(message);
        failures = 0;
      } catch (error) {
        const waitMs = tryAgainAfterMs(failures, 1_000, random.next());
        failures += 1;
        await clock.sleep(waitMs, signal).then(
          () => log.warn({ problem: asError(error).message }, 'sqs.receive_failed'),
          () => undefined,
        );
      }
    }
  }

  /** Waits for room. False once the intake stops. */
  async #hasRoom(signal: AbortSignal): Promise<boolean> {
    const { held, clock, maxHeld } = this.#deps;
    const isOn = () => !signal.aborted;
    while (isOn()) {
      const pressureMs = this.#pressureUntilMs - clock.monotonicMs();
      if (pressureMs <= 0 && held.size < maxHeld) return true;
      this.#released = new AbortController();
      const either = AbortSignal.any([this.#released.signal, signal]);
      await clock.sleep(pressureMs > 0 ? pressureMs : WAIT_MS, pressureMs > 0 ? signal : either).catch(() => undefined);
    }
    return false;
  }

  #take(message: QueueMessage): void {
    const { held, isFifo } = this.#deps;
    const one = held.hold(message);
    if (!isFifo) {
      this.#run(this.#handOver(one));
      return;
    }
    const group = message.groupId ?? message.id;
    const waiting = this.#groups.get(group);
    if (waiting) {
      waiting.push(one);
    } else {
      const turns = [one];
      this.#groups.set(group, turns);
      this.#run(this.#inTurn(group, turns));
    }
  }

  #run(work: Promise<unknown>): void {
    const running: Promise<void> = work.then(
      () => undefined,
      (error: unknown) => this.#deps.log.error({ err: asError(error) }, 'sqs.message_crashed'),
    );
    const done = running.then(() => {
      this.#underWay.delete(done);
      this.#released.abort();
    });
    this.#underWay.add(done);
  }

  async #handOver(held: Held): Promise<void> {
    const verdict = await this.#deps.handOver.take(held, this.#stopping.signal);
    if (verdict.kind === 'accepted') await this.#deps.held.delete(held, this.#stopping.signal);
    else await this.#notAccepted(held, verdict);
  }

  /** Once one of a group goes back, those behind it must not pass it. */
  async #inTurn(group: string, turns: Held[]): Promise<void> {
    let goneBackForMs: number | null = null;
    try {
      for (let held = turns[0]; held; held = turns[0]) {
        if (goneBackForMs === null) goneBackForMs = await this.#toItsEnd(held);
        else await this.#handBack(held, goneBackForMs);
        turns.shift();
        this.#released.abort();
      }
    } finally {
      this.#groups.delete(group);
    }
  }

  /** Null = it has ended and is deleted; else it is seen again after so long. */
  async #toItsEnd(held: Held): Promise<number | null> {
    const { handOver, held: messages } = this.#deps;
    if (this.#stopping.signal.aborted || held.signal.aborted) return this.#handBack(held, 0);
    const verdict = await handOver.take(held, this.#stopping.signal);
    if (verdict.kind !== 'accepted') return this.#notAccepted(held, verdict);
    if (!(await this.#untilTold(held, verdict.spec, verdict.announcement))) return this.#handBack(held, 0);
    await messages.delete(held, this.#stopping.signal);
    return null;
  }

  /** False when the message has to be handed back before its job has ended and its result is sent. */
  async #untilTold(held: Held, spec: JobSpec, announcement: SqsAnnouncement | null): Promise<boolean> {
    const { jobs, results, clock, random, log } = this.#deps;
    const signal = AbortSignal.any([held.signal, this.#stopping.signal]);
    const untilMs = held.heldSinceMs + HOLD_AT_MOST_MS;
    for (let failures = 0; !signal.aborted && clock.monotonicMs() < untilMs; ) {
      try {
        const waitMs = Math.min(WAIT_MS, untilMs - clock.monotonicMs());
        const view = await jobs.wait(spec.id, spec.tenant, waitMs, signal);
        if (view && !view.outcome) continue;
        if (announcement) await results.sendEnd(view ?? deleted(spec), announcement);
        return true;
      } catch (error) {
        const { name, message } = asError(error);
        log.warn({ messageId: held.message.id, jobId: spec.id, error: name, problem: message }, 'sqs.result_put_off');
        await clock.sleep(tryAgainAfterMs(failures, null, random.next()), signal).catch(() => undefined);
        failures += 1;
      }
    }
    return false;
  }

  async #notAccepted(held: Held, verdict: Exclude<Verdict, { kind: 'accepted' }>): Promise<number | null> {
    const { refusals, held: messages, clock, random, meter } = this.#deps;
    if (verdict.kind === 'later') {
      if (verdict.isPressure) this.#pressureUntilMs = clock.monotonicMs() + PRESSURE_MS * random.next();
      return this.#handBack(held, verdict.afterMs);
    }
    meter.message('refused');
    if (!(await refusals.refuse(held, verdict.refusal))) {
      return this.#handBack(held, seenAgainAfterMs(held.message.receiveCount, random.next()));
    }
    await messages.delete(held, this.#stopping.signal);
    return null;
  }

  async #handBack(held: Held, afterMs: number): Promise<number> {
    this.#deps.meter.message('handed_back');
    await this.#deps.held.handBack(held, afterMs);
    return afterMs;
  }
}

/** Its owner deleted it while its message waited for its end. */
function deleted(spec: JobSpec): JobView {
  const error = new PilotlightError('request_cancelled', 'deleted');
  const outcome = {
    kind: 'cancelled',
    httpStatus: error.httpStatus,
    code: error.code,
    attempts: 0,
    usage: null,
  } as const;
  return { spec, status: 'cancelled', outcome, finishedAtEpochMs: null, resultExpiresAtEpochMs: null };
}
