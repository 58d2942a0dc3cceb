import type { NoticeType, WebhookEndpoint, WebhookEndpointFields, WebhookWithSecret } from '../../core/notices.ts';

/** One secret of an endpoint. */
export interface SigningSecret {
  /** "whsec_" and base64. Never logged, never listed. */
  readonly secret: string;
  /** Signs until then; null = the present one. */
  readonly validUntilEpochMs: number | null;
}

/** An endpoint as it is stored. */
export interface EndpointRecord {
  readonly id: string;
  readonly tenant: string;
  readonly name: string;
  readonly url: string;
  readonly eventTypes: readonly NoticeType[];
  readonly createdAtEpochMs: number;
  readonly updatedAtEpochMs: number;
  readonly enabled: boolean;
  /** Newest first; the first is the present one. */
  readonly secrets: readonly SigningSecret[];
}

/** After a rotation the old secret signs beside the new one for so long. */
export const OLD_SECRET_MS = 86_400_000;
/** Whoever rotates more often within a day loses the oldest: every signature makes the header longer. */
const MAX_SECRETS = 4;
const HINT_CHARACTERS = 4;

export interface NewEndpoint extends WebhookEndpointFields {
  readonly id: string;
  readonly tenant: string;
  readonly secret: string;
}

export function newEndpoint({ secret, ...fields }: NewEndpoint, nowEpochMs: number): EndpointRecord {
  return {
    ...fields,
    createdAtEpochMs: nowEpochMs,
    updatedAtEpochMs: nowEpochMs,
    enabled: true,
    secrets: [{ secret, validUntilEpochMs: null }],
  };
}

/** Also switches an endpoint on again that was switched off by a 410. */
export function changed(
  record: EndpointRecord,
  fields: Partial<WebhookEndpointFields>,
  nowEpochMs: number,
): EndpointRecord {
  return { ...record, ...fields, enabled: true, updatedAtEpochMs: nowEpochMs };
}

export function rotated(record: EndpointRecord, secret: string, nowEpochMs: number): EndpointRecord {
  const old = validSecrets(record, nowEpochMs).map((known) => ({
    secret: known.secret,
    validUntilEpochMs: known.validUntilEpochMs ?? nowEpochMs + OLD_SECRET_MS,
  }));
  const secrets = [{ secret, validUntilEpochMs: null }, ...old].slice(0, MAX_SECRETS);
  return { ...record, secrets, updatedAtEpochMs: nowEpochMs };
}

/** Those that sign now, the present one first. */
export function validSecrets({ secrets }: EndpointRecord, nowEpochMs: number): readonly SigningSecret[] {
  return secrets.filter(({ validUntilEpochMs }) => validUntilEpochMs === null || validUntilEpochMs > nowEpochMs);
}

/** As its owner may see it: without secrets. */
export function shownEndpoint(record: EndpointRecord): WebhookEndpoint {
  const { id, tenant, name, url, eventTypes, createdAtEpochMs, updatedAtEpochMs, enabled } = record;
  const secretHint = presentSecret(record).slice(-HINT_CHARACTERS);
  return { id, tenant, name, url, eventTypes, createdAtEpochMs, updatedAtEpochMs, enabled, secretHint };
}

export function withSecret(record: EndpointRecord): WebhookWithSecret {
  return { endpoint: shownEndpoint(record), signingSecret: presentSecret(record) };
}

function presentSecret({ secrets }: EndpointRecord): string {
  return secrets[0]?.secret ?? '';
}
