import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, seededRandom } from '../../../src/core/random.ts';
import { MODEL } from '../../../src/simulate/demo/names.ts';
import { type CallOutcome, streamChat } from '../../cluster/support/calls.ts';
import { expectedSeed, expectedText } from '../../support/expected-text.ts';
import type { Member } from './member.ts';
import { pick } from './schedule.ts';

/** A tenant that may hold few slots; what it asks beyond waits, and delays nobody else. */
export const NARROW = { name: 'narrow', apiKey: 'sk-of-the-narrow-tenant', maxConcurrency: 2 } as const;

/** A held call as its client saw it. Times are of this machine's clock. */
export interface HeldCall extends CallOutcome {
  readonly kind: 'stream' | 'plain';
  readonly gateway: string;
  readonly tenant: string;
  readonly startedAtEpochMs: number;
  /** Of its first text; null when none came. */
  readonly firstAtEpochMs: number | null;
  readonly endedAtEpochMs: number;
  /** It was given up by its client on purpose. */
  readonly isCancelled: boolean;
}

/** A job that a gateway said yes to. */
export interface AcceptedJob {
  readonly id: string;
  readonly seed: number;
  readonly expected: string;
  readonly gateway: string;
  readonly acceptedAtEpochMs: number;
}

export interface Load {
  readonly calls: readonly HeldCall[];
  readonly jobs: readonly AcceptedJob[];
  /** Submissions that were refused or had no answer. */
  readonly refusedJobs: () => number;
  /** No more begins; resolves when every call has ended. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly seed: number;
  readonly gateways: readonly Member[];
  readonly callers: number;
}

/** A call that has no end within this has none: longer than every timeout of the gateways together. */
export const CALL_DEADLINE_MS = 180_000;
const JOBS_EVERY_MS = 700;
const PLAIN_SHARE = 0.4;
const CANCELLED_SHARE = 0.08;
const TOKENS = { least: 10, spread: 150 };

/** Streams, plain calls and stored jobs over all gateways, until told to stop. Each asks something of its own. */
export function startLoad({ seed, gateways, callers }: LoadOptions): Load {
  const calls: HeldCall[] = [];
  const jobs: AcceptedJob[] = [];
  let refused = 0;
  let isStopped = false;

  const up = () => gateways.filter(({ isUp }) => isUp);
  const caller = async (number: number) => {
    const random = seededRandom(seed * 1_009 + number);
    for (let turn = 1; !isStopped; turn += 1) {
      const open = up();
      const label = `s${seed}-c${number}-${turn}`;
      if (open.length > 0) calls.push(await call(label, pick(open, random.next()), number % 2 === 1, random));
      await sleep(20 + random.next() * 200);
    }
  };
  const submitter = async () => {
    const random = seededRandom(seed * 1_009 - 1);
    for (let turn = 1; !isStopped; turn += 1) {
      const open = up();
      if (open.length > 0) {
        const accepted = await submit(`s${seed}-j${turn}`, pick(open, random.next()), random);
        if (accepted === null) refused += 1;
        else jobs.push(accepted);
      }
      await sleep(random.next() * JOBS_EVERY_MS);
    }
  };
  const running = Promise.all([...Array.from({ length: callers }, (_, number) => caller(number)), submitter()]);
  return {
    calls,
    jobs,
    refusedJobs: () => refused,
    async stop() {
      isStopped = true;
      await running;
    },
  };
}

async function call(label: string, gateway: Member, isNarrow: boolean, random: Random): Promise<HeldCall> {
  const plain = random.next() < PLAIN_SHARE;
  const tokens = TOKENS.least + Math.floor(random.next() * TOKENS.spread);
  const cancelAfterMs = random.next() < CANCELLED_SHARE ? Math.floor(random.next() * 1_500) : CALL_DEADLINE_MS;
  let firstAtEpochMs: number | null = null;
  const onToken = () => {
    firstAtEpochMs ??= Date.now();
  };
  const startedAtEpochMs = Date.now();
  const signal = AbortSignal.timeout(cancelAfterMs);
  const tenant = isNarrow ? { apiKey: NARROW.apiKey } : {};
  const outcome = await streamChat({ apiUrl: gateway.apiUrl, label, tokens, plain, signal, onToken, ...tenant });
  return {
    ...outcome,
    ...{ kind: plain ? 'plain' : 'stream', gateway: gateway.name, startedAtEpochMs, firstAtEpochMs },
    tenant: isNarrow ? NARROW.name : 'anonymous',
    endedAtEpochMs: Date.now(),
    isCancelled: signal.aborted && cancelAfterMs < CALL_DEADLINE_MS,
  };
}

/** Null when it was not accepted, or when nobody knows. */
async function submit(label: string, gateway: Member, random: Random): Promise<AcceptedJob | null> {
  const max_tokens = TOKENS.least + Math.floor(random.next() * TOKENS.spread);
  const body = { model: MODEL, max_tokens, ignore_eos: true, messages: [{ role: 'user', content: `Job ${label}` }] };
  const objective = random.next() < 0.5 ? 'nightly' : 'interactive';
  try {
    const answer = await fetch(`${gateway.apiUrl}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ objective, body }),
      signal: AbortSignal.timeout(CALL_DEADLINE_MS),
    });
    const told = await answer.text();
    if (answer.status !== 202) return null;
    const { id } = JSON.parse(told) as { readonly id: string };
    const acceptedAtEpochMs = Date.now();
    return { id, seed: expectedSeed(body), expected: expectedText(body), gateway: gateway.name, acceptedAtEpochMs };
  } catch {
    return null;
  }
}
