import { editMembers } from '../json-members.ts';

/**
 * A /v1/responses body as the model server gets it. It keeps nothing: storing, background work and streaming of stored
 * work are done here, and `pilotlight` is ours. Every other byte stays as the caller wrote it.
 */
export function engineResponsesText(text: string, stream?: boolean): string {
  return editMembers(text, {
    store: false,
    background: undefined,
    previous_response_id: undefined,
    conversation: undefined,
    prompt: undefined,
    pilotlight: undefined,
    ...(stream !== undefined && { stream }),
  });
}
