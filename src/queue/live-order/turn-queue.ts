import type { Clock } from '../../core/clock.ts';
import { asError, PilotlightError } from '../../core/errors.ts';
import type { Failed, LedgerOp, LedgerReply, OpName, OpOf, ReplyOf, TurnResult } from '../policy/ledger/ops.ts';

/** Operations in one turn: bounds how long Redis serves nobody else. */
const MAX_OPS_PER_TURN = 256;
/** Turns on their way. Two keep the server busy while the last answer is read; more only make turns smaller. */
const MAX_TURNS_IN_FLIGHT = 2;

/** One operation on its way to the ledger. */
export interface LedgerRequest<N extends OpName> {
  /** Called when the turn leaves, so that it carries the newest token. Null = not needed any more. */
  readonly make: () => OpOf<N> | null;
  readonly onReply: (reply: ReplyOf<N>) => void;
  /** Not answered until the deadline, or the operation itself was refused. */
  readonly onFailure: (error: Error) => void;
  /** When nobody knows whether the turn was executed: send it again (it must be idempotent), or be told. */
  readonly onDoubt: 'again' | (() => void);
  /** On the monotonic clock. */
  readonly deadlineMs: number;
}

interface Pending extends LedgerRequest<OpName> {
  isExpired: boolean;
}

export interface TurnQueueDeps {
  readonly clock: Clock;
  readonly exec: (ops: readonly LedgerOp[]) => Promise<TurnResult>;
  readonly onTurn: (result: Extract<TurnResult, { kind: 'turned' }>) => void;
  /** A turn was stale or failed. The queue holds until `resume`. */
  readonly onDoubt: (error: Error | null) => void;
  /** A callback threw. The others are not affected. */
  readonly onBug: (error: Error) => void;
}

/**
 * Collects the operations of one turn of the event loop into one turn of the ledger, in order. Under load turns fill up
 * while others are on their way, so throughput grows with demand and a lone operation leaves at once.
 */
export class TurnQueue {
  readonly #deps: TurnQueueDeps;
  #waiting: Pending[] = [];
  /** From turns that failed: sent first when the queue resumes. */
  #again: Pending[] = [];
  readonly #inFlight: (readonly Pending[])[] = [];
  #isHeld = true;
  #isScheduled = false;
  #isClosed = false;
  #onIdle: (() => void)[] = [];

  /** Starts held. */
  constructor(deps: TurnQueueDeps) {
    this.#deps = deps;
  }

  push<N extends OpName>(request: LedgerRequest<N>): void {
    if (this.#isClosed) {
      request.onFailure(unanswered());
      return;
    }
    this.#waiting.push({ ...(request as unknown as LedgerRequest<OpName>), isExpired: false });
    this.#schedule();
  }

  hold(): void {
    this.#isHeld = true;
  }

  resume(): void {
    this.#isHeld = false;
    this.#waiting = [...this.#again.splice(0), ...this.#waiting];
    this.#schedule();
  }

  /** Fails what has not been sent, and everything that comes later. */
  close(): void {
    this.#isClosed = true;
    this.hold();
    for (const pending of [...this.#again.splice(0), ...this.#waiting.splice(0)]) pending.onFailure(unanswered());
  }

  /** Resolves when no turn is on its way. */
  whenIdle(): Promise<void> {
    if (this.#inFlight.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#onIdle.push(resolve));
  }

  /** Reports every request whose deadline has passed, also those on their way. */
  expire(nowMs: number): void {
    const isLate = (pending: Pending) => pending.deadlineMs <= nowMs && !pending.isExpired;
    const late = [...this.#again, ...this.#waiting, ...this.#inFlight.flat()].filter(isLate);
    if (late.length === 0) return;
    for (const pending of late) pending.isExpired = true;
    this.#again = this.#again.filter((pending) => !pending.isExpired);
    this.#waiting = this.#waiting.filter((pending) => !pending.isExpired);
    for (const pending of late) pending.onFailure(unanswered());
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isHeld || this.#waiting.length === 0) return;
    if (this.#inFlight.length >= MAX_TURNS_IN_FLIGHT) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      if (!this.#isHeld) this.#send();
      this.#schedule();
    });
  }

  #send(): void {
    const sent: Pending[] = [];
    const ops: LedgerOp[] = [];
    for (const pending of this.#waiting.splice(0, MAX_OPS_PER_TURN)) {
      const op = makeOp(pending);
      if (op === null) continue;
      sent.push(pending);
      ops.push(op);
    }
    if (ops.length === 0) return;
    this.#inFlight.push(sent);
    this.#deps.exec(ops).then(
      (result) => this.#landed(sent, result),
      (thrown: unknown) => this.#doubted(sent, asError(thrown)),
    );
  }

  #landed(sent: readonly Pending[], result: TurnResult): void {
    if (result.kind === 'stale') {
      this.#doubted(sent, null);
      return;
    }
    this.#inFlight.splice(this.#inFlight.indexOf(sent), 1);
    sent.forEach((pending, index) => this.#guard(() => answer(pending, result.replies[index])));
    this.#guard(() => this.#deps.onTurn(result));
    this.#settled();
  }

  #doubted(sent: readonly Pending[], error: Error | null): void {
    this.#inFlight.splice(this.#inFlight.indexOf(sent), 1);
    this.#isHeld = true;
    for (const pending of sent) {
      if (pending.isExpired) continue;
      if (pending.onDoubt !== 'again') pending.onDoubt();
      else if (this.#isClosed) pending.onFailure(unanswered());
      else this.#again.push(pending);
    }
    this.#deps.onDoubt(error);
    this.#settled();
  }

  #guard(call: () => void): void {
    try {
      call();
    } catch (thrown) {
      this.#deps.onBug(asError(thrown));
    }
  }

  #settled(): void {
    if (this.#inFlight.length === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
    this.#schedule();
  }
}

/** The ledger did not answer in time. */
export function unanswered(): PilotlightError {
  const message = 'The queue did not answer in time: its Redis cannot be reached or is overloaded. Try again shortly.';
  return new PilotlightError('queue_unavailable', message, { retryAfterMs: 1_000 });
}

function makeOp(pending: Pending): LedgerOp | null {
  try {
    return pending.make();
  } catch (thrown) {
    pending.onFailure(asError(thrown));
    return null;
  }
}

function answer(pending: Pending, reply: LedgerReply | Failed | undefined): void {
  if (pending.isExpired) return;
  if (reply === undefined || reply.kind === 'error') {
    const why = reply?.message ?? 'no reply';
    pending.onFailure(new PilotlightError('internal_error', `The live order failed: ${why}`));
  } else pending.onReply(reply);
}
