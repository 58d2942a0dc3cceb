import { isJsonObject, type JsonObject, missing, problem, type RowProblem, shown, wrongType } from './row-problem.ts';

/** What a batch needs to know of a call's body. */
export interface BodyFacts {
  readonly model: string;
  readonly stream: boolean;
  /** Over all choices; null = no limit given. */
  readonly maxOutputTokens: number | null;
}

/** The check of a live call's body for this path; `param` of a problem starts with "body.". */
export type CheckBody = (path: string, body: JsonObject) => BodyFacts | RowProblem;

/** A row that may run, if its model and its objective may be used. */
export interface CheckedRow {
  readonly customId: string;
  readonly model: string;
  /** Named by the row itself. */
  readonly objective: string | null;
  readonly maxAttempts: number | null;
  readonly maxOutputTokens: number | null;
  /** Texts or lists of tokens to embed; 1 for other calls. */
  readonly inputs: number;
  /** Estimated. */
  readonly inputTokens: number;
}

export interface RowRules {
  readonly endpoint: string;
  readonly customIdBytes: number;
  readonly checkBody: CheckBody;
}

export type RowVerdict =
  | { readonly kind: 'good'; readonly row: CheckedRow }
  /** `customId` is null when that is what is wrong. */
  | { readonly kind: 'wrong'; readonly customId: string | null; readonly problem: RowProblem };

/** A common rule of thumb for English text and BPE tokens. */
const BYTES_PER_TOKEN = 4;
/** `{"custom_id":"","method":"POST","url":"","body":}` */
const ROW_FRAME_BYTES = 49;
const MAX_ATTEMPTS = 20;
const MAX_OBJECTIVE_CHARACTERS = 253;

const utf8 = new TextEncoder();

/** Checks everything of a row that can be told from the row alone; reports the first thing that is wrong. */
export function checkRow(value: JsonObject, lengthBytes: number, rules: RowRules): RowVerdict {
  const customId = checkCustomId(value.custom_id, rules.customIdBytes);
  if (typeof customId !== 'string') return { kind: 'wrong', customId: null, problem: customId };
  const wrong = (found: RowProblem): RowVerdict => ({ kind: 'wrong', customId, problem: found });
  const addressProblem = checkAddress(value, rules.endpoint);
  if (addressProblem) return wrong(addressProblem);
  const { body } = value;
  if (body === undefined) return wrong(missing('body'));
  if (!isJsonObject(body)) return wrong(wrongType('body', 'an object', body));
  const facts = rules.checkBody(rules.endpoint, body);
  if ('code' in facts) return wrong(facts);
  if (facts.stream) return wrong(problem('invalid_value', STREAM_REFUSED, 'body.stream'));
  const wishes = checkWishes(value.pilotlight ?? null);
  if ('code' in wishes) return wrong(wishes);
  const frameBytes = ROW_FRAME_BYTES + customId.length + rules.endpoint.length;
  return {
    kind: 'good',
    row: {
      customId,
      model: facts.model,
      ...wishes,
      maxOutputTokens: facts.maxOutputTokens,
      inputs: countInputs(body.input),
      inputTokens: Math.ceil(Math.max(0, lengthBytes - frameBytes) / BYTES_PER_TOKEN),
    },
  };
}

const STREAM_REFUSED = "Invalid 'body.stream': a row of a batch cannot be streamed; leave it out or set it to false.";

function checkCustomId(value: unknown, maxBytes: number): string | RowProblem {
  if (value === undefined) return missing('custom_id');
  if (typeof value !== 'string') return wrongType('custom_id', 'a string', value);
  if (value === '') return problem('invalid_value', "Invalid 'custom_id': must not be empty.", 'custom_id');
  // Three bytes is the most that a UTF-16 unit takes.
  const isShort = value.length * 3 <= maxBytes;
  const bytes = isShort ? 0 : value.length > maxBytes ? value.length : utf8.encode(value).length;
  if (bytes <= maxBytes) return value;
  const message = `Invalid 'custom_id': '${shown(value)}' is longer than ${maxBytes} bytes (the limit).`;
  return problem('invalid_value', message, 'custom_id');
}

function checkAddress({ method, url }: JsonObject, endpoint: string): RowProblem | undefined {
  if (method === undefined) return missing('method');
  if (typeof method !== 'string') return wrongType('method', 'a string', method);
  if (method !== 'POST') {
    return problem('invalid_value', `Invalid 'method': '${shown(method)}'; only POST is possible.`, 'method');
  }
  if (url === undefined) return missing('url');
  if (typeof url !== 'string') return wrongType('url', 'a string', url);
  if (url === endpoint) return undefined;
  const message = `The url '${shown(url)}' is not the batch's endpoint: every row must have exactly '${endpoint}'.`;
  return problem('url_mismatch', message, 'url');
}

type RowWishes = Pick<CheckedRow, 'objective' | 'maxAttempts'>;

const NO_WISHES: RowWishes = { objective: null, maxAttempts: null };

function checkWishes(value: unknown): RowWishes | RowProblem {
  if (value === null) return NO_WISHES;
  if (!isJsonObject(value)) return wrongType('pilotlight', 'an object', value);
  const objective = value.objective ?? null;
  if (objective !== null && typeof objective !== 'string') {
    return wrongType('pilotlight.objective', 'a string', objective);
  }
  if (objective !== null && (objective === '' || objective.length > MAX_OBJECTIVE_CHARACTERS)) {
    const message = `Invalid 'pilotlight.objective': must have 1 to ${MAX_OBJECTIVE_CHARACTERS} characters.`;
    return problem('invalid_value', message, 'pilotlight.objective');
  }
  const maxAttempts = value.max_attempts ?? null;
  if (maxAttempts === null) return { objective, maxAttempts };
  if (typeof maxAttempts !== 'number') return wrongType('pilotlight.max_attempts', 'an integer', maxAttempts);
  if (Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= MAX_ATTEMPTS) {
    return { objective, maxAttempts };
  }
  const message = `Invalid 'pilotlight.max_attempts': must be an integer of 1 to ${MAX_ATTEMPTS}.`;
  return problem('invalid_value', message, 'pilotlight.max_attempts');
}

/** A list of token ids is one input, as is a text. */
function countInputs(input: unknown): number {
  return Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1;
}
