import type { PilotlightError } from '../../../core/errors.ts';
import type { JobEvent } from '../../../core/job-events.ts';
import { droppedComment } from '../error-answer.ts';
import type { ResponseObject } from './response-object.ts';

/** `response.created` and `response.queued` are known from acceptance on; the log of the job begins behind them. */
export const FIRST_LOGGED = 2;

/** An event of a stored response as its reader gets it. */
export function eventText(sequence: number, { type, data }: JobEvent): string {
  // The number goes in front of the members of a one-line JSON object.
  const rest = data === '{}' ? '}' : `,${data.slice(1)}`;
  return `event: ${type}\ndata: {"sequence_number":${sequence}${rest}\n\n`;
}

export function lifecycleText(sequence: number, type: string, response: ResponseObject): string {
  return eventText(sequence, { type, data: JSON.stringify({ type, response }) });
}

/** There is no event for a cancelled response in the API; the status in it tells. */
export function lastEventType({ status }: ResponseObject): string {
  return status === 'completed' || status === 'incomplete' ? `response.${status}` : 'response.failed';
}

/** Ends the stream of one reader, not a stored response. A relayed stream has the model server's numbers: none is given. */
export function responseErrorEvent(error: PilotlightError, sequence?: number): string {
  const { code, message, param } = error;
  const numbered = sequence === undefined ? {} : { sequence_number: sequence };
  return `${droppedComment(error)}event: error\ndata: ${JSON.stringify({ type: 'error', code, message, param, ...numbered })}\n\n`;
}
