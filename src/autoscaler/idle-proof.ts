import type { Clock } from '../core/clock.ts';
import type { TargetReplica } from './policy/target-replica.ts';
import type { EngineActivity } from './ports.ts';

/** An answer proves idleness for so long. */
const FRESH_MS = 1_000;
/** Engines promise an answer within 1 s; one that does not come is one that does not tell. */
const ASK_TIMEOUT_MS = 2_000;
const KEPT_MS = 60_000;
const MOST_AT_ONCE = 16;

/** idle: no engine runs anything, or does not tell · busy: requests that did not come through Pilotlight · asking: wait. */
export type IdleVerdict =
  | { readonly kind: 'idle' }
  | { readonly kind: 'busy'; readonly requests: number }
  | { readonly kind: 'asking' };

interface Answer {
  /** Null while it is asked. */
  readonly requests: number | null;
  readonly isKnown: boolean;
  readonly atMs: number;
}

/**
 * Asks model servers themselves whether they still run something before they are ended. Never makes its caller wait: a
 * question is sent, `onAnswer` is called when all that were sent are answered, and the caller asks again.
 */
export class IdleProof {
  readonly #engines: EngineActivity | null;
  readonly #clock: Clock;
  readonly #onAnswer: () => void;
  #answers = new Map<string, Answer>();
  #asking = 0;

  /** Without engines to ask everything is taken to be idle. */
  constructor(engines: EngineActivity | null, clock: Clock, onAnswer: () => void) {
    this.#engines = engines;
    this.#clock = clock;
    this.#onAnswer = onAnswer;
  }

  verdict(replicas: readonly TargetReplica[]): IdleVerdict {
    const engines = this.#engines;
    if (engines === null) return { kind: 'idle' };
    const nowMs = this.#clock.monotonicMs();
    this.#answers = new Map([...this.#answers].filter(([, { atMs, isKnown }]) => !isKnown || nowMs - atMs < KEPT_MS));
    const endpointIds = replicas.flatMap((replica) => replica.endpointIds);
    const open = endpointIds.filter((id) => !this.#isFresh(id, nowMs));
    for (const id of open) if (!this.#isAsked(id) && this.#asking < MOST_AT_ONCE) void this.#ask(engines, id, nowMs);
    const requests = endpointIds.reduce((sum, id) => sum + (this.#answers.get(id)?.requests ?? 0), 0);
    if (open.length > 0) return { kind: 'asking' };
    return requests > 0 ? { kind: 'busy', requests } : { kind: 'idle' };
  }

  #isFresh(id: string, nowMs: number): boolean {
    const answer = this.#answers.get(id);
    return answer?.isKnown === true && nowMs - answer.atMs < FRESH_MS;
  }

  #isAsked(id: string): boolean {
    return this.#answers.get(id)?.isKnown === false;
  }

  async #ask(engines: EngineActivity, id: string, nowMs: number): Promise<void> {
    this.#asking += 1;
    this.#answers.set(id, { requests: null, isKnown: false, atMs: nowMs });
    const given = new AbortController();
    const late = this.#clock.sleep(ASK_TIMEOUT_MS, given.signal).then(
      () => null,
      () => null,
    );
    const asked = engines.activeRequests(id).catch(() => null);
    const requests = await Promise.race([asked, late]);
    given.abort();
    this.#asking -= 1;
    this.#answers.set(id, { requests, isKnown: true, atMs: this.#clock.monotonicMs() });
    if (this.#asking === 0) this.#onAnswer();
  }
}
