import { PilotlightError } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';

/** The source's chunks. An abort ends the wait for the next one with its reason, and the source with it. */
export async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
  if (!signal) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  // One promise a chunk: a race with one that lives as long as the source would keep every chunk until its end.
  let giveUp: (reason: Error) => void = () => undefined;
  const nextOrAbort = (): Promise<IteratorResult<T>> =>
    new Promise((resolve, reject) => {
      giveUp = reject;
      iterator.next().then(resolve, reject);
    });
  const onAbort = (): void => giveUp(signal.reason as Error);
  signal.addEventListener('abort', onAbort);
  let isDone = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await nextOrAbort();
      isDone = next.done === true;
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // A source that hangs would never answer: after an abort nobody waits for it.
    const returned = isDone ? undefined : iterator.return?.();
    if (signal.aborted) returned?.then(undefined, () => undefined);
    else await returned;
  }
}

/** The same chunks; throws `file_too_large` as soon as there are more bytes than that. */
export async function* upTo(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.byteLength;
    if (bytes > maxBytes) {
      throw new PilotlightError(
        'file_too_large',
        `The content is longer than ${formatBytes(maxBytes)}, the limit here.`,
      );
    }
    yield chunk;
  }
}

/** A source that is not wanted after all: ends it without reading it. */
export async function endUnread(source: AsyncIterable<unknown>): Promise<void> {
  await source[Symbol.asyncIterator]().return?.();
}
