import { PilotlightError } from '../../../core/errors.ts';
import { NOTICE_TYPES, type NoticeType, type WebhookEndpointFields } from '../../../core/notices.ts';
import { missing, optionalString, requiredString, shown, wrongType, wrongValue } from '../fields.ts';
import { type JsonObject, parseJsonBody } from '../json-body.ts';

const FIELDS = ['name', 'url', 'event_types'];
const MAX_NAME_CHARACTERS = 256;

/** The fields of POST /v1/webhook_endpoints. Without a name an endpoint is called by its URL. */
export function newWebhookFields(bytes: Uint8Array): WebhookEndpointFields | PilotlightError {
  const fields = changedWebhookFields(bytes);
  if (fields instanceof PilotlightError) return fields;
  const { url, eventTypes } = fields;
  if (url === undefined) return missing('url');
  if (eventTypes === undefined) return missing('event_types');
  return { url, eventTypes, name: fields.name ?? url.slice(0, MAX_NAME_CHARACTERS) };
}

/** The fields of POST /v1/webhook_endpoints/{id}: those that are to change. */
export function changedWebhookFields(bytes: Uint8Array): Partial<WebhookEndpointFields> | PilotlightError {
  const body = objectOf(bytes, FIELDS);
  if (body instanceof PilotlightError) return body;
  const name = optionalString(body, 'name', 'name');
  if (name instanceof PilotlightError) return name;
  if (name !== null && (name === '' || name.length > MAX_NAME_CHARACTERS)) {
    return wrongValue('name', `must have 1 to ${MAX_NAME_CHARACTERS} characters`);
  }
  const url = body.url == null ? null : requiredString(body, 'url', 'url');
  if (url instanceof PilotlightError) return url;
  const eventTypes = body.event_types == null ? null : eventTypesOf(body.event_types);
  if (eventTypes instanceof PilotlightError) return eventTypes;
  return { ...(name !== null && { name }), ...(url !== null && { url }), ...(eventTypes !== null && { eventTypes }) };
}

/** What POST /v1/webhook_endpoints/{id}/test is to send; null = it does not say. The body may be empty. */
export function testType(bytes: Uint8Array): NoticeType | null | PilotlightError {
  if (bytes.length === 0) return null;
  const body = objectOf(bytes, ['event_type', 'type']);
  if (body instanceof PilotlightError) return body;
  const param = body.event_type == null ? 'type' : 'event_type';
  return body[param] == null ? null : eventType(body[param], param);
}

function objectOf(bytes: Uint8Array, allowed: readonly string[]): JsonObject | PilotlightError {
  const parsed = parseJsonBody(bytes);
  if (parsed instanceof PilotlightError) return parsed;
  const stray = Object.keys(parsed.value).find((field) => !allowed.includes(field));
  if (stray === undefined) return parsed.value;
  return wrongValue(shown(stray), `there is no such field; the fields are ${allowed.join(', ')}`);
}

function eventTypesOf(value: unknown): readonly NoticeType[] | PilotlightError {
  if (!Array.isArray(value)) return wrongType('event_types', 'an array', value);
  if (value.length === 0) return wrongValue('event_types', 'must name at least one type');
  if (value.length > NOTICE_TYPES.length) {
    return wrongValue('event_types', `must have at most ${NOTICE_TYPES.length} entries, as there are no more types`);
  }
  const types = new Set<NoticeType>();
  for (const [index, entry] of (value as readonly unknown[]).entries()) {
    const type = eventType(entry, `event_types[${index}]`);
    if (type instanceof PilotlightError) return type;
    types.add(type);
  }
  return [...types];
}

function eventType(value: unknown, param: string): NoticeType | PilotlightError {
  if (typeof value !== 'string') return wrongType(param, 'a string', value);
  return NOTICE_TYPES.find((type) => type === value) ?? wrongValue(param, `must be one of ${NOTICE_TYPES.join(', ')}`);
}
