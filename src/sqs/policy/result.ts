import { errorEnvelope, type PilotlightError } from '../../core/errors.ts';
import type { MessageFormat } from './message-call.ts';
import { attributeText, sendableJson } from './xml-text.ts';

/** What a result repeats. */
export interface ResultHead {
  readonly format: MessageFormat;
  readonly customId: string | null;
  /** JSON. */
  readonly metadata: string | null;
  readonly correlationId: string;
  readonly messageId: string;
  /** Null = it never became a job. */
  readonly jobId: string | null;
  readonly objective: string | null;
}

/** How a request ended. */
export type RequestEnd =
  /** As the model server sent it. */
  | { readonly kind: 'answered'; readonly statusCode: number; readonly body: Uint8Array }
  | { readonly kind: 'failed'; readonly error: PilotlightError };

export interface Attribute {
  readonly type: 'String' | 'Number';
  readonly value: string;
}
export type Attributes = Readonly<Record<string, Attribute>>;

/** Longest piece of an answer that is no JSON, in characters. */
const MAX_QUOTED_CHARACTERS = 2_000;
const MAX_ATTRIBUTE_CHARACTERS = 1_024;

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const anyUtf8 = new TextDecoder();

/** The body of the message that tells of an end, in the format of the request. Always JSON that a message may carry. */
export function resultBody(head: ResultHead, end: RequestEnd): string {
  switch (head.format) {
    case 'batch_row':
      return sendableJson(rowResult(head, end));
    case 'kubeai':
      return sendableJson(kubeAiResult(head, end));
    case 'llm_d_async':
      return sendableJson(llmDResult(head, end));
  }
}

/** At most seven of the ten attributes that a message may have. */
export function resultAttributes(head: ResultHead, end: RequestEnd): Attributes {
  const { customId, correlationId, messageId, jobId, objective } = head;
  const texts = {
    CorrelationId: correlationId,
    request_message_id: messageId,
    custom_id: customId,
    job_id: jobId,
    objective,
    error_code: end.kind === 'failed' ? end.error.code : null,
  };
  return {
    ...textAttributes(texts),
    status_code: { type: 'Number', value: String(statusOf(end)) },
  };
}

/** Those of the texts that are there, as attributes. */
export function textAttributes(texts: Readonly<Record<string, string | null>>): Attributes {
  const named = Object.entries(texts).map(([name, text]) => [
    name,
    text && attributeText(text, MAX_ATTRIBUTE_CHARACTERS),
  ]);
  const there = named.filter((entry): entry is [string, string] => entry[1] !== null && entry[1] !== '');
  return Object.fromEntries(there.map(([name, value]) => [name, { type: 'String', value }]));
}

function statusOf(end: RequestEnd): number {
  return end.kind === 'answered' ? end.statusCode : end.error.httpStatus;
}

/** A line of an output or error file of a batch (https://platform.openai.com/docs/api-reference/batch/request-output). */
function rowResult({ customId, jobId, messageId }: ResultHead, end: RequestEnd): string {
  const id = jobId ?? messageId;
  const start = `{"id":${JSON.stringify(id)},"custom_id":${JSON.stringify(customId)}`;
  if (end.kind === 'failed') {
    const { code, message, param } = end.error;
    return `${start},"response":null,"error":${JSON.stringify({ code, message, param })}}`;
  }
  const response = `{"status_code":${end.statusCode},"request_id":${JSON.stringify(id)},"body":${jsonOf(end)}}`;
  return `${start},"response":${response},"error":null}`;
}

/** As KubeAI answers; an error is an OpenAI error envelope. */
function kubeAiResult({ metadata }: ResultHead, end: RequestEnd): string {
  const body = end.kind === 'answered' ? jsonOf(end) : JSON.stringify(errorEnvelope(end.error));
  return `{"metadata":${metadata ?? '{}'},"status_code":${statusOf(end)},"body":${body}}`;
}

/** As llm-d-async answers: the payload is text, whatever it holds. */
function llmDResult({ customId }: ResultHead, end: RequestEnd): string {
  const statusCode = statusOf(end);
  if (end.kind === 'answered') {
    const isRefused = statusCode >= 400;
    return JSON.stringify({
      id: customId,
      status_code: statusCode,
      payload: anyUtf8.decode(end.body),
      ...(isRefused && {
        error_code: 'INFERENCE_ERROR',
        error_message: `The model server answered with status ${statusCode}.`,
      }),
    });
  }
  const { message } = end.error;
  const payload = JSON.stringify(errorEnvelope(end.error));
  return JSON.stringify({
    id: customId,
    status_code: statusCode,
    payload,
    error_code: llmDCode(end.error),
    error_message: message,
  });
}

/** The error codes of llm-d-async. */
function llmDCode({ code, httpStatus }: PilotlightError): string {
  if (code === 'deadline_exceeded') return 'DEADLINE_EXCEEDED';
  if (code === 'request_cancelled') return 'CANCELLED';
  return httpStatus >= 400 && httpStatus < 500 ? 'INVALID_REQUEST' : 'INFERENCE_ERROR';
}

function jsonOf({ statusCode, body }: Extract<RequestEnd, { kind: 'answered' }>): string {
  try {
    const text = strictUtf8.decode(body);
    JSON.parse(text);
    return text.trim();
  } catch {
    const quoted = anyUtf8.decode(body.subarray(0, MAX_QUOTED_CHARACTERS * 4)).slice(0, MAX_QUOTED_CHARACTERS);
    const message = `The model server answered ${statusCode} with a body that is not JSON: ${JSON.stringify(quoted)}.`;
    return JSON.stringify({ error: { message, type: 'upstream_error', param: null, code: 'upstream_error' } });
  }
}
