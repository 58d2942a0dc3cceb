import { setTimeout as sleep } from 'node:timers/promises';
import { type Client, expectJson } from '../client.ts';
import type { PatientClient } from '../patience.ts';

/** A batch as far as the commands read it; docs/batches.md has all of it. */
export interface BatchState {
  readonly id: string;
  readonly status: string;
  readonly model: string | null;
  readonly created_at: number;
  readonly expires_at: number | null;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly errors: {
    readonly data: readonly { readonly code: string; readonly message: string; readonly line: number | null }[];
  } | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly pilotlight?: {
    readonly phase?: string;
    readonly rows_per_second?: number | null;
    readonly eta_seconds?: number | null;
    readonly step_percent?: number | null;
    readonly holding_reason?: string | null;
    readonly holding_message?: string | null;
  };
}

const FINAL = new Set(['completed', 'failed', 'expired', 'cancelled']);
/** As often as the object changes. */
const LOOK_EVERY_MS = 1_000;

export function batchPath(id: string): string {
  return `/v1/batches/${encodeURIComponent(id)}`;
}

export function isFinal({ status }: BatchState): boolean {
  return FINAL.has(status);
}

export async function getBatch(client: Client | PatientClient, id: string, signal: AbortSignal): Promise<BatchState> {
  return expectJson(await client.send({ path: batchPath(id), signal })) as BatchState;
}

/** POST /v1/batches/{id}/{verb} */
export async function changeBatch(
  client: Client | PatientClient,
  id: string,
  verb: string,
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<BatchState> {
  const path = `${batchPath(id)}/${verb}`;
  return expectJson(await client.send({ method: 'POST', path, body: JSON.stringify(body), signal })) as BatchState;
}

/** Each state of the batch, once a second, the final one last. Rejects with the signal's reason when that aborts. */
export async function* watchBatch(client: PatientClient, id: string, signal: AbortSignal): AsyncGenerator<BatchState> {
  for (;;) {
    const batch = await getBatch(client, id, signal);
    yield batch;
    if (isFinal(batch)) return;
    await sleep(LOOK_EVERY_MS, undefined, { signal });
  }
}
