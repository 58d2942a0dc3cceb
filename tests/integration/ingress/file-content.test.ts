import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PilotlightError } from '../../../src/core/errors.ts';
import { systemClock } from '../../../src/platform/clock.ts';
import { chunks, type FileWorld, openFileWorld } from '../../support/file-world.ts';
import { FakeBatches } from '../../unit/ingress/support/fake-batches.ts';
import { identity } from '../../unit/ingress/support/fake-catalog.ts';
import { API_KEY, type Rig, startRig, until } from './rig.ts';

let rig: Rig;
let world: FileWorld;
beforeEach(async () => {
  world = openFileWorld(systemClock, { fileBytes: 100_000_000, batchFileBytes: 100_000_000 });
  const settings = { windows: ['24h'], fileBytes: 100_000_000, uploadPartBytes: 1_000_000 };
  rig = await startRig({
    settings: { clientStallTimeoutMs: 300 },
    batchApi: { files: world.files, uploads: world.uploads, batches: new FakeBatches(), settings },
  });
});
afterEach(() => rig.close());

const { tenant } = identity();
const never = new AbortController().signal;

async function keep(content: string, filename = 'a.jsonl'): Promise<string> {
  const spool = await world.files.receive(tenant, chunks(content), never);
  return (await spool.commit({ tenant, filename, purpose: 'user_data', expiresAfterMs: null })).id;
}

/** Its content lies in several blobs, as that of an upload. */
async function keepInParts(...texts: readonly string[]): Promise<string> {
  const bytes = texts.join('').length;
  const declared = { tenant, filename: 'a', purpose: 'user_data', bytes, mimeType: 'text/plain', expiresAfterMs: null };
  const { id } = await world.uploads.create(declared);
  const partIds: string[] = [];
  for (const text of texts) partIds.push((await world.uploads.addPart(id, tenant, chunks(text), never)).id);
  return (await world.uploads.complete(id, tenant, partIds, null)).file!.id;
}

const content = (id: string, headers: Record<string, string> = {}) => rig.get(`/v1/files/${id}/content`, headers);

describe('the content of a file', () => {
  test('says what it is, how long it is and what it is called', async () => {
    const id = await keep('0123456789', 'Grüße "1".jsonl');
    const answer = await content(id);
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'content-type': 'application/octet-stream',
      'content-length': '10',
      'accept-ranges': 'bytes',
      'content-disposition': `attachment; filename="Gr__e _1_.jsonl"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.jsonl`,
      etag: expect.stringMatching(/^"[0-9a-f]{64}"$/) as string,
      'x-request-id': expect.stringMatching(/^req_/) as string,
    });
    expect(await answer.text()).toBe('0123456789');
  });

  test.each([
    ['bytes=0-3', 206, '0123', 'bytes 0-3/10'],
    ['bytes=4-', 206, '456789', 'bytes 4-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=2-99', 206, '23456789', 'bytes 2-9/10'],
    ['bytes=3-6', 206, '3456', 'bytes 3-6/10'],
    ['bytes=0-1,4-5', 200, '0123456789', null],
    ['bytes=5-2', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
    ['bytes=-', 200, '0123456789', null],
  ])('in the range %s, also of a file in parts', async (range, status, text, contentRange) => {
    for (const id of [await keep('0123456789'), await keepInParts('012', '3', '456789')]) {
      const answer = await content(id, { range });
      expect([answer.status, await answer.text(), answer.headers.get('content-range')]).toEqual([
        status,
        text,
        contentRange,
      ]);
    }
  });

  test.each(['bytes=10-', 'bytes=99-100', 'bytes=-0'])('has no range %s', async (range) => {
    const answer = await content(await keep('0123456789'), { range });
    expect([answer.status, answer.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    expect(await answer.json()).toMatchObject({ error: { code: 'range_not_satisfiable', param: 'range' } });
  });

  test('is not sent again to those who have it, and whole to those who have an older part of it', async () => {
    const id = await keep('0123456789');
    const etag = (await content(id)).headers.get('etag')!;
    const same = await content(id, { 'if-none-match': `"x", W/${etag}` });
    expect([same.status, await same.text(), same.headers.get('etag')]).toEqual([304, '', etag]);
    expect((await content(id, { 'if-none-match': '"x"' })).status).toBe(200);
    expect((await content(id, { range: 'bytes=5-', 'if-range': etag })).status).toBe(206);
    expect((await content(id, { range: 'bytes=5-', 'if-range': '"older"' })).status).toBe(200);
  });

  test('is looked at by HEAD without being read', async () => {
    const id = await keep('0123456789');
    world.store.fault = (operation, key) => {
      if (operation === 'read' && key.endsWith('.data')) throw new Error('read');
    };
    const headers = { authorization: `Bearer ${API_KEY}` };
    const answer = await fetch(`${rig.url}/v1/files/${id}/content`, { method: 'HEAD', headers });
    expect([answer.status, answer.headers.get('content-length')]).toEqual([200, '10']);
  });

  test('that the store has lost is a 404; a store that fails is an error before it begins', async () => {
    const id = await keep('0123456789');
    world.store.fault = (operation, key) => {
      if (operation === 'read' && key.endsWith('.data')) throw new PilotlightError('store_unavailable', 'No answer.');
    };
    expect((await content(id)).status).toBe(503);
    world.store.fault = () => undefined;
    world.store.blobs.delete(`files/${id}.data`);
    expect((await content(id)).status).toBe(404);
  });

  test('that breaks off half-way is cut, not passed off as whole', async () => {
    const id = await keepInParts('x'.repeat(500_000), 'y'.repeat(500_000));
    const second = world.store.keys.filter((key) => key.includes('part_') && key.endsWith('.data'))[1]!;
    world.store.fault = (operation, key) => {
      if (operation === 'read' && key === second) throw new PilotlightError('store_unavailable', 'No answer.');
    };
    const answer = await content(id);
    expect(answer.status).toBe(200);
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });

  test('is cut when its reader reads nothing for too long', async () => {
    const id = await keep('x'.repeat(20_000_000));
    const socket = connect(Number(new URL(rig.url).port), '127.0.0.1');
    socket.write(`GET /v1/files/${id}/content HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${API_KEY}\r\n\r\n`);
    socket.pause();
    const requests = () => rig.metric('pilotlight_ingress_requests_total');
    await until(async () => (await requests()) === 1, 'the end of the answer');
    socket.destroy();
  });
});

test('where batches are switched off, their paths say so', async () => {
  await rig.close();
  rig = await startRig();
  for (const path of ['/v1/files', '/v1/files/file-1/content', '/v1/batches', '/v1/batches/b/rows', '/v1/uploads/u']) {
    const answer = await rig.get(path);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: 'batches_disabled' } });
  }
});
