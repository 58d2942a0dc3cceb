import { z } from 'zod';
import { PilotlightError } from '../../core/errors.ts';
import { type ApiAnswer, retryDelayMs } from './adapters/api.ts';
import type { AcceptedJob } from './facts.ts';
import { jobSubmission } from './requests.ts';
import type { Session } from './session.ts';
import type { PlannedRequest } from './workload.ts';

const CONCURRENT_SUBMISSIONS = 16;
/** A job that is refused for longer than this is given up; a demo with more jobs than the budget needs its time. */
const PATIENCE_MS = 30 * 60_000;

const accepted = z.object({ id: z.string() });

export interface SubmitListener {
  accepted(job: AcceptedJob): void;
  /** 429 or 503; it is sent again when the server asked for it. */
  refused(): void;
  /** The connection broke after the job was sent. */
  unanswered(): void;
}

/** Submits every job at its time. Resolves when each is accepted or given up. */
export async function submitJobs(
  session: Session,
  planned: readonly PlannedRequest[],
  listener: SubmitListener,
): Promise<void> {
  await session.each(planned, CONCURRENT_SUBMISSIONS, async (request) => {
    await session.until(request.atMs);
    await submitOne(session, request, listener);
  });
}

async function submitOne(session: Session, request: PlannedRequest, listener: SubmitListener): Promise<void> {
  const body = jobSubmission(session.seed, request);
  const givenUpAtMs = session.elapsedMs() + PATIENCE_MS;
  while (session.elapsedMs() < givenUpAtMs) {
    const answer = await session.send({ method: 'POST', path: '/v1/jobs', key: session.keys.jobs, body });
    const retryMs = retryDelayMs(answer);
    if (answer.kind === 'lost') {
      if (answer.wasSent) listener.unanswered();
      await session.pauseAfterLoss();
    } else if (retryMs !== null) {
      listener.refused();
      await session.clock.sleep(retryMs, session.signal);
    } else {
      const { id } = acceptedJob(answer);
      listener.accepted({ index: request.index, id, acceptedAtEpochMs: session.clock.epochMs() });
      return;
    }
  }
}

function acceptedJob(answer: Extract<ApiAnswer, { kind: 'answer' }>): z.output<typeof accepted> {
  if (answer.status === 202) return accepted.parse(JSON.parse(answer.text));
  throw new PilotlightError('internal_error', `a job was refused with ${answer.status}: ${answer.text.slice(0, 300)}`);
}
