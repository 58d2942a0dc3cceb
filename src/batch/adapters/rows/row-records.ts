import type { BlobStore } from '../../../core/blobs.ts';
import { decodeRecord, encodeRecord } from '../../../platform/blobs/record-codec.ts';
import { scanRecords } from '../../../platform/blobs/record-reader.ts';
import type { DecodeRowRecord, RowRecord } from '../../ports.ts';
import type { RowRecords, ScannedRow } from '../../rows/ports.ts';

/** Row records in the layout that all segments share; the header is the RowRecord. */
export const rowRecords: RowRecords = {
  encode(record, line) {
    const { head, body } = encodeRecord(record, line);
    return [head, body];
  },
  // Bodies are checked: a record whose end a crash has torn must not become the row's.
  async *scan(store: BlobStore, key: string, signal: AbortSignal): AsyncGenerator<ScannedRow> {
    for await (const found of scanRecords(store, key, asRowRecord, { checkBodies: true, signal })) {
      const { header, offsetBytes, lengthBytes } = found;
      yield { record: header, place: { key, offsetBytes, lengthBytes } };
    }
  },
};

export const decodeRowRecord: DecodeRowRecord = (bytes) => {
  const found = decodeRecord(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (found.kind === 'corrupt') return undefined;
  const record = asRowRecord(found.header);
  return record === null ? undefined : { record, line: found.body };
};

/** The CRC vouches for the fields; null for a record of another kind. */
function asRowRecord(header: unknown): RowRecord | null {
  const record = header as Partial<RowRecord>;
  const isRow =
    typeof record.batchId === 'string' &&
    Number.isSafeInteger(record.place) &&
    (record.state === 'completed' || record.state === 'failed');
  return isRow ? (record as RowRecord) : null;
}
