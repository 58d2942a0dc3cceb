import type { Clock } from '../core/clock.ts';
import { PilotlightError } from '../core/errors.ts';
import type { AnswerWriter } from './ports.ts';

export interface DrainOptions {
  readonly clock: Clock;
  readonly stallTimeoutMs: number;
  readonly signal: AbortSignal;
}

/** Resolves when the client has read enough to be written to again. Cuts it off, and rejects, when it reads nothing for too long. */
export async function clientDrained(
  writer: AnswerWriter,
  { clock, stallTimeoutMs, signal }: DrainOptions,
): Promise<void> {
  signal.throwIfAborted();
  if (writer.destroyed) throw clientGone();
  if (!writer.writableNeedDrain) return;
  const settled = new AbortController();
  const stalled = clock.sleep(stallTimeoutMs, AbortSignal.any([signal, settled.signal])).then(() => writer.destroy());
  // Ends by the abort below in all but one case; the rejection says nothing new.
  stalled.catch(() => undefined);
  try {
    await nextDrain(writer, signal);
  } finally {
    settled.abort();
  }
}

function nextDrain(writer: AnswerWriter, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => () => {
      writer.off('drain', onDrain);
      writer.off('close', onClose);
      signal.removeEventListener('abort', onAbort);
      act();
    };
    const onDrain = settle(resolve);
    const onClose = settle(() => reject(clientGone()));
    const onAbort = settle(() => reject(signal.reason as Error));
    writer.once('drain', onDrain);
    writer.once('close', onClose);
    signal.addEventListener('abort', onAbort);
  });
}

function clientGone(): PilotlightError {
  return new PilotlightError('request_cancelled', 'The client closed the connection.');
}
