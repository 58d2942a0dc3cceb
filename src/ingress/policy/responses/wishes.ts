import { PilotlightError } from '../../../core/errors.ts';
import { optionalString, shown, wrongType, wrongValue } from '../fields.ts';
import { isJsonObject, type JsonObject } from '../json-body.ts';
import { wishedDeadline } from '../wished-deadline.ts';

/** What a body of POST /v1/responses says about how it is to be run; none of it reaches the model server. */
export interface ResponseWishes {
  readonly background: boolean;
  readonly objective: string | null;
  /** Where the objective was named, for errors. */
  readonly objectiveParam: string;
  /** From acceptance; null = the objective's default. */
  readonly deadlineMs: number | null;
}

const EXTENSION = 'pilotlight';
const EXTENSION_FIELDS = ['objective', 'deadline'];
/** Metadata works in every client; this key is read by batches alike. */
const METADATA_KEY = 'pilotlight-objective';

/** Reads `background`, `pilotlight` and `metadata` of a body that has passed its other checks. */
export function responseWishes(body: JsonObject, at: string): ResponseWishes | PilotlightError {
  const background = body.background === true;
  const extension = body[EXTENSION] ?? {};
  if (!isJsonObject(extension)) return wrongType(`${at}${EXTENSION}`, 'an object', extension);
  const stray = Object.keys(extension).find((field) => !EXTENSION_FIELDS.includes(field));
  if (stray !== undefined) {
    const known = `it has the fields ${EXTENSION_FIELDS.join(', ')} and no others`;
    return wrongValue(`${at}${EXTENSION}.${shown(stray)}`, known);
  }
  const named = optionalString(extension, 'objective', `${at}${EXTENSION}.objective`);
  if (named instanceof PilotlightError) return named;
  const deadlineMs = wishedDeadline(extension, `${at}${EXTENSION}.deadline`);
  if (deadlineMs instanceof PilotlightError) return deadlineMs;
  if (deadlineMs !== null && !background) {
    return wrongValue(`${at}${EXTENSION}.deadline`, 'only background responses have one; add "background": true');
  }
  const tagged = isJsonObject(body.metadata) ? body.metadata[METADATA_KEY] : undefined;
  if (named !== null || typeof tagged !== 'string') {
    return { background, objective: named, objectiveParam: `${at}${EXTENSION}.objective`, deadlineMs };
  }
  return { background, objective: tagged, objectiveParam: `${at}metadata.${METADATA_KEY}`, deadlineMs };
}
