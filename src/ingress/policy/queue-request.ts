import { PilotlightError } from '../../core/errors.ts';
import type { LiveTicketQuery } from '../../core/live-order.ts';
import type { DeadLetterQuery } from '../../core/queues.ts';
import { parseDuration } from '../../core/units.ts';
import { missing, wrongType, wrongValue } from './fields.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';

/** What the admin listener is asked of queues: /queues/NAMESPACE/NAME/… */

/** Of a request's query; a name that is given twice is a list. */
export type QueryFields = Readonly<Record<string, unknown>>;

const DEFAULT_LIMIT = 100;
const MAX_LIMIT = 500;
/** Of one order: each is a few reads and writes, and its caller waits for all of them. */
const MAX_ORDERED = 100;
const MAX_TEXT_CHARS = 256;
/** The longest `next` of a page: an objective of 253 characters, a time, a job's id of 128. */
const MAX_CURSOR_CHARS = 512;

/** GET …/tickets?objective=&tenant=&limit= */
export function parseTicketQuery(query: QueryFields): LiveTicketQuery | PilotlightError {
  const unknown = unknownField(query, ['objective', 'tenant', 'limit']);
  if (unknown) return unknown;
  const objective = text(query, 'objective');
  const fairnessId = text(query, 'tenant');
  const limit = limitOf(query['limit'], MAX_LIMIT);
  for (const value of [objective, fairnessId, limit]) if (value instanceof PilotlightError) return value;
  return { objective, fairnessId, limit } as LiveTicketQuery;
}

/** GET …/dead?objective=&olderThan=&after=&limit= */
export function parseDeadQuery(query: QueryFields, nowEpochMs: number): DeadLetterQuery | PilotlightError {
  const unknown = unknownField(query, ['objective', 'olderThan', 'after', 'limit']);
  return unknown ?? selectionOf(query, nowEpochMs, MAX_LIMIT);
}

/** Which dead letters an order is about. */
export type DeadSelection =
  | { readonly kind: 'ids'; readonly ids: readonly string[] }
  | { readonly kind: 'page'; readonly query: DeadLetterQuery & { readonly endedBeforeEpochMs: number } };

const ORDER_CURSOR = /^(\d{1,15})@(.+)$/s;

/**
 * The body of POST …/dead/retry and …/dead/purge: `ids`, or one page of those that `objective` and `olderThan` choose; all
 * of them only when it says `all`.
 */
export function parseDeadOrder(body: unknown, nowEpochMs: number): DeadSelection | PilotlightError {
  const fields = body ?? {};
  if (!isJsonObject(fields)) return wrongType('body', 'an object', fields);
  const unknown = unknownField(fields, ['ids', 'objective', 'olderThan', 'all', 'after', 'limit']);
  if (unknown) return unknown;
  if (fields['ids'] !== undefined) return idsOf(fields);
  const all = fields['all'] ?? false;
  if (typeof all !== 'boolean') return wrongType('all', 'a boolean', all);
  if (!all && fields['objective'] === undefined && fields['olderThan'] === undefined) {
    return wrongValue('body', "it names no dead letters: write 'ids', 'objective', 'olderThan', or 'all': true");
  }
  const query = selectionOf(fields, nowEpochMs, MAX_ORDERED);
  if (query instanceof PilotlightError) return query;
  const [, begunAt, after = query.after] = ORDER_CURSOR.exec(query.after ?? '') ?? [];
  const pinnedEpochMs = begunAt === undefined ? nowEpochMs : Number(begunAt);
  const endedBeforeEpochMs = Math.min(pinnedEpochMs, query.endedBeforeEpochMs ?? pinnedEpochMs);
  return { kind: 'page', query: { ...query, after, endedBeforeEpochMs } };
}

/**
 * The `next` of an order's page. It keeps what the first page could see: jobs that are retried and fail again at once are
 * dead letters too, and whoever retries page after page would never come to an end.
 */
export function orderCursor(next: string | null, endedBeforeEpochMs: number): string | null {
  return next === null ? null : `${endedBeforeEpochMs}@${next}`;
}

function idsOf(fields: JsonObject): DeadSelection | PilotlightError {
  const { ids } = fields;
  if (Object.keys(fields).length > 1) return wrongValue('ids', 'nothing else can be given with it');
  if (!Array.isArray(ids)) return wrongType('ids', 'an array of strings', ids);
  const wrong = ids.findIndex((id) => typeof id !== 'string' || id.length > MAX_TEXT_CHARS);
  if (wrong >= 0) return wrongType(`ids[${wrong}]`, `a string of at most ${MAX_TEXT_CHARS} characters`, ids[wrong]);
  if (ids.length === 0) return missing('ids[0]');
  if (ids.length > MAX_ORDERED) return wrongValue('ids', `at most ${MAX_ORDERED} at one time`);
  return { kind: 'ids', ids: [...new Set(ids as string[])] };
}

function selectionOf(fields: QueryFields, nowEpochMs: number, maxLimit: number): DeadLetterQuery | PilotlightError {
  const objective = text(fields, 'objective');
  const after = text(fields, 'after', MAX_CURSOR_CHARS);
  const limit = limitOf(fields['limit'], maxLimit);
  const age = ageOf(fields['olderThan']);
  for (const value of [objective, after, limit, age]) if (value instanceof PilotlightError) return value;
  const endedBeforeEpochMs = age === null ? null : nowEpochMs - (age as number);
  return { objective, after, limit, endedBeforeEpochMs } as DeadLetterQuery;
}

function text(fields: QueryFields, name: string, maxChars = MAX_TEXT_CHARS): string | null | PilotlightError {
  const value = fields[name];
  if (value === undefined) return null;
  if (typeof value !== 'string') return wrongType(name, 'one string', value);
  if (value === '') return wrongValue(name, 'must not be empty');
  return value.length > maxChars ? wrongValue(name, `must have at most ${maxChars} characters`) : value;
}

/** A number, or its digits in a query. */
function limitOf(value: unknown, max: number): number | PilotlightError {
  if (value === undefined) return Math.min(DEFAULT_LIMIT, max);
  const limit = typeof value === 'string' && /^\d{1,6}$/.test(value) ? Number(value) : value;
  if (typeof limit !== 'number' || !Number.isInteger(limit)) return wrongType('limit', 'an integer', value);
  return limit >= 1 && limit <= max ? limit : wrongValue('limit', `must be from 1 to ${max}`);
}

function ageOf(value: unknown): number | null | PilotlightError {
  if (value === undefined) return null;
  if (typeof value !== 'string') return wrongType('olderThan', 'a duration like "2h"', value);
  const parsed = parseDuration(value.slice(0, 64));
  return parsed.ok ? parsed.value : wrongValue('olderThan', parsed.problem);
}

function unknownField(fields: QueryFields, known: readonly string[]): PilotlightError | null {
  const unknown = Object.keys(fields).find((name) => !known.includes(name));
  if (unknown === undefined) return null;
  return wrongValue(
    unknown.slice(0, 64),
    `there is no such field; there are ${known.map((name) => `'${name}'`).join(', ')}`,
  );
}
