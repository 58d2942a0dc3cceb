/** What is wrong with one row; its line is added by who knows it. */
export interface RowProblem {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
}

export type JsonObject = Readonly<Record<string, unknown>>;

/** Longest piece of a caller's text inside a message, in characters. */
const MAX_SHOWN = 128;

export function problem(code: string, message: string, param: string | null = null): RowProblem {
  return { code, message, param };
}

export function missing(param: string): RowProblem {
  return problem('missing_required_parameter', `Missing required parameter: '${param}'.`, param);
}

export function wrongType(param: string, wanted: string, value: unknown): RowProblem {
  return problem('invalid_type', `Invalid type for '${param}': expected ${wanted}, but got ${kindOf(value)}.`, param);
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** "a string", "null", "an array": never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

/** A name from the caller as it may stand in a message. */
export function shown(name: string): string {
  return name.length > MAX_SHOWN ? `${name.slice(0, MAX_SHOWN)}…` : name;
}
