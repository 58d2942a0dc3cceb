/** A time limit joined with a caller's signal. Whoever opens one closes it: it holds a timer and a listener. */
export interface Deadline {
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  /** The time was over before the caller gave up. */
  readonly isOver: boolean;
  /** The caller gave up. */
  readonly isAborted: boolean;
  /** The time limit no longer counts, the caller's signal still does. */
  lift(): void;
  close(): void;
  /** The result of the work, or a rejection as soon as the deadline is over. */
  race<T>(work: Promise<T>): Promise<T>;
}

export function openDeadline(timeoutMs: number, signal?: AbortSignal): Deadline {
  const own = new AbortController();
  let isOver = false;
  const timer = setTimeout(() => {
    isOver = !own.signal.aborted;
    own.abort(new Error(`not done within ${timeoutMs} ms`));
  }, timeoutMs);
  const onAbort = () => own.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  const close = () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  return {
    signal: own.signal,
    timeoutMs,
    get isOver() {
      return isOver;
    },
    get isAborted() {
      return own.signal.aborted && !isOver;
    },
    lift: () => clearTimeout(timer),
    close,
    async race(work) {
      own.signal.throwIfAborted();
      const { promise, reject } = Promise.withResolvers<never>();
      const fail = () => reject(own.signal.reason as Error);
      own.signal.addEventListener('abort', fail, { once: true });
      try {
        return await Promise.race([work, promise]);
      } finally {
        own.signal.removeEventListener('abort', fail);
      }
    },
  };
}
