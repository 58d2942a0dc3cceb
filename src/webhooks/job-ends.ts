import type { JobEndListener, JobService, JobView } from '../core/jobs.ts';
import type { NoticeSink } from '../core/notices.ts';
import { answerIsIncomplete, isAnswered, noticeOfJob } from './policy/job-notice.ts';

/** Publishes a notice for each job that ends. Rejects when the notice could not be made durable: then it is told again. */
export function publishJobEnds(jobs: Pick<JobService, 'result'>, sink: NoticeSink): JobEndListener {
  return async (view) => {
    await sink.publish(noticeOfJob(view, await isIncomplete(jobs, view)));
  };
}

/** Only a response that the model finished can be incomplete; its answer says so. */
async function isIncomplete(jobs: Pick<JobService, 'result'>, view: JobView): Promise<boolean> {
  const { spec } = view;
  if (spec.path !== '/v1/responses' || !isAnswered(view)) return false;
  const result = await jobs.result(spec.id, spec.tenant);
  return result !== null && answerIsIncomplete(result.body);
}
