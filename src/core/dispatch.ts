import type { InferenceCall, Usage } from './call.ts';
import type { PilotlightError } from './errors.ts';
import type { TicketSpec } from './live-order.ts';
import type { Outcome } from './outcome.ts';

/** One request handed to the dispatcher: it queues it, runs it on an endpoint and delivers the answer to a sink. */
export interface DispatchRequest {
  readonly call: InferenceCall;
  readonly ticket: TicketSpec;
  readonly timeouts: CallTimeouts;
}

export interface CallTimeouts {
  /** Longest wait for a slot; beyond it the call ends with `max_hold_exceeded`. Null = the ticket's expiry alone. */
  readonly maxWaitMs: number | null;
  /**
   * Longest silence between two bytes of an answer, and before the first byte of a stream. A plain answer has no byte
   * before it is complete: until then `overallMs` alone bounds it.
   */
  readonly idleMs: number;
  /** Longest time from the slot to the last byte. */
  readonly overallMs: number;
}

/** Why a request waits, for people and clients. */
export interface WaitStatus {
  /** 0 = next. */
  readonly position: number;
  /** e.g. "queued", "waking", or the warm-up phase of the pool's furthest pod. */
  readonly phase: string;
  readonly etaMs: number | null;
}

export interface ResponseHead {
  readonly status: number;
  /** A content-length among them is the exact number of bytes that will be written. */
  readonly headers: Readonly<Record<string, string>>;
  /** In the live order, before the slot; told to the client. */
  readonly waitedMs?: number;
  readonly endpointId?: string;
}

/**
 * Takes one answer. The dispatcher calls `begin`, then `write` until `end`; nothing after an error. Only a stream of stored
 * work that broke is run again: then `begin` comes once more, and what was written before does not count.
 */
export interface ResponseSink {
  waiting(status: WaitStatus): void;
  /** The engine's first byte is here: from now on there is no retry. */
  begin(head: ResponseHead): void;
  /** False when the reader is slow: await `drained` before the next write. */
  write(chunk: Uint8Array): boolean;
  drained(signal: AbortSignal): Promise<void>;
  end(): void;
}

export interface DispatchTimes {
  /** In the live order, before the first slot. */
  readonly waitedMs: number;
  /** From entering the order to the first byte of the answer; null when there was none. */
  readonly firstByteMs: number | null;
  readonly totalMs: number;
}

export type DispatchResult =
  | {
      readonly kind: 'completed';
      readonly outcome: Outcome;
      readonly usage: Usage | null;
      readonly endpointId: string;
      readonly times: DispatchTimes;
    }
  /** Never entered the queue. */
  | { readonly kind: 'rejected'; readonly error: PilotlightError }
  /** `begun` = bytes were already forwarded, so the error belongs into the stream. */
  | {
      readonly kind: 'failed';
      readonly error: PilotlightError;
      readonly begun: boolean;
      readonly outcome: Outcome;
      readonly times: DispatchTimes;
    }
  /** Back to the backlog, no attempt used: the pool closed, or the ledger is not to be reached. */
  | { readonly kind: 'handed_back'; readonly reason: string }
  /** Stored work that has its outcome already, or is being run elsewhere. */
  | { readonly kind: 'superseded'; readonly outcome: Outcome | null };

/** Makes a result durable between the engine's last byte and the outcome. Returns where it was put. */
export type PersistResult = (outcome: Outcome) => Promise<string>;

export interface RunOptions {
  /** Aborting (a client that left, a cancelled job) withdraws the ticket or stops the upstream call at once. */
  readonly signal: AbortSignal;
  /** For stored work. */
  readonly persist?: PersistResult;
  /** Called each time the call gets a slot. */
  readonly onSlot?: () => void;
}

export interface CallRunner {
  run(request: DispatchRequest, sink: ResponseSink, options: RunOptions): Promise<DispatchResult>;
}

/** Knows how long things take; joins queue, slots and the autoscaler's view of the boot. */
export interface WaitAdvisor {
  status(pool: string, objective: string, position: number): WaitStatus;
  /** When a refused caller should come back, from the measured drain rate. At least 1 s. */
  retryAfterMs(pool: string, objective: string): number;
  /** False when no capacity can come (paused, broken boots, no target): the message says why. */
  capacity(pool: string): { readonly canCome: true } | { readonly canCome: false; readonly why: string };
}
