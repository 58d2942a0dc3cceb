import type { Clock } from '../../core/clock.ts';
import { asError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { PoolKey } from '../../core/objects.ts';
import type { LedgerOp, ReassertOp, Timing, TurnResult } from '../policy/ledger/ops.ts';
import type { LedgerStore } from './ports.ts';
import { SignsOfLife } from './signs-of-life.ts';
import type { TicketDesk } from './ticket-desk.ts';
import type { TurnQueue } from './turn-queue.ts';

/** Looks for lost offers and expired waits while tickets wait, and for late answers. */
const TICK_MS = 250;
const HEARTBEAT_MS = 1_000;
/** Tickets in one step of a re-assertion. */
const CLAIMS_PER_TURN = 200;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;

export interface LedgerLinkDeps {
  readonly store: LedgerStore;
  readonly pool: PoolKey;
  readonly owner: string;
  readonly executes: boolean;
  readonly timing: Timing;
  readonly clock: Clock;
  readonly log: Logger;
  readonly desk: TicketDesk;
  readonly queue: TurnQueue;
  readonly onWindows: (windows: ReadonlyMap<string, number>) => void;
  /** The ledger began anew after this process had known it. */
  readonly onIncarnation: (incarnation: string) => void;
}

/**
 * Keeps this process a living owner: joins the ledger, sends heartbeats, and after every doubt (a turn that failed or
 * was stale, a ticket that nobody knows) holds all operations, joins again and re-asserts its whole set of tickets.
 */
export class LedgerLink {
  readonly #deps: LedgerLinkDeps;
  readonly #closing = new AbortController();
  #incarnation = '';
  #isJoining = false;
  #isBeating = false;
  #beatAgain = false;
  readonly #signs: SignsOfLife;
  /** How often it lost what it ran. Answers to what was sent before are void, however many there are. */
  #stalls = 0;
  #beatAtMs: number;
  #offsetMs = 0;

  constructor(deps: LedgerLinkDeps) {
    this.#deps = deps;
    this.#beatAtMs = deps.clock.monotonicMs();
    this.#signs = new SignsOfLife(deps.timing.deadOwnerMs, this.#beatAtMs);
  }

  get incarnation(): string {
    return this.#incarnation;
  }

  /** The ledger's time, from the last answer and this process's clock. */
  ledgerNowMs(): number {
    return this.#deps.clock.epochMs() + this.#offsetMs;
  }

  start(): void {
    this.doubt(null);
    void this.#tick();
  }

  heard(nowMs: number): void {
    this.#offsetMs = nowMs - this.#deps.clock.epochMs();
  }

  /**
   * Rejects, instead of sending and instead of handing on an answer that lay here, when the process stood still for so long
   * that others may have taken it for dead: no timer need have noticed yet.
   */
  async exec(ops: readonly LedgerOp[], reach: readonly string[]): Promise<TurnResult> {
    const { store, owner, clock } = this.#deps;
    if (this.noticeStall()) throw new Error('the process stood still');
    const sentMs = clock.monotonicMs();
    const stallsBefore = this.#stalls;
    const result = await store.exec({ owner, incarnation: this.#incarnation, reach, ops });
    const isSignOfLife = ops.some(({ op }) => op === 'heartbeat' || op === 'poll' || op === 'open');
    if (isSignOfLife && result.kind === 'turned') this.#signs.answered(sentMs);
    this.noticeStall();
    if (this.#stalls !== stallsBefore) throw new Error('the process stood still before it read the answer');
    return result;
  }

  /**
   * To be called before anything else that this process does. When others may have taken it for dead, what it runs may be
   * run again: it stops that first. When there is time left, it says at once that it lives. Returns whether it lost what it ran.
   */
  noticeStall(): boolean {
    const look = this.#signs.look(this.#deps.clock.monotonicMs());
    if (look === 'stood_still' && !this.#isJoining) this.beat();
    if (look !== 'ran_out') return false;
    this.#stalls += 1;
    const lost = this.#deps.desk.loseRunning();
    this.#log('error', { lost }, 'owner.stalled');
    this.doubt(null);
    return true;
  }

  /** What the ledger has of this process may differ from what this process knows. */
  doubt(error: Error | null): void {
    if (error !== null && !this.#isJoining) this.#log('warn', { err: error }, 'ledger.unreachable');
    if (this.#isJoining || this.#closing.signal.aborted) return;
    this.#isJoining = true;
    this.#deps.queue.hold();
    void this.#join();
  }

  /** A heartbeat now; if one is on its way, another follows it. */
  beat(): void {
    if (this.#isBeating) {
      this.#beatAgain = true;
      return;
    }
    this.#isBeating = true;
    this.#sendHeartbeat();
  }

  /** Leaves the ledger; the last operations are sent before. */
  async close(): Promise<void> {
    if (!this.#isJoining) {
      await new Promise<void>((resolve) => {
        const over = () => resolve();
        this.#deps.desk.push({ make: () => ({ op: 'leave' }), onReply: over, onFailure: over, onDoubt: over });
      });
    }
    this.#closing.abort();
  }

  async #tick(): Promise<void> {
    const { clock, queue, desk } = this.#deps;
    const { signal } = this.#closing;
    for (;;) {
      await clock.sleep(TICK_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      this.noticeStall();
      const nowMs = clock.monotonicMs();
      queue.expire(nowMs);
      desk.expireWaits();
      if (this.#isJoining) continue;
      if (nowMs - this.#beatAtMs >= HEARTBEAT_MS) this.beat();
      else if (desk.hasWaiting) this.#poll();
    }
  }

  #sendHeartbeat(): void {
    const { desk, clock } = this.#deps;
    this.#beatAtMs = clock.monotonicMs();
    const check = desk.idsToCheck();
    // Everything that left the table before this moment is ahead of the heartbeat, so the ledger cannot have more.
    const knownTickets = desk.size;
    desk.push<'heartbeat'>({
      make: () => ({ op: 'heartbeat', check }),
      onReply: (reply) => {
        this.#beatOver();
        this.#deps.onWindows(new Map(reply.windows.map(({ objective, requests }) => [objective, requests])));
        desk.heardStopped(reply.stoppedMs);
        desk.onPositions(check, reply.positions);
        if (reply.tickets <= knownTickets) return;
        this.#log('warn', { ledger: reply.tickets, known: knownTickets }, 'ledger.tickets_unknown');
        this.doubt(null);
      },
      onFailure: () => this.#beatOver(),
      onDoubt: () => this.#beatOver(),
    });
  }

  #beatOver(): void {
    this.#isBeating = false;
    if (!this.#beatAgain) return;
    this.#beatAgain = false;
    this.beat();
  }

  #poll(): void {
    const nothing = () => undefined;
    this.#deps.desk.push({ make: () => ({ op: 'poll' }), onReply: nothing, onFailure: nothing, onDoubt: nothing });
  }

  async #join(): Promise<void> {
    const { clock, queue, onIncarnation } = this.#deps;
    const { signal } = this.#closing;
    const previous = this.#incarnation;
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(2 * retryMs, MAX_RETRY_MS)) {
      try {
        await queue.whenIdle();
        await this.#joinOnce();
        this.#isJoining = false;
        queue.resume();
        this.beat();
        if (previous !== '' && previous !== this.#incarnation) onIncarnation(this.#incarnation);
        this.#log('info', { incarnation: this.#incarnation }, 'ledger.joined');
        return;
      } catch (thrown) {
        this.#log('debug', { err: asError(thrown) }, 'ledger.join_failed');
      }
      await clock.sleep(retryMs, signal).catch(() => undefined);
    }
  }

  async #joinOnce(): Promise<void> {
    const { store, executes, timing, desk } = this.#deps;
    const runId = await store.runId();
    const { replies } = await this.#turn([{ op: 'open', runId, previous: this.#incarnation, executes, timing }]);
    const [opened] = replies;
    if (opened?.kind !== 'opened') throw new Error('the ledger did not open');
    this.#incarnation = opened.incarnation;
    desk.heardStopped(opened.stoppedMs);
    const claims = desk.claims();
    for (let done = 0; done === 0 || done < claims.length; done += CLAIMS_PER_TURN) {
      const tickets = claims.slice(done, done + CLAIMS_PER_TURN);
      const last = done + CLAIMS_PER_TURN >= claims.length;
      const op: ReassertOp = { op: 'reassert', tickets, first: done === 0, last };
      const { replies, mail } = await this.#turn([op]);
      const [reply] = replies;
      if (reply?.kind !== 'reasserted') throw new Error('the ledger did not take the re-assertion');
      reply.tickets.forEach((answer, index) => {
        const claim = tickets[index];
        if (claim) desk.claimAnswered(claim, answer);
      });
      desk.onMail(mail);
    }
  }

  async #turn(ops: readonly LedgerOp[]) {
    // Without reach, so that nothing begins to run before this process knows what it has.
    const result = await this.exec(ops, []);
    if (result.kind === 'stale') throw new Error('the ledger began anew');
    this.heard(result.nowMs);
    return result;
  }

  #log(level: 'debug' | 'info' | 'warn' | 'error', fields: Record<string, unknown>, event: string): void {
    this.#deps.log[level]({ pool: this.#deps.pool, ...fields }, event);
  }
}
