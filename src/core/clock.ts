/** The world's time, handed to every loop so that tests can own it. */
export interface Clock {
  /** Wall time, milliseconds since the Unix epoch. For stamps and deadlines that leave the process. */
  epochMs(): number;
  /** Milliseconds that never run backwards. For durations inside one process. */
  monotonicMs(): number;
  /** Resolves after `delayMs`, or rejects with the signal's reason as soon as it aborts. */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
