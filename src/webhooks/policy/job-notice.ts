import type { JobView } from '../../core/jobs.ts';
import type { Notice, NoticeType } from '../../core/notices.ts';

/** Ids of background responses begin so. */
const RESPONSE = 'resp_';

/** The notice of a job that has ended; its id follows from the job's. */
export function noticeOfJob(view: JobView, isIncomplete: boolean): Notice {
  const { spec, finishedAtEpochMs } = view;
  const { id, tenant, acceptedAtEpochMs } = spec;
  const type = id.startsWith(RESPONSE) ? responseType(view, isIncomplete) : 'pilotlight.job.ended';
  return { id: `evt_${id}`, type, tenant, createdAtEpochMs: finishedAtEpochMs ?? acceptedAtEpochMs, objectId: id };
}

/** As the response object says it: what the model server refused has failed. */
function responseType(view: JobView, isIncomplete: boolean): NoticeType {
  if (isAnswered(view)) return isIncomplete ? 'response.incomplete' : 'response.completed';
  return view.status === 'cancelled' ? 'response.cancelled' : 'response.failed';
}

/** Whether the model server did what was asked. */
export function isAnswered({ outcome }: JobView): boolean {
  return outcome?.kind === 'completed' && outcome.httpStatus < 400;
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
