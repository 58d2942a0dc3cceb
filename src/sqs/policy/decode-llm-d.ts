import { PilotlightError } from '../../core/errors.ts';
import { epochSeconds } from './decode-row.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import {
  badName,
  type DecodedMessage,
  type MessageBody,
  type MessageCall,
  missing,
  nameIn,
  objectiveIn,
  wrongType,
  wrongValue,
} from './message-call.ts';

/** Names of the objective's header, the newer one first. */
const OBJECTIVE_HEADERS = ['x-llm-d-inference-objective', 'x-gateway-inference-objective'];

/** The wrapped form has its request in `data`. */
function isWrapped(value: JsonObject): boolean {
  return isJsonObject(value.data) && (isJsonObject(value.internal) || value.request_kind !== undefined);
}

export function isLlmD(value: JsonObject): boolean {
  return value.payload !== undefined || isWrapped(value);
}

/**
 * A request of llm-d-async (https://github.com/llm-d-incubation/llm-d-async): `{id, deadline, payload, metadata?, headers?,
 * endpoint?}`, or that in the `data` of `{internal, request_kind, data}`. The payload is the OpenAI request as an object, as its
 * JSON text, or that text in base64, as older versions send it. The deadline is in Unix seconds, as a number or as text.
 */
export function decodeLlmD(value: JsonObject): DecodedMessage {
  const wrapped = isWrapped(value);
  const request = wrapped ? (value.data as JsonObject) : value;
  const internal = wrapped && isJsonObject(value.internal) ? value.internal : {};
  const customId = nameIn(request.id);
  const correlationId = nameIn(internal.transport_correlation_id);
  const head = { format: 'llm_d_async', customId, metadata: null, correlationId } as const;
  const at = wrapped ? ['data'] : [];
  return { head, call: customId === null ? badName('id', request.id) : llmDCall(request, at) };
}

function llmDCall(request: JsonObject, at: readonly string[]): MessageCall | PilotlightError {
  const body = payloadOf(request.payload, at);
  if (body instanceof PilotlightError) return body;
  const path = pathOf(request.endpoint ?? null);
  if (path instanceof PilotlightError) return path;
  const objective = objectiveOf(request.headers ?? null);
  if (objective instanceof PilotlightError) return objective;
  const deadlineEpochMs = deadlineOf(request.deadline ?? null);
  if (deadlineEpochMs instanceof PilotlightError) return deadlineEpochMs;
  return { path, body, objective, deadlineEpochMs };
}

function payloadOf(payload: unknown, at: readonly string[]): MessageBody | PilotlightError {
  if (payload === undefined) return missing('payload');
  if (isJsonObject(payload)) return { kind: 'member', at: [...at, 'payload'] };
  if (typeof payload !== 'string') return wrongType('payload', 'an object, or its JSON in base64', payload);
  if (payload.trimStart().startsWith('{')) return { kind: 'text', text: payload, param: 'payload' };
  const text = fromBase64(payload);
  return text === null
    ? wrongValue('payload', 'is neither an object, nor JSON, nor base64')
    : { kind: 'text', text, param: 'payload' };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function fromBase64(text: string): string | null {
  try {
    return utf8.decode(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** The endpoint may name the path, with or without its slash; another server is not for the requester to choose. */
function pathOf(endpoint: unknown): string | null | PilotlightError {
  if (endpoint === null || endpoint === '') return null;
  if (typeof endpoint !== 'string') return wrongType('endpoint', 'a string', endpoint);
  if (endpoint.includes('://')) return wrongValue('endpoint', 'must be a path like "/v1/chat/completions", not a URL');
  return endpoint.startsWith('/') ? endpoint : `/${endpoint}`;
}

function objectiveOf(headers: unknown): string | null | PilotlightError {
  if (headers === null) return null;
  if (!isJsonObject(headers)) return wrongType('headers', 'an object', headers);
  const byName = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const name = OBJECTIVE_HEADERS.find((header) => byName.has(header));
  return name === undefined ? null : objectiveIn({ [name]: byName.get(name) }, name, `headers.${name}`);
}

function deadlineOf(value: unknown): number | null | PilotlightError {
  if (value === null || value === '') return null;
  if (typeof value === 'number') return epochSeconds(value);
  if (typeof value !== 'string') return wrongType('deadline', 'Unix seconds', value);
  return /^\d{1,15}(\.\d{1,9})?$/.test(value)
    ? epochSeconds(Number(value))
    : wrongValue('deadline', 'is not a time in Unix seconds');
}
