import { createHash } from 'node:crypto';

/** The id of the job that a message of this queue becomes: the same for each delivery of it, unlike for any other. */
export function messageJobId(queueUrl: string, messageId: string): string {
  const digest = createHash('sha256').update(`${queueUrl}\n${messageId}`).digest('hex');
  return `job_sqs_${digest.slice(0, 40)}`;
}
