import type { JobEvent } from '../../../core/job-events.ts';

type JsonObject = Readonly<Record<string, unknown>>;

/** What one event of a streamed response is to a stored job. */
export type StreamedEvent =
  | { readonly kind: 'event'; readonly event: JobEvent }
  /** The last event: the whole response, which is the job's result. */
  | { readonly kind: 'result'; readonly response: string }
  /** Told by whoever answers the reader, or meaning nothing to him. */
  | { readonly kind: 'drop' };

const LAST_EVENTS = new Set(['response.completed', 'response.incomplete', 'response.failed']);
/** The reader knows these from the moment the job was accepted. */
const FIRST_EVENTS = new Set(['response.created', 'response.queued']);

/**
 * Reads one event of a stream of /v1/responses. `id` replaces the model server's own id of the response; its numbers and
 * padding against traffic analysis are left out.
 */
export function readStreamedEvent(data: string, id: string): StreamedEvent {
  const parsed = parsedObject(data);
  const type = parsed?.['type'];
  if (!parsed || typeof type !== 'string' || FIRST_EVENTS.has(type)) return { kind: 'drop' };
  const { sequence_number: _number, obfuscation: _padding, response, ...rest } = parsed;
  if (LAST_EVENTS.has(type)) return isObject(response) ? { kind: 'result', response: JSON.stringify(response) } : DROP;
  const shown = isObject(response) ? { ...rest, response: { ...response, id, background: true } } : rest;
  return { kind: 'event', event: { type, data: JSON.stringify(shown) } };
}

const DROP: StreamedEvent = { kind: 'drop' };

/** The same events with neighbouring deltas of one place made one, so that a long answer takes few places in the log. */
export function mergeDeltas(events: readonly JobEvent[]): JobEvent[] {
  const merged: (JobEvent | Delta)[] = [];
  for (const event of events) {
    const delta = deltaOf(event);
    const last = merged.at(-1);
    if (delta && last && 'place' in last && last.place === delta.place) {
      last.text += delta.text;
      last.logprobs.push(...delta.logprobs);
    } else {
      merged.push(delta ?? event);
    }
  }
  return merged.map((entry) => ('place' in entry ? eventOf(entry) : entry));
}

interface Delta {
  readonly type: string;
  /** Item and part that it is added to. */
  readonly place: string;
  readonly fields: JsonObject;
  text: string;
  readonly logprobs: unknown[];
}

function deltaOf({ type, data }: JobEvent): Delta | null {
  const fields = type.endsWith('.delta') ? parsedObject(data) : null;
  const text = fields?.['delta'];
  if (!fields || typeof text !== 'string') return null;
  const { item_id, output_index, content_index, summary_index, logprobs } = fields;
  const place = JSON.stringify([type, item_id, output_index, content_index, summary_index]);
  return { type, place, fields, text, logprobs: Array.isArray(logprobs) ? [...(logprobs as unknown[])] : [] };
}

function eventOf({ type, fields, text, logprobs }: Delta): JobEvent {
  const told = Array.isArray(fields['logprobs']) ? { logprobs } : {};
  return { type, data: JSON.stringify({ ...fields, delta: text, ...told }) };
}

function parsedObject(text: string): JsonObject | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
