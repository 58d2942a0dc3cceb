import { PilotlightError } from '../core/errors.ts';
import { decodeMessage, UNKNOWN_HEAD } from './policy/decode.ts';
import type { MessageBody, MessageCall, MessageHead } from './policy/message-call.ts';
import { readPointer, SIZE_ATTRIBUTES } from './policy/pointer.ts';
import { CORRELATION_ID } from './policy/reply.ts';
import type { AskedJob, JsonReader, PayloadStore, QueueMessage } from './ports.ts';

export interface ReaderDeps {
  readonly json: JsonReader;
  readonly payloads: PayloadStore;
  /** Buckets that a message may point into. */
  readonly buckets: readonly string[];
  /** Of a payload. */
  readonly maxBodyBytes: number;
  readonly jobIdOf: (messageId: string) => string;
}

/** It is kept with the job, and an attribute of the result is no longer. */
const MAX_CORRELATION_CHARACTERS = 1_024;

/** A message as it was understood. */
export interface ReadMessage {
  readonly head: MessageHead;
  readonly correlationId: string;
  readonly asked: AskedJob | PilotlightError;
}

/** What the message asks for, its payload fetched. Throws `store_unavailable` when a bucket does not answer. */
export async function readMessage(deps: ReaderDeps, message: QueueMessage, signal: AbortSignal): Promise<ReadMessage> {
  const bytes = await payloadOf(deps, message, signal);
  const parsed = bytes instanceof PilotlightError ? bytes : deps.json.parse(bytes);
  if (parsed instanceof PilotlightError) {
    return { head: UNKNOWN_HEAD, correlationId: correlationOf(message, null), asked: parsed };
  }
  const { head, call } = decodeMessage(parsed.value, message);
  const asked = call instanceof PilotlightError ? call : askedJob(deps, message, parsed.text, call);
  return { head, correlationId: correlationOf(message, head.correlationId), asked };
}

async function payloadOf(
  { payloads, buckets, maxBodyBytes }: ReaderDeps,
  { body, attributes }: QueueMessage,
  signal: AbortSignal,
): Promise<Uint8Array | PilotlightError> {
  const pointer = readPointer(body, buckets);
  if (pointer === null) return Buffer.from(body);
  if (pointer instanceof PilotlightError) return pointer;
  const claimedBytes = Math.max(...SIZE_ATTRIBUTES.map((name) => Number(attributes[name] ?? 0) || 0));
  if (claimedBytes > maxBodyBytes) return tooLarge(maxBodyBytes);
  const answer = await payloads.get(pointer, maxBodyBytes, signal);
  if (answer.kind === 'found') return answer.bytes;
  if (answer.kind === 'too_large') return tooLarge(maxBodyBytes);
  return new PilotlightError('file_not_found', 'There is no object where the message points to.', { param: 'body' });
}

function askedJob(
  { json, jobIdOf }: ReaderDeps,
  { id }: QueueMessage,
  text: string,
  { path, body, objective, deadlineEpochMs }: MessageCall,
): AskedJob {
  const { bodyText, at } = bodyOf(json, text, body);
  return { id: jobIdOf(id), path, bodyText, objective, deadlineEpochMs, at };
}

function bodyOf(json: JsonReader, text: string, body: MessageBody): { bodyText: string; at: string } {
  if (body.kind === 'text') return { bodyText: body.text, at: `${body.param}.` };
  const bodyText = body.at.reduce((within, key) => json.member(within, key) ?? '{}', text);
  return { bodyText, at: `${body.at.join('.')}.` };
}

/** The attribute counts most; without any name the message's own id. */
export function correlationOf({ id, attributes }: QueueMessage, own: string | null): string {
  const attribute = attributes[CORRELATION_ID]?.slice(0, MAX_CORRELATION_CHARACTERS);
  return attribute !== undefined && attribute !== '' ? attribute : (own ?? id);
}

function tooLarge(maxBytes: number): PilotlightError {
  const message = `The payload is larger than ${maxBytes} bytes (limits.bodyBytes).`;
  return new PilotlightError('body_too_large', message, { param: 'body' });
}
