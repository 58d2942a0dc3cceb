import type { IncomingMessage } from 'node:http';
import type { Writable } from 'node:stream';
import type { Clock } from '../../../core/clock.ts';
import { PilotlightError } from '../../../core/errors.ts';
import { formatDuration } from '../../../core/units.ts';

/** The least that a sender we wait for has to send within the stall time-out; a modem is quicker. */
const MIN_BYTES = 32_768;

export interface PumpOptions {
  readonly clock: Clock;
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Writes a request's body into the sink as fast as the sink takes it, and ends the sink. Throws the signal's reason,
 * `request_cancelled` when the client leaves, `request_timeout` when it stalls while we wait for it. The request can still
 * be answered then.
 */
export function pumpBody(req: IncomingMessage, sink: Writable, options: PumpOptions): Promise<void> {
  const { signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const watch = new StallWatch(options, reject);
  const onData = (chunk: Uint8Array) => {
    watch.arrived(chunk.length);
    if (sink.write(chunk)) return;
    req.pause();
    watch.pause();
  };
  const onDrain = () => {
    watch.resume();
    req.resume();
  };
  const onEnd = () => {
    sink.end();
    resolve(undefined);
  };
  const onClose = () => reject(new PilotlightError('request_cancelled', 'The client closed the connection.'));
  const onAbort = () => reject(signal.reason as Error);
  sink.on('drain', onDrain);
  signal.addEventListener('abort', onAbort);
  req.on('data', onData).once('end', onEnd).once('close', onClose).once('error', onClose);
  if (signal.aborted) onAbort();
  else if (req.destroyed && !req.complete) onClose();
  return promise.finally(() => {
    watch.end();
    sink.off('drain', onDrain);
    signal.removeEventListener('abort', onAbort);
    req.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    // What comes after a failure breaks nothing.
    req.on('error', () => undefined);
  });
}

/** Counts what arrives in spans of the stall time-out; the time in which we were not reading does not count. */
class StallWatch {
  readonly #clock: Clock;
  readonly #spanMs: number;
  readonly #onStall: (error: PilotlightError) => void;
  readonly #ended = new AbortController();
  #bytes = 0;
  #pausedMs = 0;
  #pausedSinceMs: number | null = null;

  constructor({ clock, stallTimeoutMs }: PumpOptions, onStall: (error: PilotlightError) => void) {
    this.#clock = clock;
    this.#spanMs = stallTimeoutMs;
    this.#onStall = onStall;
    void this.#watch();
  }

  arrived(bytes: number): void {
    this.#bytes += bytes;
  }

  pause(): void {
    this.#pausedSinceMs ??= this.#clock.monotonicMs();
  }

  resume(): void {
    if (this.#pausedSinceMs !== null) this.#pausedMs += this.#clock.monotonicMs() - this.#pausedSinceMs;
    this.#pausedSinceMs = null;
  }

  end(): void {
    this.#ended.abort();
  }

  async #watch(): Promise<void> {
    const slept = () =>
      this.#clock.sleep(this.#spanMs, this.#ended.signal).then(
        () => true,
        () => false,
      );
    while (await slept()) {
      const wasReading = this.#pausedSinceMs === null && this.#pausedMs < this.#spanMs / 10;
      if (wasReading && this.#bytes < MIN_BYTES) this.#onStall(stalled(this.#spanMs));
      this.#bytes = 0;
      this.#pausedMs = 0;
      if (this.#pausedSinceMs !== null) this.#pausedSinceMs = this.#clock.monotonicMs();
    }
  }
}

function stalled(spanMs: number): PilotlightError {
  const message = `Next to nothing of the file arrived within ${formatDuration(spanMs)} (timeouts.clientStall). Send it again, or in parts: POST /v1/uploads.`;
  return new PilotlightError('request_timeout', message);
}
