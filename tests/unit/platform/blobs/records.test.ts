import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeRecord, encodeRecord, MAX_HEADER_BYTES } from '../../../../src/platform/blobs/record-codec.ts';
import { readRecord, scanRecords } from '../../../../src/platform/blobs/record-reader.ts';
import { MemoryBlobStore } from '../../../support/memory-blob-store.ts';

const headers = fc.record({ id: fc.string(), count: fc.integer() });
const records = fc.array(fc.tuple(headers, fc.uint8Array({ maxLength: 300 })), { maxLength: 12 });
const asObject = (header: unknown): object | null => (typeof header === 'object' ? header : null);

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

function encoded(header: object, body: Uint8Array): Buffer {
  const record = encodeRecord(header, body);
  return Buffer.concat([record.head, record.body]);
}

describe('records', () => {
  test('come back as they were written', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ maxLength: 2_000 }), (header, body) => {
        const record = decodeRecord(encoded(header, body));
        expect(record).toMatchObject({ kind: 'whole', header: JSON.parse(JSON.stringify(header)) as object });
        expect(record.kind === 'whole' && Buffer.from(body).equals(record.body)).toBe(true);
      }),
    );
  });

  test('that are cut or changed anywhere are corrupt', () => {
    fc.assert(
      fc.property(headers, fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.nat(), (header, body, at) => {
        const whole = encoded(header, body);
        const changed = Buffer.from(whole);
        changed[at % whole.byteLength] = (whole[at % whole.byteLength] ?? 0) ^ 0x20;
        expect(decodeRecord(changed).kind).toBe('corrupt');
        expect(decodeRecord(whole.subarray(0, at % whole.byteLength)).kind).toBe('corrupt');
      }),
    );
  });

  test('with an impossible length make nobody read that much', () => {
    const record = encoded({ id: 'a' }, Buffer.from('body'));
    record.writeUInt32BE(MAX_HEADER_BYTES + 1, 4);
    expect(decodeRecord(record).kind).toBe('corrupt');
  });

  test('a scan finds all whole ones up to a cut at any byte, through windows of any size', async () => {
    await fc.assert(
      fc.asyncProperty(records, fc.nat(), fc.integer({ min: 1, max: 1_000 }), async (list, cut, windowBytes) => {
        const pieces = list.map(([header, body]) => encoded(header, body));
        const all = Buffer.concat(pieces);
        const cutBytes = all.byteLength === 0 ? 0 : cut % (all.byteLength + 1);
        const blobs = new MemoryBlobStore();
        await blobs.put('jobs/segment', once(all.subarray(0, cutBytes)));
        const scan = scanRecords(blobs, 'jobs/segment', asObject, { windowBytes, checkBodies: true });
        const found = [];
        let next = await scan.next();
        for (; !next.done; next = await scan.next()) found.push(next.value);
        let wholeBytes = 0;
        const whole = pieces.filter((piece) => (wholeBytes += piece.byteLength) <= cutBytes);
        expect(found.map(({ lengthBytes }) => lengthBytes)).toEqual(whole.map(({ byteLength }) => byteLength));
        const strayBytes = cutBytes - whole.reduce((sum, { byteLength }) => sum + byteLength, 0);
        expect(next.value).toMatchObject({ strayBytes });
        for (const [index, { offsetBytes, lengthBytes }] of found.entries()) {
          const place = { key: 'jobs/segment', offsetBytes, lengthBytes };
          const read = await readRecord(blobs, place, asObject);
          expect(read.kind === 'found' && read.body.equals(Buffer.from(list[index]?.[1] ?? []))).toBe(true);
        }
      }),
      { numRuns: 60 },
    );
  });
});
