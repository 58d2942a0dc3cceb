import type { Notice } from '../../core/notices.ts';

/** The body that is signed and sent: thin, the receiver asks for the object itself. */
export function payloadOf({ id, type, createdAtEpochMs, objectId }: Notice): string {
  const createdAt = Math.floor(createdAtEpochMs / 1_000);
  return JSON.stringify({ id, object: 'event', type, created_at: createdAt, data: { id: objectId } });
}
