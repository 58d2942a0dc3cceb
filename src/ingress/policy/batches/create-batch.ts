import type { BatchRequest, BatchWishes } from '../../../core/batches.ts';
import { API_PATHS } from '../../../core/call.ts';
import { PilotlightError } from '../../../core/errors.ts';
import { parseDuration } from '../../../core/units.ts';
import {
  optionalBoolean,
  optionalCount,
  optionalString,
  requiredString,
  shown,
  wrongType,
  wrongValue,
} from '../fields.ts';
import { expiresAfterMs } from '../files/expires-after.ts';
import { isJsonObject, type JsonObject } from '../json-body.ts';
import { parseMetadata } from './metadata.ts';
import { parseMoment } from './moment.ts';

export interface CreateContext {
  readonly windows: readonly string[];
  readonly nowEpochMs: number;
  /** From the headers of a trusted caller. */
  readonly headerObjective: string | null;
}

export type BatchFields = Omit<BatchRequest, 'identity' | 'repetition'>;

const WISHES = ['objective', 'deadline', 'max_attempts', 'on_invalid_row', 'include_row_meta'];
const OBJECTIVE_KEY = 'pilotlight-objective';
const MAX_ATTEMPTS = 20;

/** The body of POST /v1/batches. Throws for what is wrong with it. */
export function parseBatch(body: JsonObject, context: CreateContext): BatchFields {
  const inputFileId = given(requiredString(body, 'input_file_id', 'input_file_id'));
  const endpoint = given(requiredString(body, 'endpoint', 'endpoint'));
  if (!API_PATHS.some((path) => path === endpoint)) {
    throw wrongValue('endpoint', `must be one of ${API_PATHS.join(', ')}`);
  }
  const completionWindow = given(requiredString(body, 'completion_window', 'completion_window'));
  if (!context.windows.includes(completionWindow)) {
    throw wrongValue('completion_window', `must be one of ${context.windows.join(', ')} (batches.windows)`);
  }
  const metadata = parseMetadata(body.metadata);
  return {
    inputFileId,
    endpoint,
    completionWindow,
    metadata,
    outputExpiresAfterMs: expiresAfterMs(body.output_expires_after, 'output_expires_after'),
    wishes: parseWishes(body.pilotlight, completionWindow, metadata, context),
  };
}

function parseWishes(
  value: unknown,
  window: string,
  metadata: BatchFields['metadata'],
  { nowEpochMs, headerObjective }: CreateContext,
): BatchWishes {
  const wishes = value ?? {};
  if (!isJsonObject(wishes)) throw wrongType('pilotlight', 'an object', value);
  const stray = Object.keys(wishes).find((name) => !WISHES.includes(name));
  if (stray !== undefined) {
    throw wrongValue(`pilotlight.${shown(stray)}`, `"pilotlight" has the fields ${WISHES.join(', ')} and no others`);
  }
  const at = (name: string) => `pilotlight.${name}`;
  const objective = given(optionalString(wishes, 'objective', at('objective')));
  const maxAttempts = optionalCount(wishes, 'max_attempts', at('max_attempts'), { min: 1, max: MAX_ATTEMPTS });
  return {
    objective: objective ?? metadata?.[OBJECTIVE_KEY] ?? headerObjective,
    deadlineEpochMs: deadlineOf(wishes.deadline, window, nowEpochMs),
    maxAttempts: given(maxAttempts),
    onInvalidRow: onInvalidRow(wishes.on_invalid_row),
    includeRowMeta: given(optionalBoolean(wishes, 'include_row_meta', at('include_row_meta'))),
  };
}

function deadlineOf(value: unknown, window: string, nowEpochMs: number): number | null {
  if (value === undefined || value === null) return null;
  const param = 'pilotlight.deadline';
  const deadlineEpochMs = parseMoment(value, param, nowEpochMs);
  const windowMs = parseDuration(window);
  if (windowMs.ok && deadlineEpochMs > nowEpochMs + windowMs.value) {
    throw wrongValue(param, `must be within the completion_window of ${window}`);
  }
  return deadlineEpochMs;
}

function onInvalidRow(value: unknown): 'fail' | 'skip' {
  if (value === undefined || value === null || value === 'fail') return 'fail';
  if (value === 'skip') return 'skip';
  throw wrongValue('pilotlight.on_invalid_row', 'must be "fail" or "skip"');
}

function given<T>(value: T | PilotlightError): T {
  if (value instanceof PilotlightError) throw value;
  return value;
}
