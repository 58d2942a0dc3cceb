import type { ServerResponse } from 'node:http';
import type { AnswerHead, Usage } from '../policy/answers.ts';
import { type ApiError, errorJson } from '../policy/api-error.ts';
import type { InferenceRequest } from '../policy/parse-request.ts';
import type { CallPlan } from '../policy/plan-call.ts';
import type { Sequence } from '../policy/sequence.ts';

/** How one call is answered. */
export interface Reply {
  /** The engine took the call. */
  start(): void;
  /** The sequence of this choice has more tokens than before. */
  grown(choice: number): void;
  /** The sequence of this choice is finished. After the last one the answer ends. */
  ended(choice: number): void;
  /** The engine failed under the call. */
  fail(error: ApiError): void;
}

/** What a reply writes from. `sequences` has one for each choice, as the plan has. */
export interface ReplySource {
  readonly response: ServerResponse;
  readonly head: AnswerHead;
  readonly request: InferenceRequest;
  readonly plan: CallPlan;
  readonly sequences: readonly Sequence[];
}

export function usageOf({ plan, sequences }: ReplySource): Usage {
  let generatedTokens = 0;
  let cachedTokens = 0;
  for (const sequence of sequences) {
    generatedTokens += sequence.generatedTokens;
    cachedTokens += sequence.cachedTokens;
  }
  return { promptTokens: plan.promptTokens, generatedTokens, cachedTokens };
}

/** Sends a whole JSON body, unless the caller has gone. */
export function sendJson(response: ServerResponse, status: number, json: string): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
  response.end(json);
}

export function sendError(response: ServerResponse, error: ApiError): void {
  sendJson(response, error.status, errorJson(error));
}
