import type { BlobStore } from '../../core/blobs.ts';

/** Small JSON documents in the blob store. Only this program writes them, so their shape is not checked again. */
export async function readJson(store: BlobStore, key: string): Promise<unknown> {
  const bytes = await store.readAll(key);
  return bytes === null ? null : (JSON.parse(new TextDecoder().decode(bytes)) as unknown);
}

/** False when there is a document already; it stays as it is. */
export async function createJson(store: BlobStore, key: string, value: unknown): Promise<boolean> {
  const bytes = new TextEncoder().encode(JSON.stringify(value));
  const answer = await store.put(key, once(bytes), { ifAbsent: true });
  return answer.kind === 'stored';
}

// eslint-disable-next-line @typescript-eslint/require-await -- sources are asynchronous
async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}
