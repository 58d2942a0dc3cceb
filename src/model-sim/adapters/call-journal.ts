import { openSync, writeSync } from 'node:fs';
import type { Clock } from '../../core/clock.ts';
import type { ReplySource } from './reply.ts';

/** One line of the journal (--journal): what became of a call, seen from the model server. */
export interface JournalLine {
  readonly atEpochMs: number;
  /** Process that served it. With `call` it names one attempt. */
  readonly pid: number;
  readonly call: string;
  /** `first`: its first token was made. `ended`: nothing of it is computed any more. */
  readonly event: 'began' | 'first' | 'ended';
  /** Of the text of its first choice: a function of what was asked, see planCall. Prompts are not in the journal. */
  readonly seed: number;
  /** Calls that this process works on, this one included while it has not ended. */
  readonly open: number;
  /** Of `ended`: "stop" and "length" as told to the client, "abort", "failed", or "left" (its client has gone). */
  readonly why?: string;
}

/**
 * Appends a line for each call that begins, speaks and ends. A line is written before anything that follows from it leaves
 * the process, and in one piece, so that processes may share a file and a killed one leaves no half of it.
 */
export class CallJournal {
  readonly #clock: Clock;
  readonly #file: number;
  readonly #silent = new Set<ReplySource>();
  readonly #open = new Set<ReplySource>();

  /** Throws when the file cannot be opened. */
  constructor(path: string, clock: Clock) {
    this.#clock = clock;
    this.#file = openSync(path, 'a');
  }

  began(call: ReplySource): void {
    this.#open.add(call);
    this.#silent.add(call);
    this.#write(call, 'began');
  }

  /** The first time counts. */
  spoke(call: ReplySource): void {
    if (this.#silent.delete(call)) this.#write(call, 'first');
  }

  /** The first time counts. */
  ended(call: ReplySource, why: string): void {
    this.#silent.delete(call);
    if (this.#open.delete(call)) this.#write(call, 'ended', why);
  }

  #write({ head, plan }: ReplySource, event: JournalLine['event'], why?: string): void {
    const line: JournalLine = {
      atEpochMs: this.#clock.epochMs(),
      pid: process.pid,
      call: head.id,
      event,
      seed: plan.seeds[0] ?? 0,
      open: this.#open.size,
      ...(why !== undefined && { why }),
    };
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }
}
