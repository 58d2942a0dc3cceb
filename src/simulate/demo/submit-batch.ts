import { z } from 'zod';
import { PilotlightError } from '../../core/errors.ts';
import { type ApiAnswer, retryDelayMs } from './adapters/api.ts';
import type { AcceptedBatch } from './facts.ts';
import { OBJECTIVES } from './names.ts';
import { ROW_PATH } from './requests.ts';
import type { Session } from './session.ts';

/** A refusal that lasts longer than this ends the demo. */
const PATIENCE_MS = 10 * 60_000;

const created = z.object({ id: z.string() });

export interface SubmitOptions {
  readonly path: string;
  /** When it should be done, from now. */
  readonly dueInMs: number;
}

export interface SubmitListener {
  uploaded(fileId: string): void;
  /** 429 or 503; it is sent again when the server asked for it. */
  refused(): void;
}

/**
 * Uploads the file and makes one batch of it. The create call has an idempotency key, so repeating it after a broken
 * connection makes no second one; an upload that was cut leaves nothing.
 */
export async function submitBatch(
  session: Session,
  { path, dueInMs }: SubmitOptions,
  listener: SubmitListener,
): Promise<AcceptedBatch> {
  const fileId = await answered(session, 'the upload', listener, () =>
    session.upload({ path: '/v1/files', key: session.keys.rows, file: path }),
  );
  listener.uploaded(fileId);
  const deadline = new Date(session.clock.epochMs() + dueInMs).toISOString();
  const body = {
    input_file_id: fileId,
    endpoint: ROW_PATH,
    completion_window: '24h',
    pilotlight: { objective: OBJECTIVES.nightly.name, deadline, include_row_meta: true },
  };
  const headers = { 'idempotency-key': `demo-${fileId}` };
  const id = await answered(session, 'the batch', listener, () =>
    session.send({ method: 'POST', path: '/v1/batches', key: session.keys.rows, headers, body }),
  );
  return { id, acceptedAtEpochMs: session.clock.epochMs() };
}

/** Sends until it is answered 200, and returns the id in the answer. Throws for an answer that another try does not change. */
async function answered(
  session: Session,
  what: string,
  listener: SubmitListener,
  send: () => Promise<ApiAnswer>,
): Promise<string> {
  const givenUpAtMs = session.elapsedMs() + PATIENCE_MS;
  for (;;) {
    const answer = await send();
    const retryMs = retryDelayMs(answer);
    if (answer.kind === 'lost') {
      await session.pauseAfterLoss();
    } else if (answer.status === 200) {
      return created.parse(JSON.parse(answer.text)).id;
    } else if (retryMs !== null && session.elapsedMs() < givenUpAtMs) {
      listener.refused();
      await session.clock.sleep(retryMs, session.signal);
    } else {
      const text = answer.text.slice(0, 300);
      throw new PilotlightError('internal_error', `${what} was refused with ${answer.status}: ${text}`);
    }
  }
}
