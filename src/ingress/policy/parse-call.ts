import type { ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type CallFields, callFields } from './call-fields.ts';
import { parseJsonBody } from './json-body.ts';
import { replaceMember } from './json-members.ts';
import { promptText } from './prompt-text.ts';
import { engineResponsesText } from './responses/engine-body.ts';
import { type ResponseWishes, responseWishes } from './responses/wishes.ts';

/** A body that its path accepts. */
export interface ParsedCall {
  readonly path: ApiPath;
  readonly fields: CallFields;
  /** The JSON as received. */
  readonly text: string;
  readonly promptText: () => string;
  /** Null on every path but /v1/responses. */
  readonly wishes: ResponseWishes | null;
}

/** Reads and checks the body of an OpenAI call in full. */
export function parseCall(path: ApiPath, bytes: Uint8Array): ParsedCall | PilotlightError {
  const body = parseJsonBody(bytes);
  if (body instanceof PilotlightError) return body;
  const fields = callFields(path, body.value);
  if (fields instanceof PilotlightError) return fields;
  const wishes = path === '/v1/responses' ? responseWishes(body.value, '') : null;
  if (wishes instanceof PilotlightError) return wishes;
  return { path, fields, text: body.text, promptText: () => promptText(path, body.value), wishes };
}

const utf8 = new TextEncoder();

/**
 * The body as the model server gets it: the bytes as received, unless the server knows the model by another name, or the
 * path has fields that are not for the server.
 */
export function servedBody(call: ServedCall, received: Uint8Array): Uint8Array {
  const { path, text, model, servedModel, stream } = call;
  if (path !== '/v1/responses' && model === servedModel) return received;
  const named = model === servedModel ? text : replaceMember(text, 'model', servedModel);
  return utf8.encode(path === '/v1/responses' ? engineResponsesText(named, stream) : named);
}

interface ServedCall {
  readonly path: ApiPath;
  readonly text: string;
  readonly model: string;
  readonly servedModel: string;
  /** What `stream` is set to; absent = as the caller has it. */
  readonly stream?: boolean;
}
