import type { WaitStatus } from '../../../core/dispatch.ts';
import type { JobResult, JobView } from '../../../core/jobs.ts';
import { isJsonObject, type JsonObject } from '../json-body.ts';
import { seconds, secondsOrNull } from '../seconds.ts';

export const RESPONSES_PATH = '/v1/responses';
/** A background response is a job whose id begins so; a job that was sent to /v1/jobs is none. */
const ID = /^resp_/;

export type ResponseStatus = 'queued' | 'in_progress' | 'completed' | 'incomplete' | 'failed' | 'cancelled';

/** A Response as the OpenAI API has it; fields of the model server's own answer go through. */
export interface ResponseObject extends JsonObject {
  readonly id: string;
  readonly object: 'response';
  readonly status: ResponseStatus;
}

export function isResponseJob({ spec }: JobView): boolean {
  return ID.test(spec.id) && spec.path === RESPONSES_PATH;
}

export interface ResponseParts {
  readonly view: JobView;
  /** As it was forwarded. */
  readonly request: Uint8Array | null;
  /** Of one that has ended with an answer. */
  readonly result: JobResult | null;
  readonly wait: WaitStatus | null;
}

/** A background response as it is now. */
export function responseObject({ view, request, result, wait }: ResponseParts): ResponseObject {
  const { spec, outcome, finishedAtEpochMs } = view;
  const asked = parsed(request) ?? {};
  const answer = parsed(result?.body ?? null) ?? {};
  const answered = outcome?.kind === 'completed' && outcome.httpStatus < 400;
  const status = answered ? answeredStatus(answer) : unansweredStatus(view);
  return {
    ...FALLBACKS,
    ...pick(asked),
    ...(answered && answer),
    id: spec.id,
    object: 'response',
    created_at: seconds(spec.acceptedAtEpochMs),
    completed_at: status === 'completed' ? secondsOrNull(finishedAtEpochMs) : null,
    status,
    background: true,
    store: true,
    model: spec.model,
    metadata: isJsonObject(asked.metadata) ? asked.metadata : {},
    error: status === 'failed' ? errorOf(view, answer) : null,
    pilotlight: {
      objective: spec.objective,
      deadline_at: secondsOrNull(spec.deadlineEpochMs),
      expires_at: secondsOrNull(view.resultExpiresAtEpochMs),
      ...(wait && { position: wait.position, phase: wait.phase }),
      ...(wait?.etaMs != null && { eta_seconds: Math.ceil(wait.etaMs / 1_000) }),
    },
  };
}

/** Fields that clients in strict languages expect, and what they are when nothing was said. */
const FALLBACKS = {
  incomplete_details: null,
  instructions: null,
  max_output_tokens: null,
  output: [],
  parallel_tool_calls: true,
  previous_response_id: null,
  reasoning: null,
  temperature: null,
  text: { format: { type: 'text' } },
  tool_choice: 'auto',
  tools: [],
  top_p: null,
  truncation: 'disabled',
  usage: null,
  user: null,
} as const;

function pick(asked: JsonObject): JsonObject {
  const names = Object.keys(FALLBACKS).filter((name) => (asked[name] ?? null) !== null);
  return Object.fromEntries(names.map((name) => [name, asked[name]]));
}

function answeredStatus(answer: JsonObject): ResponseStatus {
  return answer.status === 'incomplete' ? 'incomplete' : 'completed';
}

function unansweredStatus({ status }: JobView): ResponseStatus {
  if (status === 'queued' || status === 'cancelled') return status;
  return status === 'running' ? 'in_progress' : 'failed';
}

/** `code` is one of OpenAI's; the message has ours. */
function errorOf({ spec, outcome }: JobView, answer: JsonObject): { code: string; message: string } {
  const told = isJsonObject(answer.error) ? answer.error.message : answer.message;
  const message = typeof told === 'string' ? told : null;
  if (outcome?.kind === 'expired') {
    const deadline = spec.deadlineEpochMs === null ? 'its deadline' : new Date(spec.deadlineEpochMs).toISOString();
    return {
      code: 'server_error',
      message: `The response was not finished by its deadline (${deadline}); give it a later one in pilotlight.deadline.`,
    };
  }
  if (outcome?.kind === 'completed')
    return { code: 'invalid_prompt', message: message ?? 'The model server refused it.' };
  const code = outcome?.code ?? 'internal_error';
  return { code: 'server_error', message: `${message ?? 'The response failed.'} (${code})` };
}

function parsed(body: Uint8Array | null): JsonObject | null {
  if (!body || body.length === 0) return null;
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(body));
    return isJsonObject(value) ? value : null;
  } catch {
    return null;
  }
}
