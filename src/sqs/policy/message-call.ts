import { PilotlightError } from '../../core/errors.ts';
import { type JsonObject, kindOf } from './json.ts';

/** The bodies that messages come in; a result has the format of its request. */
export const MESSAGE_FORMATS = ['batch_row', 'kubeai', 'llm_d_async'] as const;
export type MessageFormat = (typeof MESSAGE_FORMATS)[number];

/** What a result repeats of its request, whether or not the request can run. */
export interface MessageHead {
  readonly format: MessageFormat;
  /** The requester's own name for it. */
  readonly customId: string | null;
  /** JSON that goes back as it came. */
  readonly metadata: string | null;
  /** Of the message itself; an attribute goes before it. */
  readonly correlationId: string | null;
}

/** The request in a message. */
export interface MessageCall {
  /** As written; null = told by the body. */
  readonly path: string | null;
  readonly body: MessageBody;
  readonly objective: string | null;
  /** Null = the objective's default. */
  readonly deadlineEpochMs: number | null;
}

export type MessageBody =
  /** The value of a member of the message, one step for each level. */
  | { readonly kind: 'member'; readonly at: readonly string[] }
  /** JSON of its own. */
  | { readonly kind: 'text'; readonly text: string; readonly param: string };

/** A message whose format is known. Its request may still be wrong. */
export interface DecodedMessage {
  readonly head: MessageHead;
  readonly call: MessageCall | PilotlightError;
}

export interface MessageTimes {
  /** When the message was sent: durations count from there. */
  readonly sentAtEpochMs: number;
}

const MAX_NAME_CHARACTERS = 512;
const MAX_OBJECTIVE_CHARACTERS = 253;

export function missing(param: string): PilotlightError {
  return new PilotlightError('missing_required_parameter', `Missing required parameter: '${param}'.`, { param });
}

export function wrongType(param: string, wanted: string, value: unknown): PilotlightError {
  const message = `Invalid type for '${param}': expected ${wanted}, but got ${kindOf(value)}.`;
  return new PilotlightError('invalid_type', message, { param });
}

export function wrongValue(param: string, problem: string): PilotlightError {
  return new PilotlightError('invalid_value', `Invalid '${param}': ${problem}.`, { param });
}

/** A name that is an id for its requester, as far as it can be one. */
export function nameIn(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= MAX_NAME_CHARACTERS ? value : null;
}

/** Why `nameIn` refused. */
export function badName(param: string, value: unknown): PilotlightError {
  if (value === undefined) return missing(param);
  if (typeof value !== 'string') return wrongType(param, 'a string', value);
  return wrongValue(param, `must have 1 to ${MAX_NAME_CHARACTERS} characters`);
}

/** The objective that a member names; null = none. */
export function objectiveIn(holder: JsonObject, name: string, param: string): string | null | PilotlightError {
  const value = holder[name] ?? null;
  if (value === null) return null;
  if (typeof value !== 'string') return wrongType(param, 'a string', value);
  if (value !== '' && value.length <= MAX_OBJECTIVE_CHARACTERS) return value;
  return wrongValue(param, `must have 1 to ${MAX_OBJECTIVE_CHARACTERS} characters`);
}
