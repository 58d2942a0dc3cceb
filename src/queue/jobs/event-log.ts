import type { JobEvent } from '../../core/job-events.ts';

/** Writes the events of streamed jobs where every process can read them. Failures of Redis throw as they come. */
export interface JobEventLog {
  /** Begins the events of one execution; those of an earlier one are dropped, and its writer writes nothing more. */
  begin(id: string): Promise<JobEventWriter>;
}

export interface JobEventWriter {
  /** Nothing is written once another execution has begun. */
  append(events: readonly JobEvent[]): Promise<void>;
  /** Nothing follows: what is there is kept for some minutes. */
  end(): Promise<void>;
}

/** What the log keeps of one job. */
export interface JobEventLimits {
  readonly maxEvents: number;
  readonly maxBytes: number;
  /** After the last event of one that still runs: longer than a call may be silent. */
  readonly keepRunningMs: number;
  readonly keepEndedMs: number;
}

export const DEFAULT_JOB_EVENT_LIMITS: JobEventLimits = {
  maxEvents: 2_000,
  maxBytes: 8_388_608,
  keepRunningMs: 3_600_000,
  keepEndedMs: 600_000,
};
