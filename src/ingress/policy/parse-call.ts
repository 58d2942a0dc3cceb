import type { ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type CallFields, callFields } from './call-fields.ts';
import { type CallWishes, callWishes, EXTENSION } from './call-wishes.ts';
import { parseJsonBody } from './json-body.ts';
import { editMembers, replaceMember } from './json-members.ts';
import { promptText } from './prompt-text.ts';
import { engineResponsesText } from './responses/engine-body.ts';

/** A body that its path accepts. */
export interface ParsedCall {
  readonly path: ApiPath;
  readonly fields: CallFields;
  /** The JSON as received. */
  readonly text: string;
  readonly promptText: () => string;
  readonly wishes: CallWishes;
}

/** Reads and checks the body of an OpenAI call in full. */
export function parseCall(path: ApiPath, bytes: Uint8Array): ParsedCall | PilotlightError {
  const body = parseJsonBody(bytes);
  if (body instanceof PilotlightError) return body;
  const fields = callFields(path, body.value);
  if (fields instanceof PilotlightError) return fields;
  const wishes = callWishes(path, body.value);
  if (wishes instanceof PilotlightError) return wishes;
  return { path, fields, text: body.text, promptText: () => promptText(path, body.value), wishes };
}

const utf8 = new TextEncoder();

/**
 * The body as the model server gets it: the bytes as received, unless the server knows the model by another name, or the
 * path has fields that are not for the server.
 */
export function servedBody(call: ServedCall, received: Uint8Array): Uint8Array {
  const { path, text, model, servedModel, hasExtension = false, stream } = call;
  if (path !== '/v1/responses' && model === servedModel && !hasExtension) return received;
  const named = model === servedModel ? text : replaceMember(text, 'model', servedModel);
  if (path === '/v1/responses') return utf8.encode(engineResponsesText(named, stream));
  return utf8.encode(hasExtension ? editMembers(named, { [EXTENSION]: undefined }) : named);
}

interface ServedCall {
  readonly path: ApiPath;
  readonly text: string;
  readonly model: string;
  readonly servedModel: string;
  readonly hasExtension?: boolean | undefined;
  /** What `stream` is set to; absent = as the caller has it. */
  readonly stream?: boolean;
}
