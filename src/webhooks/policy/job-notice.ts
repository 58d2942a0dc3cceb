import type { JobView } from '../../core/jobs.ts';
import type { Notice, NoticeType } from '../../core/notices.ts';

/** Ids of background responses begin so. */
const RESPONSE = 'resp_';

/** The notice of a job that has ended; its id follows from the job's. */
export function noticeOfJob({ spec, status, finishedAtEpochMs }: JobView, isIncomplete: boolean): Notice {
  const { id, tenant, acceptedAtEpochMs } = spec;
  const type = id.startsWith(RESPONSE) ? responseType(status, isIncomplete) : 'pilotlight.job.ended';
  return { id: `evt_${id}`, type, tenant, createdAtEpochMs: finishedAtEpochMs ?? acceptedAtEpochMs, objectId: id };
}

function responseType(status: JobView['status'], isIncomplete: boolean): NoticeType {
  if (status === 'completed') return isIncomplete ? 'response.incomplete' : 'response.completed';
  return status === 'cancelled' ? 'response.cancelled' : 'response.failed';
}

/** Whether a response object says of itself that it is not whole. Anything that is no such object is not. */
export function answerIsIncomplete(body: Uint8Array): boolean {
  try {
    const answer: unknown = JSON.parse(new TextDecoder().decode(body));
    return typeof answer === 'object' && answer !== null && 'status' in answer && answer.status === 'incomplete';
  } catch {
    return false;
  }
}
