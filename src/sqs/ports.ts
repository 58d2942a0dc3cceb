import type { ApiPath } from '../core/call.ts';
import type { PilotlightError } from '../core/errors.ts';
import type { JobSpec } from '../core/jobs.ts';
import type { JsonObject } from './policy/json.ts';
import type { S3Pointer } from './policy/pointer.ts';
import type { Attributes } from './policy/result.ts';

/** One delivery of a message. */
export interface QueueMessage {
  /** The same for each delivery. */
  readonly id: string;
  /** Of this delivery. */
  readonly receipt: string;
  readonly body: string;
  /** About how often it was delivered, this time included. */
  readonly receiveCount: number;
  readonly sentAtEpochMs: number;
  /** Of a FIFO queue; on others it means nothing here. */
  readonly groupId: string | null;
  /** Those that are texts or numbers. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** Why one entry of a call failed while the call worked. */
export interface EntryFailure {
  readonly code: string;
  /** The same entry will fail again. */
  readonly isSenderFault: boolean;
}

/** Null = done. */
export type EntryAnswer = EntryFailure | null;

/** Calls carry at most this many entries. */
export const MAX_ENTRIES = 10;

export interface Visibility {
  readonly receipt: string;
  /** From now; 0 = at once. */
  readonly visibilityMs: number;
}

/** A queue that requests are taken from. Each call has a deadline of its own and throws when the service fails it. */
export interface SourceQueue {
  /** Waits up to 20 s for the first. */
  receive(maxMessages: number, visibilityMs: number, signal: AbortSignal): Promise<readonly QueueMessage[]>;
  /** Answers in the order of the entries, of which there are at most `MAX_ENTRIES`; so does `delete`. */
  setVisibility(entries: readonly Visibility[]): Promise<readonly EntryAnswer[]>;
  delete(receipts: readonly string[]): Promise<readonly EntryAnswer[]>;
}

export interface OutgoingMessage {
  readonly body: string;
  readonly attributes: Attributes;
  /** Both for FIFO queues only. */
  readonly groupId: string | null;
  readonly dedupId: string | null;
}

/** Sends to any queue of one region. */
export interface Outbound {
  /** At most `MAX_ENTRIES`; answers in their order. */
  send(queueUrl: string, messages: readonly OutgoingMessage[]): Promise<readonly EntryAnswer[]>;
}

export type PayloadAnswer =
  | { readonly kind: 'found'; readonly bytes: Uint8Array }
  /** There is none, for good. */
  | { readonly kind: 'missing' }
  | { readonly kind: 'too_large' };

/** Payloads in buckets. Throws `store_unavailable` when a later try may work. */
export interface PayloadStore {
  get(pointer: S3Pointer, maxBytes: number, signal: AbortSignal): Promise<PayloadAnswer>;
  put(pointer: S3Pointer, bytes: Uint8Array): Promise<void>;
}

/** Tries of messages that came often, over all gateways. May forget; throws when Redis does not answer. */
export interface AttemptBook {
  /** One more; returns how many there are now. */
  begin(messageId: string): Promise<number>;
  /** It was handed back in order: that try does not count. */
  undo(messageId: string): Promise<void>;
}

/** JSON as every request is read here: within limits, and with each value as it was written. */
export interface JsonReader {
  parse(bytes: Uint8Array): { readonly text: string; readonly value: JsonObject } | PilotlightError;
  /** The text of a member of the JSON object. */
  member(text: string, key: string): string | undefined;
}

/** A job as a message asks for it. */
export interface AskedJob {
  readonly id: string;
  /** As written; null = told by the body. */
  readonly path: ApiPath | (string & {}) | null;
  readonly bodyText: string;
  readonly objective: string | null;
  readonly deadlineEpochMs: number | null;
  /** Goes before the body's fields in errors, like "body.". */
  readonly at: string;
}

/** Validates and routes, in the name of the source's tenant. */
export type ToJob = (asked: AskedJob) => { readonly spec: JobSpec; readonly body: Uint8Array } | PilotlightError;

export type MessageResult =
  /** It is a job now. */
  | 'accepted'
  /** It was a job already. */
  | 'repeated'
  /** It can never run. */
  | 'refused'
  /** Not now: it will be seen again. */
  | 'handed_back';

/** Counts what happens at one source. */
export interface SourceMeter {
  message(result: MessageResult): void;
  /** From its sending to its job. */
  accepted(ageMs: number): void;
  held(messages: number): void;
  result(result: 'sent' | 'pointer' | 'too_large' | 'failed'): void;
  heartbeatFailed(messages: number): void;
}
