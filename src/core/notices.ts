/**
 * News that leave Pilotlight: what ended, for whom. Written in the same step as the end itself (outbox), delivered at least
 * once; receivers recognise a repetition by `id`.
 */
export const NOTICE_TYPES = [
  'batch.completed',
  'batch.failed',
  'batch.expired',
  'batch.cancelled',
  'response.completed',
  'response.failed',
  'response.cancelled',
  'response.incomplete',
  'pilotlight.job.ended',
] as const;
export type NoticeType = (typeof NOTICE_TYPES)[number];

export interface Notice {
  /** "evt_…", the same for every repetition: derived from what ended. */
  readonly id: string;
  readonly type: NoticeType;
  readonly tenant: string;
  readonly createdAtEpochMs: number;
  /** Of the batch, response or job; the receiver asks for it. */
  readonly objectId: string;
}

/** Takes news in. Resolves once they are durable; repeating is harmless. */
export interface NoticeSink {
  publish(notice: Notice): Promise<void>;
}

/** Where a webhook goes. */
export interface WebhookEndpoint {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly url: string;
  readonly eventTypes: readonly NoticeType[];
  readonly createdAtEpochMs: number;
  readonly updatedAtEpochMs: number;
  /** Last characters of the secret, to recognise it by. */
  readonly secretHint: string;
  /** False after the receiver answered 410, until it is updated. */
  readonly enabled: boolean;
}

export interface WebhookDelivery {
  readonly id: string;
  readonly endpointId: string;
  readonly notice: Notice;
  readonly status: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  readonly lastAttemptAtEpochMs: number | null;
  readonly nextAttemptAtEpochMs: number | null;
  /** Of the last attempt: HTTP status, or why there was none. Never the body. */
  readonly lastResult: string | null;
}

export interface WebhookEndpointFields {
  readonly name: string;
  readonly url: string;
  readonly eventTypes: readonly NoticeType[];
}

/** An endpoint with the secret that is shown once. */
export interface WebhookWithSecret {
  readonly endpoint: WebhookEndpoint;
  /** "whsec_…" */
  readonly signingSecret: string;
}

/** Refusals are thrown as PilotlightError; another tenant's endpoint is `webhook_not_found`. */
export interface WebhookService {
  create(tenant: string, fields: WebhookEndpointFields): Promise<WebhookWithSecret>;
  list(tenant: string): Promise<readonly WebhookEndpoint[]>;
  get(id: string, tenant: string): Promise<WebhookEndpoint>;
  update(id: string, tenant: string, fields: Partial<WebhookEndpointFields>): Promise<WebhookEndpoint>;
  delete(id: string, tenant: string): Promise<void>;
  /** The old secret signs beside the new one for a day. */
  rotateSecret(id: string, tenant: string): Promise<WebhookWithSecret>;
  /** Sends a made-up notice now and tells how it went. */
  test(id: string, tenant: string, type: NoticeType): Promise<WebhookDelivery>;
  /** Newest first, at most 100. */
  deliveries(id: string, tenant: string): Promise<readonly WebhookDelivery[]>;
  redeliver(id: string, tenant: string, deliveryId: string): Promise<WebhookDelivery>;
}
