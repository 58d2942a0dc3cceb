import { asError, PilotlightError } from '../../core/errors.ts';
import type { LogFields } from '../../core/logger.ts';
import { expiring, finalizing } from '../policy/lifecycle/generations.ts';
import { nextStep, type Step } from '../policy/lifecycle/next-step.ts';
import { type BatchDoc, RowStatesLost, type RowTotals } from '../ports.ts';
import { advance } from './advance.ts';
import { Bell } from './bell.ts';
import type { DriveDeps } from './drive-deps.ts';
import { endWithoutRows, finaliseBatch, settleBatch, tellEnd } from './ending-step.ts';
import { Interruptible } from './interruptible.ts';
import { ProgressTeller } from './progress-teller.ts';
import { giveUpValidation, isPassing, validateBatch } from './validation-step.ts';

const POLL_MS = 1_000;
/** Of a batch in which nothing has moved for a while. */
const QUIET_POLL_MS = 5_000;
const QUIET_AFTER_POLLS = 10;
const RETRY_MS = { first: 500, most: 5_000 } as const;
/** Tries of a validation that fails for no reason that passes by itself. */
const VALIDATION_TRIES = 5;
/** Files that cannot be published are assembled so often before the states are made anew. */
const SHORT_TRIES = 3;
/** The longest wait a timer can do. */
const MAX_SLEEP_MS = 2 ** 31 - 1;

/**
 * Carries one batch from where it stands to its end. Looks at what is written down, takes the next step, looks again: so
 * nothing depends on which process began, and two of these at once do each other no harm.
 */
export class BatchDrive {
  readonly #deps: DriveDeps;
  readonly #bell: Bell;
  readonly #teller: ProgressTeller;
  readonly #work = new Interruptible();
  #doc: BatchDoc;
  #totals: RowTotals | null = null;
  #supplied: BatchDoc | null = null;
  #isWithdrawn = false;
  #closedAtEpochMs: number | null = null;
  #needsRecovery: boolean;
  #validationTries = 0;
  #shortTries = 0;
  #failures = 0;
  #quietPolls = 0;

  constructor(deps: DriveDeps, doc: BatchDoc, options: { readonly needsRecovery: boolean }) {
    this.#deps = deps;
    this.#doc = doc;
    this.#needsRecovery = options.needsRecovery;
    this.#bell = new Bell(deps.clock);
    this.#teller = new ProgressTeller(deps, doc.id);
  }

  get doc(): BatchDoc {
    return this.#doc;
  }

  /** Nothing is going on that another keeper would have to begin anew. */
  get isCalm(): boolean {
    return !this.#work.isRunning;
  }

  /** A newer generation of this batch, from wherever. */
  heard(doc: BatchDoc): void {
    if (doc.generation <= this.#doc.generation) return;
    this.#adopt(doc);
    this.#work.heard(doc);
    this.#bell.ring();
  }

  /** Rows of it have ended in this process. */
  moved(totals: RowTotals): void {
    this.#quietPolls = 0;
    if (totals.pending === 0) this.#bell.ring();
  }

  /** Redis may have lost what it confirmed: row records are to be compared with the states. */
  doubt(): void {
    this.#needsRecovery = true;
    this.#supplied = null;
    this.#isWithdrawn = false;
    this.#bell.ring();
  }

  /** Resolves with true when nothing is left to do, with false when the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      try {
        const step = await this.#look();
        if (step.kind === 'leave') {
          this.#deps.rows.leave(this.#doc.id);
          await this.#deps.states.drop(this.#doc.id);
          return true;
        }
        await this.#act(step, signal);
        this.#failures = 0;
      } catch (error) {
        await this.#recoil(error, signal);
      }
    }
    return false;
  }

  async #look(): Promise<Step> {
    const { clock, settings, board, states } = this.#deps;
    const doc = this.#doc;
    const hasRows = doc.plan !== null && doc.final === null;
    this.#totals = hasRows ? await states.totals(doc.id).catch(nullWhenLost) : null;
    if (hasRows && this.#totals !== null) await this.#teller.rowsEnded(this.#totals);
    const rowsRunning = doc.ending === null ? 0 : (await board.read(doc.id)).rowsRunning;
    const facts = {
      totals: this.#totals,
      suppliedGeneration: this.#supplied?.generation ?? 0,
      isWithdrawn: this.#isWithdrawn,
      closedAtEpochMs: this.#closedAtEpochMs,
      rowsRunning: Math.max(rowsRunning, this.#deps.rows.running(doc.id)),
      needsRecovery: this.#needsRecovery,
    };
    return nextStep(doc, facts, clock.epochMs(), settings.cancelGraceMs);
  }

  async #act(step: Exclude<Step, { kind: 'leave' }>, signal: AbortSignal): Promise<void> {
    const { states, rows, journal, clock } = this.#deps;
    const doc = this.#doc;
    switch (step.kind) {
      case 'validate':
        return this.#validate(doc, signal);
      case 'end_without_rows':
        this.#adopt(await endWithoutRows(this.#deps, doc));
        return;
      case 'reopen':
        return this.#reopen(doc, signal);
      case 'recover':
        return this.#recover(doc, signal);
      case 'set_gate':
        return states.setGate(doc.id, step.gate);
      case 'supply':
        return this.#supply(doc);
      case 'withdraw':
        return this.#withdraw(doc);
      case 'expire':
        return this.#expire(doc);
      case 'read_again':
        return this.#readAgain(doc);
      case 'end_pending':
        rows.abort(doc.id);
        await states.closePending(doc.id, step.state);
        return;
      case 'begin_finalizing':
        this.#adopt((await advance(journal, doc, (now) => finalizing(now, clock.epochMs()))).doc);
        return;
      case 'finalise':
        return this.#finalise(doc, signal);
      case 'settle':
        this.#adopt(await settleBatch(this.#deps, doc));
        return;
      case 'wait':
        return this.#wait(step.untilEpochMs, signal);
    }
  }

  async #expire(doc: BatchDoc): Promise<void> {
    const { journal, clock } = this.#deps;
    const isShort = doc.status === 'finalizing';
    this.#adopt((await advance(journal, doc, (now) => expiring(now, clock.epochMs(), isShort))).doc);
  }

  async #readAgain(doc: BatchDoc): Promise<void> {
    if (await this.#isBehind(doc)) return;
    throw new PilotlightError('store_unavailable', `The store does not show yet why the rows of ${doc.id} were ended.`);
  }

  /** Whether the store has a newer generation; it is taken over. */
  async #isBehind(doc: BatchDoc): Promise<boolean> {
    const stored = await this.#deps.journal.readStored(doc.id);
    if (!stored || stored.generation <= doc.generation) return false;
    this.heard(stored);
    return true;
  }

  async #validate(doc: BatchDoc, signal: AbortSignal): Promise<void> {
    const isStillRight = (now: BatchDoc) =>
      now.status === 'validating' && now.ending === null && now.wishes.objective === doc.wishes.objective;
    const over = new AbortController();
    void this.#atWindowEnd(doc, over);
    try {
      const both = AbortSignal.any([signal, over.signal]);
      const after = await this.#work.run(both, isStillRight, (inner) =>
        validateBatch(this.#deps, doc, { signal: inner, onProgress: this.#teller.stepDone }),
      );
      if (after) this.#adopt(after);
      if (after?.status === 'failed') tellEnd(this.#deps, after);
    } catch (error) {
      if (over.signal.aborted) return;
      await this.#afterFailedValidation(doc, error);
    } finally {
      over.abort();
    }
  }

  /** The end of the window ends a validation too. */
  async #atWindowEnd(doc: BatchDoc, over: AbortController): Promise<void> {
    const leftMs = Math.min(doc.expiresAtEpochMs - this.#deps.clock.epochMs(), MAX_SLEEP_MS);
    await this.#deps.clock.sleep(leftMs, over.signal).catch(() => undefined);
    over.abort(new Error('the window is over'));
  }

  async #afterFailedValidation(doc: BatchDoc, thrown: unknown): Promise<void> {
    if (!isPassing(thrown)) this.#validationTries += 1;
    if (this.#validationTries < VALIDATION_TRIES) throw thrown;
    this.#deps.log.error({ batch: doc.id, problem: asError(thrown).message }, 'batch.validation_given_up');
    const after = await giveUpValidation(this.#deps, doc, thrown);
    this.#adopt(after);
    if (after.status === 'failed') tellEnd(this.#deps, after);
  }

  /** Whoever is late finds out here that the batch has ended: else it would bring its row states back. */
  async #reopen(doc: BatchDoc, signal: AbortSignal): Promise<void> {
    if (await this.#isBehind(doc)) return;
    await this.#deps.states.open(doc.id, doc.plan?.runnable ?? 0, 'paused');
    this.#supplied = null;
    this.#isWithdrawn = false;
    await this.#recover(doc, signal);
  }

  async #recover(doc: BatchDoc, signal: AbortSignal): Promise<void> {
    const { rows, log } = this.#deps;
    this.#needsRecovery = true;
    // What Redis lost may be the news of a change, too.
    if (await this.#isBehind(doc)) return;
    const isStillRight = (now: BatchDoc) => (now.ending === null) === (doc.ending === null);
    const recovered = await this.#work.run(signal, isStillRight, (inner) => rows.recover(doc, inner));
    if (recovered === null) return;
    this.#needsRecovery = false;
    if (recovered > 0) log.info({ batch: doc.id, rows: recovered }, 'batch.rows_recovered');
  }

  async #supply(doc: BatchDoc): Promise<void> {
    const { rows } = this.#deps;
    // Chunks that wait under another objective would run in its place.
    if (this.#supplied && haveMoved(this.#supplied, doc)) await rows.withdraw(this.#supplied);
    await rows.supply(doc);
    this.#supplied = doc;
  }

  async #withdraw(doc: BatchDoc): Promise<void> {
    const { states, rows, clock } = this.#deps;
    await states.setGate(doc.id, 'closing');
    this.#closedAtEpochMs ??= clock.epochMs();
    await rows.withdraw(doc);
    this.#isWithdrawn = true;
  }

  async #finalise(doc: BatchDoc, signal: AbortSignal): Promise<void> {
    const { plan } = doc;
    if (plan === null) return;
    if (!this.#isWithdrawn) await this.#deps.rows.withdraw(doc);
    this.#isWithdrawn = true;
    const isStillRight = (now: BatchDoc) => now.final === null;
    const after = await this.#work.run(signal, isStillRight, (inner) =>
      finaliseBatch(this.#deps, doc, plan, { signal: inner, onProgress: this.#teller.stepDone }),
    );
    if (after) this.#adopt(after);
  }

  #wait(untilEpochMs: number, signal: AbortSignal): Promise<void> {
    this.#quietPolls = this.#teller.hasMoved ? 0 : this.#quietPolls + 1;
    const pollMs = this.#quietPolls > QUIET_AFTER_POLLS ? QUIET_POLL_MS : POLL_MS;
    return this.#bell.wait(Math.max(0, Math.min(pollMs, untilEpochMs - this.#deps.clock.epochMs())), signal);
  }

  /** After a failure: what Redis lost is seen at the next look; everything else is tried again, ever more slowly. */
  async #recoil(thrown: unknown, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    const { log, clock } = this.#deps;
    const fields = { batch: this.#doc.id, status: this.#doc.status, problem: asError(thrown).message };
    if (isPassing(thrown) || thrown instanceof RowStatesLost) log.warn(fields, 'batch.step_failed');
    else if (this.#totals?.pending === 0) await this.#notPublished(fields);
    else log.error(fields, 'batch.step_failed');
    const delayMs = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    await clock.sleep(delayMs, signal).catch(() => undefined);
  }

  /**
   * Files and states disagree. The records are the truth: after a few tries the states are made of them anew, and rows
   * without a whole record run again.
   */
  async #notPublished(fields: LogFields): Promise<void> {
    const { log, meter, states } = this.#deps;
    log.error(fields, 'batch.not_published');
    meter.short();
    this.#shortTries += 1;
    if (this.#shortTries % SHORT_TRIES !== 0) return;
    log.warn({ batch: this.#doc.id }, 'batch.states_rebuilt');
    await states.drop(this.#doc.id).catch(() => undefined);
  }

  #adopt(doc: BatchDoc): void {
    if (doc.generation < this.#doc.generation) return;
    this.#deps.meter.kept(this.#doc.status, doc.status);
    this.#doc = doc;
  }
}

function haveMoved(before: BatchDoc, after: BatchDoc): boolean {
  return before.plan?.groups.some((group, index) => group.objective !== after.plan?.groups[index]?.objective) ?? false;
}

function nullWhenLost(error: unknown): null {
  if (error instanceof RowStatesLost) return null;
  throw error;
}
