import { PilotlightError } from '../../core/errors.ts';

/** Attributes of a request that say where its result goes and what it is called there. */
export const REPLY_TO = 'ReplyTo';
export const CORRELATION_ID = 'CorrelationId';

export interface ReplyRules {
  readonly resultsUrl: string | null;
  /** Queues that a message may name. */
  readonly replyTo: readonly string[];
}

/** The queue for the result of a message with these attributes; null = nobody wants it. */
export function replyQueue(
  attributes: Readonly<Record<string, string>>,
  { resultsUrl, replyTo }: ReplyRules,
): string | null | PilotlightError {
  const wished = attributes[REPLY_TO];
  if (wished === undefined || wished === resultsUrl) return resultsUrl;
  if (replyTo.includes(wished)) return wished;
  const message = `The attribute ${REPLY_TO} names a queue that is not listed in sqs.queues[].replyTo.`;
  return new PilotlightError('invalid_value', message, { param: REPLY_TO });
}

/** Queues of that kind have names that end so. */
export function isFifo(queueUrl: string): boolean {
  return queueUrl.endsWith('.fifo');
}
