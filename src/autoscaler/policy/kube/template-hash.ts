/**
 * Eight hex digits for a text: 32-bit FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/), as Kubernetes takes for its
 * own pod-template-hash. For telling templates apart, not for security.
 */
export function hashText(text: string): string {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) {
    hash ^= byte;
    hash = Math.imul(hash, 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}
