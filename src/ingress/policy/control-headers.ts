import { PilotlightError } from '../../core/errors.ts';
import { wrongValue } from './fields.ts';

/** Current name first; the older one of the same meaning counts only in its absence. */
const OBJECTIVE_HEADERS = ['x-llm-d-inference-objective', 'x-gateway-inference-objective'] as const;
const FAIRNESS_ID_HEADERS = ['x-llm-d-inference-fairness-id', 'x-gateway-inference-fairness-id'] as const;

export const CONTROL_HEADERS = [...OBJECTIVE_HEADERS, ...FAIRNESS_ID_HEADERS] as const;
export type ControlHeader = (typeof CONTROL_HEADERS)[number];

/** Kubernetes names and tenant ids fit; a header that does not is a mistake or an attack. */
const SANE_NAME = /^[A-Za-z0-9._:/-]{1,253}$/;

export interface CallerWishes {
  readonly objective: string | null;
  readonly fairnessId: string | null;
  /** Control headers that were sent but do not count, because the caller is not trusted. */
  readonly ignored: readonly ControlHeader[];
}

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const NO_WISHES: CallerWishes = { objective: null, fairnessId: null, ignored: [] };

/** What a caller asks for in control headers; of an untrusted caller nothing counts. */
export function callerWishes(headers: Headers, trusted: boolean): CallerWishes | PilotlightError {
  const sent = CONTROL_HEADERS.filter((name) => headers[name] !== undefined);
  if (sent.length === 0) return NO_WISHES;
  if (!trusted) return { ...NO_WISHES, ignored: sent };
  const objective = firstSane(headers, OBJECTIVE_HEADERS);
  if (objective instanceof PilotlightError) return objective;
  const fairnessId = firstSane(headers, FAIRNESS_ID_HEADERS);
  if (fairnessId instanceof PilotlightError) return fairnessId;
  return { objective, fairnessId, ignored: [] };
}

function firstSane(headers: Headers, names: readonly ControlHeader[]): string | null | PilotlightError {
  const name = names.find((candidate) => headers[candidate] !== undefined);
  const value = name && headers[name];
  if (name === undefined || value === undefined || value === '') return null;
  if (typeof value === 'string' && SANE_NAME.test(value)) return value;
  return wrongValue(name, 'must be one name of 1 to 253 characters out of letters, digits and . _ : / -');
}
