/* eslint-disable @typescript-eslint/require-await -- fakes answer at once, through the same promises as the real ones */
import { PilotlightError } from '../../src/core/errors.ts';
import type { JobResult, JobService, JobSpec, JobView, SubmitAnswer } from '../../src/core/jobs.ts';
import { parseJsonBody } from '../../src/ingress/policy/json-body.ts';
import { memberText } from '../../src/ingress/policy/json-members.ts';
import { systemClock } from '../../src/platform/clock.ts';
import { systemRandom } from '../../src/platform/random.ts';
import { messageJobId } from '../../src/sqs/adapters/message-job-id.ts';
import type { S3Payloads } from '../../src/sqs/adapters/s3-payloads.ts';
import type { SqsService } from '../../src/sqs/adapters/sqs-service.ts';
import { HandOver } from '../../src/sqs/hand-over.ts';
import { HeldMessages } from '../../src/sqs/held-messages.ts';
import { isFifo } from '../../src/sqs/policy/reply.ts';
import type { AttemptBook, MessageResult, SourceMeter, SourceQueue } from '../../src/sqs/ports.ts';
import { Refusals } from '../../src/sqs/refusals.ts';
import { Results } from '../../src/sqs/results.ts';
import { SourceIntake } from '../../src/sqs/source-intake.ts';
import { silentLogger } from './silent-logger.ts';
import { COMPLETED, jobSpec } from './stored-world.ts';

/** Jobs that outlive intakes, as the file store lets them; each ends when `finish` says so. */
export class FakeJobs implements Pick<JobService, 'submit' | 'get' | 'wait' | 'result'> {
  /** In the order of their first acceptance. */
  readonly accepted = new Map<string, { spec: JobSpec; text: string; view: JobView }>();
  submissions = 0;
  refusal: PilotlightError | null = null;
  answer: Uint8Array = Buffer.from('{"ok":true}');

  async submit(spec: JobSpec, body: Uint8Array): Promise<SubmitAnswer> {
    this.submissions += 1;
    if (this.refusal) return { kind: 'rejected', error: this.refusal };
    const view: JobView = {
      spec,
      status: 'queued',
      outcome: null,
      finishedAtEpochMs: null,
      resultExpiresAtEpochMs: null,
    };
    const known = this.accepted.get(spec.id);
    if (!known) this.accepted.set(spec.id, { spec, text: Buffer.from(body).toString(), view });
    return { kind: 'accepted', view: known?.view ?? view };
  }

  async get(id: string): Promise<JobView | null> {
    return this.accepted.get(id)?.view ?? null;
  }

  async wait(id: string, _tenant: string, timeoutMs: number, signal: AbortSignal): Promise<JobView | null> {
    const untilMs = systemClock.monotonicMs() + timeoutMs;
    while (!signal.aborted && systemClock.monotonicMs() < untilMs && !(await this.get(id))?.outcome) {
      await systemClock.sleep(10, signal).catch(() => undefined);
    }
    return this.get(id);
  }

  async result(id: string): Promise<JobResult | null> {
    if (!this.accepted.get(id)?.view.outcome) return null;
    return { httpStatus: 200, contentType: 'application/json', body: this.answer };
  }

  finish(id: string): JobView {
    const job = this.accepted.get(id);
    if (!job) throw new Error(`no job ${id}`);
    job.view = { ...job.view, status: 'completed', outcome: COMPLETED, finishedAtEpochMs: 1 };
    return job.view;
  }
}

export interface RigOptions {
  readonly service: SqsService;
  readonly payloads: S3Payloads;
  readonly url: string;
  readonly jobs: FakeJobs;
  readonly resultsUrl?: string;
  readonly replyTo?: readonly string[];
  readonly deadLetterUrl?: string;
  readonly buckets?: readonly string[];
  readonly resultsBucket?: string;
  readonly maxResultBytes?: number;
  readonly visibilityMs?: number;
  readonly maxHeld?: number;
  /** In place of the real queue. */
  readonly queue?: SourceQueue;
}

/** One source of one process, as src/roles/sqs.ts builds it, with jobs that are let through by their text. */
export function openRig(options: RigOptions) {
  const { service, payloads, url, jobs, visibilityMs = 4_000, maxHeld = 100 } = options;
  const counts = new Map<string, number>();
  const count = (name: string) => counts.set(name, (counts.get(name) ?? 0) + 1);
  const meter: SourceMeter = {
    message: (result: MessageResult) => count(result),
    accepted: () => undefined,
    held: () => undefined,
    result: (result) => count(`result_${result}`),
    heartbeatFailed: () => count('heartbeat_failed'),
  };
  const shared = { jobs, clock: systemClock, random: systemRandom, log: silentLogger, meter };
  const queue = options.queue ?? service.source(url);
  const { resultsUrl = null, replyTo = [], deadLetterUrl = null, buckets = [], resultsBucket = null } = options;
  const results = new Results({
    ...shared,
    outbound: service,
    payloads,
    maxResultBytes: options.maxResultBytes ?? 262_144,
    resultsBucket,
  });
  const held = new HeldMessages({ ...shared, queue, visibilityMs });
  const handOver = new HandOver({
    ...shared,
    source: 'work',
    replies: { resultsUrl, replyTo },
    toJob: ({ id, bodyText, objective, deadlineEpochMs }) => {
      if (bodyText.includes('"forbidden"')) return new PilotlightError('model_forbidden', 'not for you');
      const spec = jobSpec(id, { objective: objective ?? 'nightly', deadlineEpochMs });
      return { spec, body: Buffer.from(bodyText) };
    },
    attempts: memoryAttempts(),
    announces: !isFifo(url),
    json: { parse: parseJsonBody, member: memberText },
    payloads,
    buckets,
    maxBodyBytes: 1_000_000,
    jobIdOf: (messageId) => messageJobId(url, messageId),
  });
  const refusals = new Refusals({ results, deadLetterUrl, log: silentLogger });
  const intake = new SourceIntake({
    ...shared,
    queue,
    held,
    handOver,
    refusals,
    results,
    maxHeld,
    visibilityMs,
    isFifo: isFifo(url),
  });
  return { intake, held, results, counts };
}

function memoryAttempts(): AttemptBook {
  const counts = new Map<string, number>();
  return {
    async begin(id) {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      return counts.get(id) ?? 0;
    },
    async undo(id) {
      counts.set(id, (counts.get(id) ?? 1) - 1);
    },
  };
}
