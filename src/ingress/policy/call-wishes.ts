import type { ApiPath } from '../../core/call.ts';
import { PilotlightError } from '../../core/errors.ts';
import { optionalString, shown, wrongType, wrongValue } from './fields.ts';
import { isJsonObject, type JsonObject } from './json-body.ts';
import { wishedDuration } from './wished-duration.ts';

/** What the body of a call says about how it is to be run; none of it reaches the model server. */
export interface CallWishes {
  /** Of /v1/responses alone. */
  readonly background: boolean;
  readonly objective: string | null;
  /** Where the objective was named, for errors. */
  readonly objectiveParam: string;
  /** From now; null = the objective's default for stored work, none for a call that is held. */
  readonly deadlineMs: number | null;
  /** Longest wait for a slot; the objective's own limit holds beside it. Null = that limit alone. */
  readonly ttlMs: number | null;
}

/** The member of a body that is ours. */
export const EXTENSION = 'pilotlight';
const EXTENSION_FIELDS = ['objective', 'ttl', 'deadline'];
/** Metadata works in every client; this key is read by batches alike. */
const METADATA_KEY = 'pilotlight-objective';

/** Reads `pilotlight`, and on /v1/responses `background` and `metadata`, of a body that has passed its other checks. */
export function callWishes(path: ApiPath, body: JsonObject, at = ''): CallWishes | PilotlightError {
  const background = path === '/v1/responses' && body.background === true;
  const extension = body[EXTENSION] ?? {};
  if (!isJsonObject(extension)) return wrongType(`${at}${EXTENSION}`, 'an object', extension);
  const stray = Object.keys(extension).find((field) => !EXTENSION_FIELDS.includes(field));
  if (stray !== undefined) {
    const known = `it has the fields ${EXTENSION_FIELDS.join(', ')} and no others`;
    return wrongValue(`${at}${EXTENSION}.${shown(stray)}`, known);
  }
  const named = optionalString(extension, 'objective', `${at}${EXTENSION}.objective`);
  if (named instanceof PilotlightError) return named;
  const ttlMs = wishedDuration(extension, 'ttl', `${at}${EXTENSION}.ttl`);
  if (ttlMs instanceof PilotlightError) return ttlMs;
  const deadlineMs = wishedDuration(extension, 'deadline', `${at}${EXTENSION}.deadline`);
  if (deadlineMs instanceof PilotlightError) return deadlineMs;
  const times = { deadlineMs, ttlMs };
  const tagged = path === '/v1/responses' && isJsonObject(body.metadata) ? body.metadata[METADATA_KEY] : undefined;
  if (named !== null || typeof tagged !== 'string') {
    return { background, objective: named, objectiveParam: `${at}${EXTENSION}.objective`, ...times };
  }
  return { background, objective: tagged, objectiveParam: `${at}metadata.${METADATA_KEY}`, ...times };
}
