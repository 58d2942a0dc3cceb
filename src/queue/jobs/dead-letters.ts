import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { JobService, JobSpec } from '../../core/jobs.ts';
import type { StoredOutcome } from '../../core/live-order.ts';
import type {
  DeadLetter,
  DeadLetterAnswer,
  DeadLetterDesk,
  DeadLetterPage,
  DeadLetterQuery,
} from '../../core/queues.ts';
import { formatCursor, parseCursor, retryIdOf, retrySpec } from '../policy/backlog/dead-letter.ts';
import { isJobId } from '../policy/backlog/stored-ticket.ts';
import type { DeadEntry, DeadLetterIndex, JobIndex, JobLane, JobPlace, JobStore } from './ports.ts';
import { reached } from './reached.ts';

export interface DeadLettersDeps {
  readonly lane: JobLane;
  readonly dead: DeadLetterIndex;
  readonly index: JobIndex;
  readonly store: JobStore;
  readonly submit: JobService['submit'];
  /** While the index of jobs is being rebuilt, one that it does not know may still be there. */
  readonly isReconciling: () => boolean;
  readonly clock: Clock;
  readonly retentionMs: number;
}

/** Jobs that are looked at, retried or purged together. */
const AT_ONE_TIME = 16;
const ENTRIES_READ = 100;
const REBUILT_AFTER_MS = 2_000;

interface Dead {
  readonly place: JobPlace;
  readonly spec: JobSpec;
  readonly stored: StoredOutcome;
}

/**
 * The dead letters of one pool.
 *
 * An outcome is written once: whoever waits for a job, its webhook and its message on a results queue have been told that
 * it failed. So a retry is another job, with the same request and tenant, that names the first (`retryOf`); its accept
 * record is what makes it durable, and its id follows from the first one's, so that the link needs no place of its own.
 *
 * After a loss of Redis everything about a job that is not found yet is refused with `queue_unavailable`, so that nobody
 * takes it for gone.
 */
export class DeadLetters implements DeadLetterDesk {
  readonly #deps: DeadLettersDeps;

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps;
  }

  count(objective: string): Promise<number> {
    return reached(() => this.#deps.dead.count(objective));
  }

  async list({ objective, endedBeforeEpochMs, after, limit }: DeadLetterQuery): Promise<DeadLetterPage> {
    const from = after === null ? null : parseCursor(after);
    if (after !== null && from === null) {
      throw new PilotlightError('invalid_value', "Invalid 'after': write the 'next' of the page before.", {
        param: 'after',
      });
    }
    const objectives = objective === null ? await reached(() => this.#deps.dead.objectives()) : [objective];
    const beforeEpochMs = endedBeforeEpochMs ?? Number.POSITIVE_INFINITY;
    const letters: DeadLetter[] = [];
    for (const name of objectives) {
      if (from && name < from.objective) continue;
      let last = from?.objective === name ? from : null;
      for (;;) {
        const wanted = Math.min(limit - letters.length, ENTRIES_READ);
        const entries = await reached(() => this.#deps.dead.page(name, last, wanted));
        const old = entries.filter(({ endedAtEpochMs }) => endedAtEpochMs < beforeEpochMs);
        for (const letter of await together(old, (entry) => this.#letterOf(entry))) if (letter) letters.push(letter);
        last = old.at(-1) ?? last;
        if (letters.length >= limit && last) return { letters, next: formatCursor({ ...last, objective: name }) };
        if (old.length < wanted) break;
      }
    }
    return { letters, next: null };
  }

  async show(id: string): Promise<DeadLetter | null> {
    const found = await this.#dead(id);
    return found && this.#letter(found);
  }

  retry(ids: readonly string[]): Promise<readonly DeadLetterAnswer[]> {
    return together(ids, (id) => this.#refusing(id, () => this.#retry(id)));
  }

  purge(ids: readonly string[]): Promise<readonly DeadLetterAnswer[]> {
    return together(ids, (id) => this.#refusing(id, () => this.#purge(id)));
  }

  async #retry(id: string): Promise<DeadLetterAnswer> {
    const found = await this.#failed(id);
    if (!found) return { id, kind: 'not_dead' };
    const { place, spec } = found;
    const retriedAs = retryIdOf(id);
    const known = await this.#retryOf(id);
    if (known === 'another') {
      const message = `Job ${id} cannot be retried: ${retriedAs}, the id of its retry, is another job.`;
      return { id, kind: 'refused', code: 'invalid_value', message };
    }
    const entry = { id, objective: place.objective };
    // While it is still listed, the retry may have been accepted in part only.
    if (known === 'accepted' && !(await reached(() => this.#deps.dead.has(entry)))) {
      return { id, kind: 'retried', retriedAs };
    }
    if (!isJobId(retriedAs)) {
      return { id, kind: 'refused', code: 'invalid_value', message: `"${retriedAs}" cannot be a job's id.` };
    }
    const request = await this.#deps.store.read(place.acceptRef);
    if (request.kind !== 'found') {
      const message = `Job ${id} cannot be retried: its request is ${request.kind} in the file store.`;
      return { id, kind: 'refused', code: 'job_not_found', message };
    }
    const retried = retrySpec(spec, this.#deps.clock.epochMs());
    const answer = await this.#deps.submit(retried, request.body, { isRepeated: true });
    if (answer.kind === 'rejected') {
      const { code, message } = answer.error;
      return { id, kind: 'refused', code, message };
    }
    await reached(() => this.#deps.dead.remove([entry]));
    return { id, kind: 'retried', retriedAs };
  }

  async #purge(id: string): Promise<DeadLetterAnswer> {
    const found = await this.#failed(id);
    if (!found) return { id, kind: 'not_dead' };
    const { acceptRef, objective } = found.place;
    // The store first: it alone would bring the job back.
    await this.#deps.store.append({ kind: 'void', jobId: id, acceptRef });
    await reached(() => this.#deps.index.expire([id], 0));
    await reached(() => this.#deps.dead.remove([{ id, objective }]));
    return { id, kind: 'purged' };
  }

  /** What cannot be done to one job is its own answer, so that the others are not held up. */
  async #refusing(id: string, act: () => Promise<DeadLetterAnswer>): Promise<DeadLetterAnswer> {
    try {
      return await act();
    } catch (thrown) {
      if (!(thrown instanceof PilotlightError)) throw thrown;
      return { id, kind: 'refused', code: thrown.code, message: asError(thrown).message };
    }
  }

  /** What is listed and is no dead letter any more leaves the list; what has no outcome yet is about to be one. */
  async #letterOf(entry: DeadEntry): Promise<DeadLetter | null> {
    // First: an outcome that comes meanwhile is then seen by what follows.
    if (await this.#isOpen(entry.id)) return null;
    const found = await this.#dead(entry.id);
    if (!found) await reached(() => this.#deps.dead.remove([entry]));
    return found && this.#letter(found);
  }

  /** An entry is written before its outcome, and one that a look removed in between would never come back. */
  async #isOpen(id: string): Promise<boolean> {
    const { lane, index } = this.#deps;
    const [place, [stored]] = await reached(() => Promise.all([index.get(id), lane.ledger.outcomes([id])]));
    return place?.pool === lane.ledger.pool && !stored;
  }

  async #dead(id: string): Promise<Dead | null> {
    const found = await this.#failed(id);
    if (!found || (await this.#retryOf(id)) !== 'accepted') return found;
    return (await reached(() => this.#deps.dead.has({ id, objective: found.place.objective }))) ? found : null;
  }

  async #failed(id: string): Promise<Dead | null> {
    const { lane, index, store } = this.#deps;
    if (!isJobId(id)) return null;
    const place = await reached(() => index.get(id));
    if (!place && this.#deps.isReconciling()) {
      const text = `Job ${id} is not found yet: the index of jobs is being rebuilt.`;
      throw new PilotlightError('queue_unavailable', text, { retryAfterMs: REBUILT_AFTER_MS });
    }
    if (place?.pool !== lane.ledger.pool) return null;
    const [stored] = await reached(() => lane.ledger.outcomes([id]));
    if (stored?.outcome.kind !== 'failed') return null;
    const header = await store.readHeader(place.acceptRef);
    return header?.kind === 'accept' ? { place, spec: header.spec, stored } : null;
  }

  async #retryOf(id: string): Promise<'none' | 'accepted' | 'another'> {
    const place = await reached(() => this.#deps.index.get(retryIdOf(id)));
    if (!place) return 'none';
    const header = await this.#deps.store.readHeader(place.acceptRef);
    return header?.kind === 'accept' && header.spec.retryOf === id ? 'accepted' : 'another';
  }

  #letter({ place, spec, stored }: Dead): DeadLetter {
    const { outcome, atEpochMs } = stored;
    return {
      id: spec.id,
      objective: spec.objective,
      tenant: spec.tenant,
      model: spec.model,
      path: spec.path,
      code: outcome.code,
      httpStatus: outcome.httpStatus,
      attempts: outcome.attempts,
      bodyBytes: place.bodyBytes,
      acceptedAtEpochMs: spec.acceptedAtEpochMs,
      endedAtEpochMs: atEpochMs,
      keptUntilEpochMs: atEpochMs + this.#deps.retentionMs,
      retryOf: spec.retryOf ?? null,
    };
  }
}

async function together<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = [];
  for (let start = 0; start < items.length; start += AT_ONE_TIME) {
    answers.push(...(await Promise.all(items.slice(start, start + AT_ONE_TIME).map(act))));
  }
  return answers;
}
