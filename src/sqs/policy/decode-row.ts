import { PilotlightError } from '../../core/errors.ts';
import { parseDuration } from '../../core/units.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import {
  badName,
  type DecodedMessage,
  type MessageCall,
  type MessageTimes,
  missing,
  nameIn,
  objectiveIn,
  wrongType,
  wrongValue,
} from './message-call.ts';

/** Largest time that a Date can hold, in Unix seconds. */
const MAX_EPOCH_S = 8_640_000_000_000;

export function isRow(value: JsonObject): boolean {
  return value.custom_id !== undefined || value.url !== undefined || value.method !== undefined;
}

/**
 * A line of a batch file (https://platform.openai.com/docs/api-reference/batch/request-input), with `deadline` and
 * `objective` of ours: `{custom_id, method?, url, body, deadline?, objective?, pilotlight?: {objective?}}`. A deadline is a
 * duration from the sending of the message ("2h"), or Unix seconds.
 */
export function decodeRow(value: JsonObject, times: MessageTimes): DecodedMessage {
  const customId = nameIn(value.custom_id);
  const head = { format: 'batch_row', customId, metadata: null, correlationId: null } as const;
  return { head, call: customId === null ? badName('custom_id', value.custom_id) : rowCall(value, times) };
}

function rowCall(value: JsonObject, times: MessageTimes): MessageCall | PilotlightError {
  const { method = 'POST', url, body } = value;
  if (method !== 'POST') return wrongValue('method', 'only "POST" is possible');
  if (url === undefined) return missing('url');
  if (typeof url !== 'string') return wrongType('url', 'a string', url);
  if (body === undefined) return missing('body');
  if (!isJsonObject(body)) return wrongType('body', 'an object (the OpenAI request)', body);
  const objective = rowObjective(value);
  if (objective instanceof PilotlightError) return objective;
  const deadlineEpochMs = rowDeadline(value.deadline ?? null, times);
  if (deadlineEpochMs instanceof PilotlightError) return deadlineEpochMs;
  return { path: url, body: { kind: 'member', at: ['body'] }, objective, deadlineEpochMs };
}

function rowObjective(value: JsonObject): string | null | PilotlightError {
  const own = objectiveIn(value, 'objective', 'objective');
  if (own !== null) return own;
  const extension = value.pilotlight ?? null;
  if (extension === null) return null;
  if (!isJsonObject(extension)) return wrongType('pilotlight', 'an object', extension);
  return objectiveIn(extension, 'objective', 'pilotlight.objective');
}

function rowDeadline(value: unknown, { sentAtEpochMs }: MessageTimes): number | null | PilotlightError {
  if (value === null) return null;
  if (typeof value === 'number') return epochSeconds(value);
  if (typeof value !== 'string') return wrongType('deadline', 'a duration like "2h", or Unix seconds', value);
  const parsed = parseDuration(value);
  if (!parsed.ok) return wrongValue('deadline', parsed.problem);
  return parsed.value > 0 ? sentAtEpochMs + parsed.value : wrongValue('deadline', 'must be longer than nothing');
}

/** Unix seconds as milliseconds. */
export function epochSeconds(seconds: number): number | PilotlightError {
  if (seconds > 0 && seconds <= MAX_EPOCH_S) return Math.round(seconds * 1_000);
  return wrongValue('deadline', 'is not a time in Unix seconds');
}
