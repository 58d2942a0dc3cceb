/**
 * Lines of output and error files, as the OpenAI API has them
 * (https://platform.openai.com/docs/api-reference/batch/request-output): one JSON object, without its line break.
 */

/** What every line says of its row. */
export interface LineHead {
  /** "batch_req_…", see `rowId`. */
  readonly id: string;
  readonly customId: string;
}

/** Only where the batch asked for it (`include_row_meta`); under `pilotlight`. */
export interface LineMeta {
  readonly attempts: number;
  /** From the start of the batch's run to the last try's slot. */
  readonly waitedMs: number | null;
  /** Why the try before the last one failed. */
  readonly lastError: string | null;
}

export interface LineAnswer {
  readonly statusCode: number;
  readonly requestId: string;
  /** As the model server sent it. */
  readonly body: Uint8Array;
}

export interface LineError {
  readonly code: string;
  readonly message: string;
  readonly param?: string | null;
  /** 1-based line of the input file, of a row that is wrong. */
  readonly line?: number | null;
}

/** Rows that never ran; the message about the window is the OpenAI API's own. */
export const EXPIRED: LineError = {
  code: 'batch_expired',
  message: 'This request could not be executed before the completion window expired.',
};
export const CANCELLED: LineError = {
  code: 'batch_cancelled',
  message: 'This request was not executed because its batch was cancelled.',
};

/** Longest piece of an answer that is no JSON, in characters. */
const MAX_QUOTED_TEXT = 2_000;

const encoder = new TextEncoder();
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const anyUtf8 = new TextDecoder();

/** Line and ticket id of a row: derived, so that each run and each finalising gives the same. `line` is 0-based. */
export function rowId(batchId: string, line: number): string {
  return `batch_req_${batchId.replace(/^batch_/, '')}_${line + 1}`;
}

/** The 0-based line in an id made by `rowId`; undefined for other texts. */
export function lineOfRowId(id: string): number | undefined {
  const digits = /^batch_req_.*_(\d+)$/.exec(id)?.[1];
  return digits === undefined ? undefined : Number(digits) - 1;
}

/**
 * The line of a row that the model server answered: into the output file with status 200, into the error file with any
 * other. The body stands in it as it was sent; one that is no JSON becomes an error envelope that quotes its start.
 */
export function answeredLine(head: LineHead, answer: LineAnswer, meta: LineMeta | null = null): Uint8Array {
  const { statusCode, requestId } = answer;
  const body = jsonOnOneLine(answer.body) ?? envelope(statusCode, answer.body);
  const response = `{"status_code":${statusCode},"request_id":${JSON.stringify(requestId)},"body":${body}}`;
  return encoder.encode(`${start(head)},"response":${response},"error":null${end(meta)}`);
}

/** The line of a row without an answer, for the error file. */
export function failedLine(head: LineHead, error: LineError, meta: LineMeta | null = null): Uint8Array {
  const { code, message, param, line } = error;
  return encoder.encode(
    `${start(head)},"response":null,"error":${JSON.stringify({ code, message, param, line })}${end(meta)}`,
  );
}

/** The line of a row that never ran, because it is wrong or its batch has ended; its id may be wrong, or lost. */
export function wrongRowLine(
  head: { readonly id: string; readonly customId: string | null },
  error: LineError,
): Uint8Array {
  const { code, message, param, line } = error;
  const text = JSON.stringify({
    id: head.id,
    custom_id: head.customId,
    response: null,
    error: { code, message, param, line },
  });
  return encoder.encode(text);
}

/**
 * The JSON text on one line, every value as it was written; undefined when it is no JSON. Between values line breaks are
 * the only ones JSON allows, so they become spaces; what some readers take for a line break inside strings is escaped.
 */
export function jsonOnOneLine(bytes: Uint8Array): string | undefined {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
    JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!/[\r\n\u0085\u2028\u2029]/.test(text)) return text.trim();
  return text
    .replaceAll(/[\r\n]/g, ' ')
    .replaceAll(/[\u0085\u2028\u2029]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`)
    .trim();
}

function envelope(statusCode: number, body: Uint8Array): string {
  const quoted = anyUtf8
    .decode(body.subarray(0, MAX_QUOTED_TEXT * 4))
    .slice(0, MAX_QUOTED_TEXT)
    .trim();
  const said = quoted === '' ? 'nothing' : `"${quoted}"`;
  const message = `The model server answered ${statusCode} with a body that is not JSON: ${said}.`;
  return JSON.stringify({ error: { message, type: 'upstream_error', param: null, code: 'upstream_error' } });
}

function start({ id, customId }: LineHead): string {
  return `{"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)}`;
}

function end(meta: LineMeta | null): string {
  if (meta === null) return '}';
  const { attempts, waitedMs, lastError } = meta;
  return `,"pilotlight":${JSON.stringify({ attempts, waited_ms: waitedMs, last_error: lastError })}}`;
}
