import type { PilotlightError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject } from './json.ts';
import { type DecodedMessage, type MessageCall, wrongType, wrongValue } from './message-call.ts';

/** What goes back is kept with the job until it has ended. */
const MAX_METADATA_CHARACTERS = 16_384;

export function isKubeAi(value: JsonObject): boolean {
  return value.body !== undefined;
}

/**
 * A request of KubeAI's messaging (https://www.kubeai.org/how-to/configure-messaging/): `{metadata?, path?, body}`, where
 * metadata goes back with the result. KubeAI takes an absent path for /v1/completions; here the body tells, which is the same
 * for every body that is one for completions.
 */
export function decodeKubeAi(value: JsonObject): DecodedMessage {
  const { metadata = null } = value;
  const text = metadata === null ? null : JSON.stringify(metadata);
  const tooLong = text !== null && text.length > MAX_METADATA_CHARACTERS;
  const head = { format: 'kubeai', customId: null, metadata: tooLong ? null : text, correlationId: null } as const;
  if (!tooLong) return { head, call: kubeAiCall(value) };
  return { head, call: wrongValue('metadata', `must have at most ${MAX_METADATA_CHARACTERS} characters as JSON`) };
}

function kubeAiCall({ path = null, body }: JsonObject): MessageCall | PilotlightError {
  if (path !== null && typeof path !== 'string') return wrongType('path', 'a string', path);
  if (!isJsonObject(body)) return wrongType('body', 'an object (the OpenAI request)', body);
  return {
    path: path === '' ? null : path,
    body: { kind: 'member', at: ['body'] },
    objective: null,
    deadlineEpochMs: null,
  };
}
