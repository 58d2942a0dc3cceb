import type { ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type CallFields, callFields } from './call-fields.ts';
import { parseJsonBody } from './json-body.ts';
import { replaceMember } from './json-members.ts';
import { promptText } from './prompt-text.ts';

/** A body that its path accepts. */
export interface ParsedCall {
  readonly path: ApiPath;
  readonly fields: CallFields;
  /** The JSON as received. */
  readonly text: string;
  readonly promptText: () => string;
}

/** Reads and checks the body of an OpenAI call in full. */
export function parseCall(path: ApiPath, bytes: Uint8Array): ParsedCall | PilotlightError {
  const body = parseJsonBody(bytes);
  if (body instanceof PilotlightError) return body;
  const fields = callFields(path, body.value);
  if (fields instanceof PilotlightError) return fields;
  return { path, fields, text: body.text, promptText: () => promptText(path, body.value) };
}

const utf8 = new TextEncoder();

/** The body as the model server gets it: the bytes as received, unless the server knows the model by another name. */
export function servedBody(received: Uint8Array, text: string, model: string, servedModel: string): Uint8Array {
  return model === servedModel ? received : utf8.encode(replaceMember(text, 'model', servedModel));
}
