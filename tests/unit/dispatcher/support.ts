import type { InferenceCall } from '../../../src/core/call.ts';
import type { ResponseHead, ResponseSink, WaitStatus } from '../../../src/core/dispatch.ts';
import type { Endpoint, EndpointDirectory } from '../../../src/core/endpoint.ts';
import type { LogFields, Logger } from '../../../src/core/logger.ts';
import type { PoolKey } from '../../../src/core/objects.ts';

export const POOL = 'default/tiny';

export function inferenceCall(changes: Partial<InferenceCall> = {}): InferenceCall {
  return {
    id: 'call-1',
    path: '/v1/chat/completions',
    pool: POOL,
    model: 'tiny',
    servedModel: 'tiny',
    adapter: null,
    stream: false,
    body: new TextEncoder().encode('{"model":"tiny","messages":[]}'),
    promptText: () => 'Hello',
    inputTokens: 2,
    maxOutputTokens: null,
    forwardHeaders: { 'x-request-id': 'call-1' },
    ...changes,
  };
}

export function endpoint(id: string, changes: Partial<Endpoint> = {}): Endpoint {
  return {
    id,
    pool: POOL,
    url: `http://${id}`,
    target: 'local',
    slotsPerEndpoint: 8,
    readyAtEpochMs: 0,
    draining: false,
    ...changes,
  };
}

/** A directory that a test edits. */
export class FakeDirectory implements EndpointDirectory {
  #endpoints: readonly Endpoint[];
  readonly #listeners = new Set<(pool: PoolKey) => void>();

  constructor(endpoints: readonly Endpoint[] = []) {
    this.#endpoints = endpoints;
  }

  get listeners(): number {
    return this.#listeners.size;
  }

  set(endpoints: readonly Endpoint[]): void {
    this.#endpoints = endpoints;
    for (const listener of this.#listeners) listener(POOL);
  }

  list(pool: PoolKey): readonly Endpoint[] {
    return this.#endpoints.filter((listed) => listed.pool === pool);
  }

  onChange(listener: (pool: PoolKey) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** Keeps everything it is given. `room` false makes it a slow reader until `drain` is called. */
export class RecordingSink implements ResponseSink {
  head: ResponseHead | null = null;
  ended = false;
  room = true;
  readonly statuses: WaitStatus[] = [];
  #chunks: Uint8Array[] = [];
  #drained: (() => void) | null = null;

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }

  waiting(status: WaitStatus): void {
    this.statuses.push(status);
  }

  begin(head: ResponseHead): void {
    if (this.head) throw new Error('begin was called twice');
    this.head = head;
  }

  write(chunk: Uint8Array): boolean {
    if (!this.head || this.ended) throw new Error('write outside begin and end');
    this.#chunks.push(chunk);
    return this.room;
  }

  drained(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#drained = resolve;
      signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
    });
  }

  drain(): void {
    this.room = true;
    this.#drained?.();
  }

  end(): void {
    if (!this.head || this.ended) throw new Error('end outside begin and end');
    this.ended = true;
  }
}

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly event: string;
  readonly fields: LogFields;
}

export class MemoryLog implements Logger {
  readonly lines: LogLine[] = [];

  debug(fields: LogFields, event: string): void {
    this.lines.push({ level: 'debug', event, fields });
  }

  info(fields: LogFields, event: string): void {
    this.lines.push({ level: 'info', event, fields });
  }

  warn(fields: LogFields, event: string): void {
    this.lines.push({ level: 'warn', event, fields });
  }

  error(fields: LogFields, event: string): void {
    this.lines.push({ level: 'error', event, fields });
  }

  child(): Logger {
    return this;
  }
}
