import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../../../src/core/random.ts';
import { type SubmittedJob, submitJobs } from '../../support/job-client.ts';
import { type CallOutcome, streamChat } from './calls.ts';
import type { Pilotlight } from './pilotlight.ts';

export interface HeldCall extends CallOutcome {
  readonly isPlain: boolean;
  /** Process id of the gateway that had it. */
  readonly gateway: number;
  readonly startedAtMs: number;
  readonly endedAtMs: number;
}

export interface LoadOptions {
  readonly random: Random;
  /** Those that callers may be sent to now. */
  readonly gateways: () => readonly Pilotlight[];
  /** The one that keeps jobs. */
  readonly keeper: () => Pilotlight;
}

export interface Load {
  readonly calls: readonly HeldCall[];
  readonly jobs: readonly SubmittedJob[];
  /** No more begins; resolves when every call has ended. */
  stop(): Promise<void>;
}

const CALLERS = 10;
const JOBS_AT_ONCE = 8;
const JOBS_EVERY_MS = 1_000;
/** Callers come in waves, so that the pool goes to zero between them and is woken again. */
const WAVE_MS = 14_000;
const WAVE_SHARE = 0.6;

/** Streams and plain calls over all gateways, and stored jobs on one, until told to stop. */
export function startLoad({ random, gateways, keeper }: LoadOptions): Load {
  const calls: HeldCall[] = [];
  const jobs: SubmittedJob[] = [];
  const startedAtMs = performance.now();
  let isStopped = false;
  let labels = 0;
  const isWave = () => ((performance.now() - startedAtMs) % WAVE_MS) / WAVE_MS < WAVE_SHARE;

  const callOnce = async () => {
    const open = gateways();
    const gateway = open[Math.floor(random.next() * open.length)] ?? keeper();
    const isPlain = random.next() < 0.4;
    const tokens = 20 + Math.floor(random.next() * 180);
    labels += 1;
    const options = { apiUrl: gateway.apiUrl, label: `chaos-${labels}`, tokens, plain: isPlain };
    const { pid } = gateway;
    const begunAtMs = performance.now();
    const outcome = await streamChat(options);
    calls.push({ ...outcome, isPlain, gateway: pid, startedAtMs: begunAtMs, endedAtMs: performance.now() });
  };
  const caller = async () => {
    while (!isStopped) {
      if (isWave()) await callOnce();
      await sleep(50 + random.next() * 250);
    }
  };
  const submitter = async () => {
    while (!isStopped) {
      // Refused ones were never accepted; what counts is what the gateway said yes to.
      const objective = random.next() < 0.5 ? 'nightly' : 'interactive';
      const accepted = await submitJobs(keeper().apiUrl, { count: JOBS_AT_ONCE, objective, refusals: 'skip' });
      jobs.push(...accepted);
      await sleep(JOBS_EVERY_MS);
    }
  };
  const running = Promise.all([...Array.from({ length: CALLERS }, caller), submitter()]);
  return {
    calls,
    jobs,
    async stop() {
      isStopped = true;
      await running;
    },
  };
}
