import { API_PATHS, type ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { type CallFields, callFields, detectPath } from './call-fields.ts';
import { type CallWishes, callWishes } from './call-wishes.ts';
import { missing, optionalBoolean, optionalString, shown, wrongType, wrongValue } from './fields.ts';
import { isJsonObject, type JsonBody, type JsonObject, parseJsonBody } from './json-body.ts';
import { memberText } from './json-members.ts';
import { shortest, wishedDuration } from './wished-duration.ts';

/** A job as asked for. */
export interface JobSubmission {
  readonly path: ApiPath;
  readonly fields: CallFields;
  /** The OpenAI body as the caller wrote it. */
  readonly bodyText: string;
  readonly objective: string | null;
  /** Where it was named, for errors; absent = "objective". */
  readonly objectiveParam?: string;
  /** From acceptance; null = the objective's default. */
  readonly deadlineMs: number | null;
  /** Its end is told to the tenant's webhooks. */
  readonly webhook: boolean;
  /** "body." when the OpenAI body is wrapped; goes before its fields' names in errors. */
  readonly at: string;
}

const WRAPPER_FIELDS = ['path', 'body', 'objective', 'deadline', 'webhook'];

/**
 * A job from the body of POST /v1/jobs: `{path?, body, objective?, deadline?, webhook?}`, or a bare OpenAI body whose path is told
 * by its `messages`, `input` or `prompt`.
 */
export function parseJobSubmission(bytes: Uint8Array): JobSubmission | PilotlightError {
  const parsed = parseJsonBody(bytes);
  if (parsed instanceof PilotlightError) return parsed;
  return isJsonObject(parsed.value.body) ? wrappedJob(parsed, parsed.value.body) : bareJob(parsed);
}

/** A job from a call on an OpenAI path, sent with `Prefer: respond-async`. */
export function jobFromCall(
  path: ApiPath,
  fields: CallFields,
  text: string,
  { objective, objectiveParam, deadlineMs, ttlMs }: CallWishes,
): JobSubmission | PilotlightError {
  const refused = refuseStream(fields, '');
  // Stored work has one clock, its deadline.
  const times = { deadlineMs: shortest([deadlineMs, ttlMs]) };
  return refused ?? { path, fields, bodyText: text, objective, objectiveParam, ...times, webhook: false, at: '' };
}

function bareJob({ text, value }: JsonBody): JobSubmission | PilotlightError {
  if (value.body !== undefined) return wrongType('body', 'an object (the OpenAI request)', value.body);
  const path = detectPath(value);
  if (path === undefined) return missing('body');
  const fields = callFields(path, value);
  if (fields instanceof PilotlightError) return fields;
  const wishes = callWishes(path, value);
  return wishes instanceof PilotlightError ? wishes : jobFromCall(path, fields, text, wishes);
}

function wrappedJob({ text, value }: JsonBody, body: JsonObject): JobSubmission | PilotlightError {
  const stray = Object.keys(value).find((field) => !WRAPPER_FIELDS.includes(field));
  if (stray !== undefined) {
    return wrongValue(shown(stray), `a job has the fields ${WRAPPER_FIELDS.join(', ')} and no others`);
  }
  const path = jobPath(value.path, body);
  if (path instanceof PilotlightError) return path;
  const objective = optionalString(value, 'objective', 'objective');
  if (objective instanceof PilotlightError) return objective;
  const deadlineMs = wishedDuration(value, 'deadline', 'deadline');
  if (deadlineMs instanceof PilotlightError) return deadlineMs;
  const webhook = optionalBoolean(value, 'webhook', 'webhook');
  if (webhook instanceof PilotlightError) return webhook;
  const fields = callFields(path, body, 'body.');
  if (fields instanceof PilotlightError) return fields;
  const refused = refuseStream(fields, 'body.');
  if (refused) return refused;
  return { path, fields, bodyText: memberText(text, 'body') ?? '{}', objective, deadlineMs, webhook, at: 'body.' };
}

function jobPath(value: unknown, body: JsonObject): ApiPath | PilotlightError {
  if (value === undefined) return detectPath(body) ?? missing('path');
  return API_PATHS.find((path) => path === value) ?? wrongValue('path', `must be one of ${API_PATHS.join(', ')}`);
}

function refuseStream(fields: CallFields, at: string): PilotlightError | undefined {
  if (!fields.stream) return undefined;
  return wrongValue(`${at}stream`, 'a job cannot be streamed; leave "stream" out, or call without "respond-async"');
}
