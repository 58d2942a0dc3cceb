import { PilotlightError } from '../../core/errors.ts';
import type { EnterOptions, Entry, TicketSpec } from '../../core/live-order.ts';
import type { AdmitOp, Offer, ReassertedTicket, Stamp, TenantFields } from '../policy/ledger/ops.ts';

/** Endpoints told to the ledger: a slot beyond the best of these is not worth a longer message. */
const MAX_RANKING = 32;

/** As the owner sees it. `admitting`: the ledger has not answered yet. */
export type OwnedState = 'admitting' | 'waiting' | 'offered' | 'running' | 'recording' | 'ended';

/** A ticket of this process and the caller that waits for it. */
export class OwnedTicket {
  readonly spec: TicketSpec;
  readonly options: EnterOptions;
  state: OwnedState = 'admitting';
  tag: Stamp = '0';
  /** Of the present grant or offer; '' = none. */
  token: Stamp = '';
  endpointId = '';
  excluded: string[] = [];
  attempt = 0;
  waitedMs = 0;
  /** When the ledger let it in, in ledger time. */
  queuedAtMs = 0;
  /** What the ledger's sum of time without slots was when it came, and by what that moved its expiry in sums that were lost. */
  stoppedBaseMs = 0;
  stoppedBeforeMs = 0;
  /** An offer that overtook the answer to its admission. */
  earlyOffer: Offer | null = null;
  /** A forgotten ticket of the same id was withdrawn and the admission repeated. */
  isRepeated = false;
  #position = -1;
  #lost: AbortController | null = null;
  #isLost = false;
  #resolve: (entry: Entry) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #onAbort: (() => void) | null = null;

  constructor(spec: TicketSpec, options: EnterOptions) {
    this.spec = spec;
    this.options = options;
  }

  get id(): string {
    return this.spec.id;
  }

  /** Holds no slot yet, and its caller waits for one. */
  get isPending(): boolean {
    return this.state === 'admitting' || this.state === 'waiting' || this.state === 'offered';
  }

  get isActive(): boolean {
    return this.state === 'running' || this.state === 'recording';
  }

  /** How the wait that begins now will end. */
  entry(): Promise<Entry> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  resolve(entry: Entry): void {
    this.#resolve(entry);
  }

  reject(error: Error): void {
    this.#reject(error);
  }

  onAbort(listener: () => void): void {
    this.#onAbort = listener;
    this.options.signal.addEventListener('abort', listener);
  }

  /** Nothing happens to it any more. */
  end(): void {
    this.state = 'ended';
    if (this.#onAbort) this.options.signal.removeEventListener('abort', this.#onAbort);
    this.#onAbort = null;
  }

  moved(position: number): void {
    if (position === this.#position) return;
    this.#position = position;
    this.options.onWaiting?.(position);
  }

  get lost(): AbortSignal {
    this.#lost ??= new AbortController();
    if (this.#isLost) this.#lost.abort(leaseLost());
    return this.#lost.signal;
  }

  /** The slot is no longer this process's. */
  lose(): void {
    this.end();
    this.#isLost = true;
    this.#lost?.abort(leaseLost());
  }

  rank(): readonly string[] {
    return this.options.rank().slice(0, MAX_RANKING);
  }

  admitOp(): AdmitOp {
    const { spec } = this;
    const { id, kind, objective, priority, classKey, bytes, costTokens, limits } = spec;
    return {
      op: 'admit',
      ...{ id, kind, objective, priority, classKey, bytes, costTokens },
      ...tenantFields(spec),
      expiresAtMs: spec.expiresAtEpochMs ?? 0,
      arrivedAtMs: spec.arrivedAtEpochMs ?? 0,
      limits,
      ranking: this.rank(),
    };
  }

  /** When it expires by what is known; 0 = never. `stoppedMs`: the ledger's sum of time without slots. */
  expiresAtMs(stoppedMs: number): number {
    const { expiresAtEpochMs, expiryStopsWithoutCapacity } = this.spec;
    if (expiresAtEpochMs === null || !expiryStopsWithoutCapacity) return expiresAtEpochMs ?? 0;
    return expiresAtEpochMs + this.stoppedBeforeMs + stoppedMs - this.stoppedBaseMs;
  }

  /** When its wait ends on the clock that never stops; 0 = never. The ledger ends those on the other clock. */
  get waitsUntilMs(): number {
    const { expiresAtEpochMs, expiryStopsWithoutCapacity, deadlineEpochMs } = this.spec;
    return (expiryStopsWithoutCapacity ? deadlineEpochMs : expiresAtEpochMs) ?? 0;
  }

  /** The ledger's sum begins anew. */
  rebase(fromMs: number, toMs: number): void {
    this.stoppedBeforeMs += fromMs - this.stoppedBaseMs;
    this.stoppedBaseMs = toMs;
  }

  /** What it says of itself after ledger state was lost; null while it is not in the ledger. */
  claim(stoppedMs: number): ReassertedTicket | null {
    if (this.state === 'admitting' || this.state === 'ended') return null;
    const { id, kind, objective, priority, classKey, bytes, costTokens } = this.spec;
    return {
      ...{ id, kind, objective, priority, classKey, bytes, costTokens },
      ...tenantFields(this.spec),
      expiresAtMs: this.expiresAtMs(stoppedMs),
      tag: this.tag,
      queuedAtMs: this.queuedAtMs,
      state: this.state === 'offered' ? 'waiting' : this.state,
      endpointId: this.isActive ? this.endpointId : '',
      excluded: this.excluded,
      attempt: this.attempt,
    };
  }
}

/** What is as usual is not sent: every admission carries this. */
function tenantFields(spec: TicketSpec): TenantFields {
  const { fairnessId, weight, maxConcurrency, deadlineEpochMs, expiryStopsWithoutCapacity } = spec;
  return {
    fairnessId,
    ...(weight !== 1 && { weight }),
    ...(maxConcurrency !== undefined && { maxConcurrency }),
    ...(deadlineEpochMs != null && { deadlineMs: deadlineEpochMs }),
    ...(expiryStopsWithoutCapacity && { expiryStops: true }),
  };
}

function leaseLost(): PilotlightError {
  return new PilotlightError('lease_lost', 'This process can no longer prove that the slot is its own.');
}
