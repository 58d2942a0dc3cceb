import type { IncomingMessage } from 'node:http';

const lifted = new WeakSet<IncomingMessage>();

/** For bodies that may take long, such as files: whoever reads it sees to it that its sender does not stall. */
export function liftBodyDeadline(req: IncomingMessage): void {
  lifted.add(req);
}

/** Finds requests whose bodies do not arrive in time. Node's own limit holds for all requests of a server alike. */
export class BodyDeadlines {
  readonly #timeoutMs: number;
  readonly #onLate: (req: IncomingMessage) => void;
  readonly #startedAtMs = new Map<IncomingMessage, number>();
  readonly #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, checkEveryMs: number, onLate: (req: IncomingMessage) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onLate = onLate;
    this.#timer = setInterval(() => this.#check(), checkEveryMs);
    this.#timer.unref();
  }

  /** From its headers on. */
  watch(req: IncomingMessage): void {
    const { 'content-length': length = '0', 'transfer-encoding': encoding } = req.headers;
    if (length === '0' && encoding === undefined) return;
    this.#startedAtMs.set(req, performance.now());
    req.once('close', () => this.#startedAtMs.delete(req));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #check(): void {
    const latestMs = performance.now() - this.#timeoutMs;
    for (const [req, startedAtMs] of this.#startedAtMs) {
      if (req.complete || lifted.has(req)) this.#startedAtMs.delete(req);
      else if (startedAtMs <= latestMs) {
        this.#startedAtMs.delete(req);
        this.#onLate(req);
      }
    }
  }
}
