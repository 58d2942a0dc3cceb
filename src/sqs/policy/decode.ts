import { PilotlightError } from '../../core/errors.ts';
import { decodeKubeAi, isKubeAi } from './decode-kubeai.ts';
import { decodeLlmD, isLlmD } from './decode-llm-d.ts';
import { decodeRow, isRow } from './decode-row.ts';
import type { JsonObject } from './json.ts';
import type { DecodedMessage, MessageHead, MessageTimes } from './message-call.ts';

/** Of a message that is nothing we know: errors about it are told as errors about rows are. */
export const UNKNOWN_HEAD: MessageHead = { format: 'batch_row', customId: null, metadata: null, correlationId: null };

/** The request in the JSON of a message, in whichever of the formats it is written. */
export function decodeMessage(value: JsonObject, times: MessageTimes): DecodedMessage {
  if (isRow(value)) return decodeRow(value, times);
  if (isLlmD(value)) return decodeLlmD(value);
  if (isKubeAi(value)) return decodeKubeAi(value);
  const message =
    'The message is in none of the known formats: a batch row {custom_id, url, body}, {path, body, metadata}, or {id, deadline, payload}.';
  return { head: UNKNOWN_HEAD, call: new PilotlightError('invalid_value', message, { param: 'body' }) };
}
