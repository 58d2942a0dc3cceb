import OpenAI, { APIError, ConflictError, NotFoundError, toFile } from 'openai';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/platform/clock.ts';
import { API_KEY, GATEWAY_KEY, type Rig, startRig } from '../integration/ingress/rig.ts';
import { type FileWorld, openFileWorld } from '../support/file-world.ts';
import { FakeBatches } from '../unit/ingress/support/fake-batches.ts';

/** Files, uploads and batches as the official client uses them, unmodified but for its base URL. */

const LINE = '{"custom_id":"1","method":"POST","url":"/v1/chat/completions","body":{"model":"tiny","messages":[]}}\n';

let rig: Rig;
let world: FileWorld;
let batches: FakeBatches;
let client: OpenAI;
beforeEach(async () => {
  world = openFileWorld(systemClock);
  batches = new FakeBatches();
  const settings = { windows: ['24h', '8h'], fileBytes: 10_000_000, uploadPartBytes: 1_000_000 };
  rig = await startRig({ batchApi: { files: world.files, uploads: world.uploads, batches, settings } });
  client = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: API_KEY, maxRetries: 0 });
});
afterEach(() => rig.close());

function upload(text = LINE, name = 'tickets.jsonl') {
  return toFile(Buffer.from(text), name).then((file) => client.files.create({ file, purpose: 'batch' }));
}

async function thrownBy(action: () => Promise<unknown>): Promise<APIError> {
  const thrown = await action().then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof APIError)) throw new Error(`expected an APIError, got ${String(thrown)}`);
  return thrown;
}

describe('files of the official client', () => {
  test('are sent and come back', async () => {
    const file = await upload();
    expect(file).toMatchObject({
      object: 'file',
      bytes: LINE.length,
      filename: 'tickets.jsonl',
      purpose: 'batch',
      status: 'processed',
      status_details: null,
      expires_at: file.created_at + 2_592_000,
    });
    expect(await client.files.retrieve(file.id)).toEqual(file);
    expect(await (await client.files.content(file.id)).text()).toBe(LINE);
    expect(await client.files.waitForProcessing(file.id)).toEqual(file);
  });

  test('may say how long they are kept', async () => {
    const file = await client.files.create({
      file: await toFile(Buffer.from(LINE), 'a.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    });
    expect(file.expires_at).toBe(file.created_at + 3_600);
  });

  test('are sent from a stream without a length', async () => {
    const pieces = new ReadableStream<Uint8Array>({
      start(controller) {
        for (let n = 0; n < 2_000; n += 1) controller.enqueue(Buffer.from(LINE));
        controller.close();
      },
    });
    const file = await client.files.create({ file: new Response(pieces), purpose: 'user_data' });
    expect(file.bytes).toBe(2_000 * LINE.length);
  });

  test('are listed page by page, each once, also while they are deleted', async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) made.push((await upload(LINE, `${n}.jsonl`)).id);
    const seen: string[] = [];
    for await (const file of client.files.list({ limit: 2 })) {
      seen.push(file.id);
      expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    }
    expect(seen).toEqual(made.reverse());
    expect((await client.files.list()).data).toEqual([]);
    expect(world.store.keys).toEqual([]);
  });

  test('of another tenant are unknown, and so are those that never were', async () => {
    const file = await upload();
    const other = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
    for (const action of [
      () => other.files.retrieve(file.id),
      () => other.files.content(file.id),
      () => other.files.delete(file.id),
      () => client.files.retrieve('file-never'),
    ]) {
      const error = await thrownBy(action);
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error.code).toBe('file_not_found');
    }
    expect((await other.files.list()).data).toEqual([]);
  });

  test('that batches cannot read are refused with the words of OpenAI', async () => {
    const sent = (bytes: Uint8Array, name: string) => async () =>
      client.files.create({ file: await toFile(bytes, name), purpose: 'batch' });
    const wrongName = await thrownBy(sent(Buffer.from(LINE), 'tickets.csv'));
    expect([wrongName.status, wrongName.message]).toEqual([
      400,
      expect.stringContaining('Invalid file format for Batch API. Must be .jsonl'),
    ]);
    const torn = await thrownBy(sent(Uint8Array.of(0x7b, 0xe2, 0x82), 'a.jsonl'));
    expect(torn.message).toContain('Invalid file for Batch API. Must be utf-8 encoded');
    expect((await thrownBy(sent(new Uint8Array(), 'a.jsonl'))).message).toContain('The file is empty');
    const tooLarge = await thrownBy(sent(Buffer.alloc(10_000_001, 32), 'a.jsonl'));
    expect(tooLarge.message).toContain('File is too large. The limit is 9.5Mi');
    expect(world.store.keys).toEqual([]);
  });
});

describe('uploads of the official client', () => {
  test('become a file of their parts, in the order that is told', async () => {
    const made = await client.uploads.create({
      filename: 'big.jsonl',
      purpose: 'batch',
      bytes: 6,
      mime_type: 'application/jsonl',
    });
    expect(made).toMatchObject({ object: 'upload', status: 'pending', bytes: 6, expires_at: made.created_at + 3_600 });
    const part = async (text: string) =>
      client.uploads.parts.create(made.id, { data: await toFile(Buffer.from(text)) });
    const [end, start] = [await part('ef'), await part('abcd')];
    expect(start).toMatchObject({ object: 'upload.part', upload_id: made.id });
    const done = await client.uploads.complete(made.id, { part_ids: [start.id, end.id] });
    expect(done).toMatchObject({ status: 'completed', file: { bytes: 6, purpose: 'batch', status: 'processed' } });
    expect(await (await client.files.content(done.file!.id)).text()).toBe('abcdef');
    expect(await client.uploads.complete(made.id, { part_ids: [start.id, end.id] })).toEqual(done);
  });

  test('that are cancelled take nothing more', async () => {
    const made = await client.uploads.create({ filename: 'a.jsonl', purpose: 'batch', bytes: 1, mime_type: 'text/x' });
    expect((await client.uploads.cancel(made.id)).status).toBe('cancelled');
    const data = await toFile(Buffer.from('x'));
    const error = await thrownBy(() => client.uploads.parts.create(made.id, { data }));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error.headers?.get('x-should-retry')).toBe('false');
  });
});

describe('batches of the official client', () => {
  const body = { input_file_id: 'file-in', endpoint: '/v1/chat/completions', completion_window: '24h' } as const;

  test('are made, polled and cancelled', async () => {
    const made = await client.batches.create({ ...body, metadata: { job: 'tickets' } });
    expect(made).toMatchObject({ object: 'batch', status: 'validating', metadata: { job: 'tickets' }, errors: null });
    expect(made.output_file_id).toBeNull();
    expect(await client.batches.retrieve(made.id)).toEqual(made);
    const cancelled = await client.batches.cancel(made.id);
    expect(cancelled).toMatchObject({ status: 'cancelling', cancelling_at: 1_790_000_009 });
    expect(await client.batches.cancel(made.id)).toEqual(cancelled);
  });

  test('show every field of the OpenAI API, null or not', async () => {
    const made = await client.batches.create(body);
    const fields = `id object endpoint model errors input_file_id completion_window status output_file_id error_file_id
      created_at in_progress_at expires_at finalizing_at completed_at failed_at expired_at cancelling_at cancelled_at
      request_counts usage metadata`;
    expect(Object.keys(made).sort()).toEqual([...fields.split(/\s+/), 'pilotlight'].sort());
    batches.set(made.id, {
      usage: { inputTokens: 9, cachedTokens: 1, outputTokens: 4, reasoningTokens: 2 },
      errors: [{ code: 'duplicate_custom_id', message: 'm', param: 'custom_id', line: 18 }],
    });
    expect(await client.batches.retrieve(made.id)).toMatchObject({
      usage: {
        input_tokens: 9,
        input_tokens_details: { cached_tokens: 1 },
        output_tokens: 4,
        output_tokens_details: { reasoning_tokens: 2 },
        total_tokens: 13,
      },
      errors: { object: 'list', data: [{ code: 'duplicate_custom_id', message: 'm', param: 'custom_id', line: 18 }] },
    });
  });

  test('carry what Pilotlight adds', async () => {
    const pilotlight = { objective: 'nightly', max_attempts: 3, on_invalid_row: 'skip', include_row_meta: true };
    await client.batches.create({
      ...body,
      output_expires_after: { anchor: 'created_at', seconds: 7_200 },
      pilotlight,
    } as never);
    expect(batches.requests[0]).toMatchObject({
      outputExpiresAfterMs: 7_200_000,
      wishes: {
        objective: 'nightly',
        maxAttempts: 3,
        onInvalidRow: 'skip',
        includeRowMeta: true,
        deadlineEpochMs: null,
      },
      repetition: { key: null, bodyHash: expect.stringMatching(/^[0-9a-f]{64}$/) as string, sdkRetry: 0 },
    });
  });

  test('are listed over several pages, each once', async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) made.push((await client.batches.create(body)).id);
    const seen: string[] = [];
    for await (const batch of client.batches.list({ limit: 2 })) seen.push(batch.id);
    expect(seen).toEqual(made.reverse());
  });

  test('that have ended cannot be cancelled, and the client does not try again', async () => {
    const made = await client.batches.create(body);
    batches.set(made.id, { status: 'completed' });
    const keen = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: API_KEY, maxRetries: 5 });
    const before = await rig.metric('pilotlight_ingress_requests_total');
    const error = await thrownBy(() => keen.batches.cancel(made.id));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error.message).toContain("Cannot cancel a batch with status 'completed'.");
    expect(await rig.metric('pilotlight_ingress_requests_total')).toBe(before + 1);
  });

  test('of another tenant are unknown', async () => {
    const made = await client.batches.create(body);
    const other = new OpenAI({ baseURL: `${rig.url}/v1`, apiKey: GATEWAY_KEY, maxRetries: 0 });
    expect(await thrownBy(() => other.batches.retrieve(made.id))).toBeInstanceOf(NotFoundError);
    expect(await thrownBy(() => other.batches.cancel(made.id))).toBeInstanceOf(NotFoundError);
    expect((await other.batches.list()).data).toEqual([]);
  });
});
