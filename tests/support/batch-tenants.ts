import { createHash } from 'node:crypto';
import type OpenAI from 'openai';
import { until } from './until.ts';

const ENDED = ['completed', 'failed', 'expired', 'cancelled'];

export interface TestTenant {
  readonly name: string;
  readonly key: string;
  readonly [field: string]: unknown;
}

/** Sections of a Configuration in which only these tenants may call. */
export function tenantSections(tenants: readonly TestTenant[]): Record<string, unknown> {
  return {
    auth: { anonymous: { enabled: false } },
    tenants: tenants.map(({ key, ...rest }) => ({
      ...rest,
      keys: [`sha256:${createHash('sha256').update(key).digest('hex')}`],
    })),
  };
}

/** What came of a call: status, body, and the header that tells SDKs not to repeat it. */
export interface Told {
  readonly status: number;
  readonly body: unknown;
  readonly noRetry: boolean;
}

/** Calls the API as a tenant, without an SDK between. */
export function callerOf(apiUrl: () => string, key: string) {
  return async (method: string, path: string, options: CallOptions = {}): Promise<Told> => {
    const { json, body, headers = {} } = options;
    const answer = await fetch(`${apiUrl()}/v1${path}`, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(json !== undefined && { body: JSON.stringify(json) }),
      ...(body !== undefined && { body }),
    });
    const text = await answer.text();
    return {
      status: answer.status,
      body: /^application\/json\b/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(text) : text,
      noRetry: answer.headers.get('x-should-retry') === 'false',
    };
  };
}

export type Caller = ReturnType<typeof callerOf>;

export interface CallOptions {
  readonly json?: unknown;
  readonly body?: NonNullable<RequestInit['body']>;
  readonly headers?: Record<string, string>;
}

export interface Batch extends OpenAI.Batch {
  readonly pilotlight: { readonly holding_reason: string | null; readonly holding_message: string | null };
}

/** Sends these bytes as a file of a batch. */
export async function sendFile(call: Caller, content: string | Uint8Array, filename = 'rows.jsonl'): Promise<Told> {
  const form = new FormData();
  form.append('purpose', 'batch');
  form.append('file', new Blob([content]), filename);
  return call('POST', '/files', { body: form });
}

export function batchOf(fileId: string, extra: Record<string, unknown> = {}) {
  return { input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h', ...extra };
}

/** Uploads, creates; answers with the batch. Throws when either is refused. */
export async function submitted(call: Caller, content: string | Uint8Array, extra = {}): Promise<Batch> {
  const file = await sendFile(call, content);
  if (file.status !== 200) throw new Error(`the file was refused: ${JSON.stringify(file.body)}`);
  const batch = await call('POST', '/batches', { json: batchOf((file.body as { id: string }).id, extra) });
  if (batch.status !== 200) throw new Error(`the batch was refused: ${JSON.stringify(batch.body)}`);
  return batch.body as Batch;
}

/** A 503 in between is no end. */
export async function batchWhen(
  call: Caller,
  id: string,
  what: string,
  holds: (batch: Batch) => boolean,
  deadlineMs = 60_000,
) {
  let batch: Batch | null = null;
  const look = async () => {
    const answer = await call('GET', `/batches/${id}`).catch(() => null);
    if (answer?.status === 200) batch = answer.body as Batch;
    return batch !== null && holds(batch);
  };
  await until(look, `${what}: ${id}`, deadlineMs).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}; it is ${JSON.stringify(batch)}`);
  });
  return batch as unknown as Batch;
}

export function endedBatch(call: Caller, id: string, deadlineMs?: number): Promise<Batch> {
  return batchWhen(call, id, 'the batch has ended', ({ status }) => ENDED.includes(status), deadlineMs);
}

/** For `batchWhen`. */
export const isRunning = (completed: number) => (batch: Batch) => (batch.request_counts?.completed ?? 0) >= completed;
