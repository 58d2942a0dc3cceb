import { badRequest, type Checked } from './api-error.ts';
import { isJsonObject, type JsonObject } from './parse-fields.ts';

/**
 * A fault that befalls single calls.
 *
 * | kind | what the caller sees |
 * | --- | --- |
 * | status | HTTP `status` at once |
 * | hang | nothing, for ever |
 * | disconnect | the connection is cut after `afterTokens` tokens |
 * | error | after `afterTokens` tokens an error event and [DONE] inside the 200 of a stream; a plain call gets 500 |
 * | abort | after `afterTokens` tokens a 200 with finish_reason "abort" and the text so far |
 */
export interface CallFault {
  readonly kind: (typeof CALL_FAULTS)[number];
  /** Calls still to be hit; null = all. */
  readonly count: number | null;
  readonly status: number;
  readonly afterTokens: number;
}

export interface Faults {
  /** Accept and never answer: nobody, calls of inference, or everything. */
  readonly hang: 'none' | 'inference' | 'all';
  /** Every step takes so many times as long. */
  readonly slowFactor: number;
  /** What GET /health answers while the server is ready; 200 = no fault. */
  readonly healthStatus: number;
  /** On SIGTERM do nothing at all, as vLLM does when it publishes KV events. */
  readonly hangOnShutdown: boolean;
  /** The first that has calls left hits the next call. */
  readonly calls: readonly CallFault[];
}

const CALL_FAULTS = ['status', 'hang', 'disconnect', 'error', 'abort'] as const;
const HANGS = ['none', 'inference', 'all'] as const;
const MAX_CALL_FAULTS = 100;
const FIELDS = ['hang', 'slowFactor', 'healthStatus', 'hangOnShutdown', 'calls'];

export const NO_FAULTS: Faults = { hang: 'none', slowFactor: 1, healthStatus: 200, hangOnShutdown: false, calls: [] };

/** `faults` with the fields of `change` replaced. An unknown field is an error, so that a typo cannot pass as "no fault". */
export function changeFaults(faults: Faults, change: JsonObject): Checked<Faults> {
  const unknown = Object.keys(change).find((field) => !FIELDS.includes(field));
  if (unknown !== undefined) return refuse(unknown, `There is no fault "${unknown}"; known are ${FIELDS.join(', ')}.`);
  const merged = { ...faults, ...change };
  const hang = HANGS.find((known) => known === merged.hang);
  if (hang === undefined) return refuse('hang', `hang must be one of ${HANGS.join(', ')}.`);
  if (typeof merged.slowFactor !== 'number' || !(merged.slowFactor >= 0 && merged.slowFactor <= 1e6)) {
    return refuse('slowFactor', 'slowFactor must be a number from 0 to 1000000.');
  }
  if (!isStatus(merged.healthStatus))
    return refuse('healthStatus', 'healthStatus must be an HTTP status from 200 to 599.');
  if (typeof merged.hangOnShutdown !== 'boolean')
    return refuse('hangOnShutdown', 'hangOnShutdown must be true or false.');
  const calls = callFaults(merged.calls);
  if (!calls.ok) return calls;
  const { slowFactor, healthStatus, hangOnShutdown } = merged;
  return { ok: true, value: { hang, slowFactor, healthStatus, hangOnShutdown, calls: calls.value } };
}

/** The fault for the next call, and what is left for those after it. */
export function takeCallFault(faults: Faults): { fault: CallFault | null; left: Faults } {
  const fault = faults.calls[0];
  if (fault === undefined || fault.count === null) return { fault: fault ?? null, left: faults };
  const rest = fault.count > 1 ? [{ ...fault, count: fault.count - 1 }] : [];
  return { fault, left: { ...faults, calls: [...rest, ...faults.calls.slice(1)] } };
}

function callFaults(value: unknown): Checked<CallFault[]> {
  if (!Array.isArray(value) || value.length > MAX_CALL_FAULTS) {
    return refuse('calls', `calls must be a list of at most ${MAX_CALL_FAULTS} faults.`);
  }
  const faults: CallFault[] = [];
  for (const [index, entry] of value.entries()) {
    const fault = callFault(entry);
    if (fault === null) {
      const shape = `{"kind": ${CALL_FAULTS.join('|')}, "count": 1 or more or null, "status": 200..599, "afterTokens": 0 or more}`;
      return refuse(`calls[${index}]`, `calls[${index}] must look like ${shape}.`);
    }
    faults.push(fault);
  }
  return { ok: true, value: faults };
}

function callFault(entry: unknown): CallFault | null {
  if (!isJsonObject(entry)) return null;
  const kind = CALL_FAULTS.find((known) => known === entry.kind);
  const { count = 1, status = 500, afterTokens = 0 } = entry;
  const countOk = count === null || (Number.isInteger(count) && (count as number) > 0);
  const tokensOk = Number.isInteger(afterTokens) && (afterTokens as number) >= 0;
  if (kind === undefined || !countOk || !isStatus(status) || !tokensOk) return null;
  return { kind, count: count as number | null, status, afterTokens: afterTokens as number };
}

function isStatus(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 200 && (value as number) <= 599;
}

function refuse(param: string, message: string): Checked<never> {
  return { ok: false, error: badRequest(message, param) };
}
