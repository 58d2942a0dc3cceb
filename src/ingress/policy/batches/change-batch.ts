import type { BatchChange } from '../../../core/batches.ts';
import { PilotlightError } from '../../../core/errors.ts';
import { missing, optionalString, requiredString, wrongValue } from '../fields.ts';
import type { JsonObject } from '../json-body.ts';
import { parseMoment } from './moment.ts';

const MAX_REASON_CHARACTERS = 512;

/** The body of POST /v1/batches/{id}/pause: `{reason?}`. */
export function parsePause(body: JsonObject): BatchChange {
  const reason = optionalString(body, 'reason', 'reason');
  if (reason instanceof PilotlightError) throw reason;
  if (reason !== null && reason.length > MAX_REASON_CHARACTERS) {
    throw wrongValue('reason', `must have at most ${MAX_REASON_CHARACTERS} characters`);
  }
  return { kind: 'pause', reason };
}

/** The body of POST /v1/batches/{id}/priority: `{objective}`. */
export function parsePriority(body: JsonObject): BatchChange {
  const objective = requiredString(body, 'objective', 'objective');
  if (objective instanceof PilotlightError) throw objective;
  return { kind: 'objective', objective };
}

/** The body of POST /v1/batches/{id}/extend: `{expires_at}`, a moment or a time from now. */
export function parseExtension(body: JsonObject, nowEpochMs: number): BatchChange {
  if (body.expires_at === undefined) throw missing('expires_at');
  return { kind: 'extend', expiresAtEpochMs: parseMoment(body.expires_at, 'expires_at', nowEpochMs) };
}
