/** Of `src/core/blobs.ts`: segments of `[0-9A-Za-z._-]` joined by "/", none of them "." or "..". */
const SEGMENT = /^[0-9A-Za-z._-]+$/;
const MAX_KEY_CHARS = 512;

/** Throws for what is not a key: nothing that a caller chose can lead out of the store. */
export function checkKey(key: string): void {
  if (key.length > MAX_KEY_CHARS || !key.split('/').every(isKeySegment)) {
    throw new TypeError(`${JSON.stringify(key.slice(0, 80))} is not a key of a blob`);
  }
}

/** '' or the beginning of keys up to a "/". */
export function checkPrefix(prefix: string): void {
  if (prefix === '') return;
  if (!prefix.endsWith('/'))
    throw new TypeError(`the prefix ${JSON.stringify(prefix.slice(0, 80))} does not end in "/"`);
  checkKey(prefix.slice(0, -1));
}

export function isKeySegment(name: string): boolean {
  return SEGMENT.test(name) && name !== '.' && name !== '..';
}
