import { PilotlightError } from '../core/errors.ts';
import { formatBytes } from '../core/units.ts';

/** One call's part of the budget. */
export interface Hold {
  /** Reserves bytes before they are read; an error leaves what was reserved as it was. */
  reserve(bytes: number): PilotlightError | undefined;
  /** Gives everything back. Idempotent. */
  release(): void;
}

/** Room for held calls and their bodies in this process. Nothing is read that has no room. */
export class HeldBudget {
  readonly maxCalls: number;
  readonly maxBytes: number;
  #calls = 0;
  #bytes = 0;

  constructor(limits: { maxHeldCalls: number; maxHeldBytes: number }) {
    this.maxCalls = limits.maxHeldCalls;
    this.maxBytes = limits.maxHeldBytes;
  }

  get calls(): number {
    return this.#calls;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes a place for one call, or says that there is none. */
  hold(): Hold | PilotlightError {
    if (this.#calls >= this.maxCalls) {
      return new PilotlightError(
        'held_calls_full',
        `${this.maxCalls} calls already wait here (limits.heldCalls). Try again later, or send it as a job: POST /v1/jobs.`,
      );
    }
    this.#calls += 1;
    let heldBytes = 0;
    let released = false;
    return {
      reserve: (bytes) => {
        if (this.#bytes + bytes > this.maxBytes) return bytesFull(this.maxBytes);
        this.#bytes += bytes;
        heldBytes += bytes;
        return undefined;
      },
      release: () => {
        if (released) return;
        released = true;
        this.#calls -= 1;
        this.#bytes -= heldBytes;
      },
    };
  }
}

function bytesFull(maxBytes: number): PilotlightError {
  return new PilotlightError(
    'held_bytes_full',
    `The request bodies held here fill their budget of ${formatBytes(maxBytes)} (limits.heldBytes). Try again later.`,
  );
}
