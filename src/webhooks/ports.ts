import type { AttemptClass, AttemptResult, DeliveryRecord } from './policy/delivery.ts';
import type { EndpointRecord } from './policy/endpoint.ts';

export interface EndpointChange<T> {
  readonly put?: EndpointRecord;
  /** Id of the endpoint that goes. */
  readonly remove?: string;
  readonly answer: T;
}

/** The endpoints of tenants. Throws `store_unavailable` or `queue_unavailable` when they cannot be reached. */
export interface EndpointStore {
  /** Oldest first. May be a moment behind a change made by another gateway. */
  all(tenant: string): Promise<readonly EndpointRecord[]>;
  /** Changes of one tenant happen one after the other, over all gateways. What `decide` throws changes nothing. */
  change<T>(
    tenant: string,
    decide: (records: readonly EndpointRecord[]) => EndpointChange<T> | Promise<EndpointChange<T>>,
  ): Promise<T>;
}

/** What is known of deliveries; the log of an endpoint keeps the newest 100 of them for a week. Failures of Redis throw as they come. */
export interface DeliveryStore {
  /** `known`: there is one of that id already; that one stays. `full`: too many wait for this endpoint; nothing is kept. */
  create(record: DeliveryRecord): Promise<'created' | 'known' | 'full'>;
  get(id: string): Promise<DeliveryRecord | null>;
  save(record: DeliveryRecord): Promise<void>;
  /** Deliveries that should have been tried by then, some at a time: each call begins where the last one ended. */
  overdue(beforeEpochMs: number): Promise<readonly DeliveryPointer[]>;
  /** Newest first, at most 100. */
  log(endpointId: string): Promise<readonly DeliveryRecord[]>;
  /** The endpoint is gone, and its log with it. */
  forget(endpointId: string): Promise<void>;
}

/** Which round of which delivery is to be worked on. */
export interface DeliveryPointer {
  readonly id: string;
  readonly round: number;
}

export type DeliveryVerdict =
  | { readonly kind: 'done' }
  /** Not before so many milliseconds. */
  | { readonly kind: 'again'; readonly delayMs: number };

export type DeliveryHandler = (pointer: DeliveryPointer) => Promise<DeliveryVerdict>;

/** Deliveries that are to be worked on, durable, shared by all gateways: each pointer is with one handler at a time. */
export interface DeliveryQueue {
  /** At once. A pointer that is there already stays as it is. */
  push(pointer: DeliveryPointer): Promise<void>;
  /** Hands pointers out, at most `concurrency` at a time; a handler that throws gets its pointer again a little later. */
  work(concurrency: number, handler: DeliveryHandler): void;
  /** Takes no more; resolves when the handlers have ended. */
  close(): Promise<void>;
}

/** What is sent. */
export interface Parcel {
  readonly url: string;
  /** The same for every attempt and every gateway: the receiver's key against duplicates. */
  readonly messageId: string;
  readonly payload: string;
  /** Of this attempt. */
  readonly sentAtEpochMs: number;
  /** One signature each. */
  readonly secrets: readonly string[];
}

/** Sends over HTTP to where it may. */
export interface Courier {
  /** One attempt, within its own timeout. Never throws, never follows a redirect, keeps nothing of the answer's body. */
  send(parcel: Parcel, signal: AbortSignal): Promise<AttemptResult>;
  /** Why this URL may not be called, as far as can be told now; null = it may. An unknown host is none of it. */
  refusal(url: string, signal: AbortSignal): Promise<string | null>;
}

/** Ids and secrets of webhooks. */
export interface WebhookIds {
  /** "we_…" */
  endpoint(): string;
  /** "whsec_…": 32 bytes of chance. */
  secret(): string;
  /** Unique and short: for what only a test notice is about. */
  token(): string;
  /** "whd_…", the same for the same two. */
  delivery(endpointId: string, noticeId: string): string;
}

/** Counts what happens. */
export interface WebhookMeter {
  attempted(result: AttemptClass, durationMs: number): void;
  /** `dropped`: too many waited for its endpoint. `ageMs`: from the notice to the end. */
  ended(result: 'delivered' | 'failed' | 'dropped', ageMs: number): void;
}

export const silentWebhookMeter: WebhookMeter = {
  attempted: () => undefined,
  ended: () => undefined,
};
