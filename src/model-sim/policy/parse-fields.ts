import { badRequest, type Checked } from './api-error.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseJsonObject(text: string): Checked<JsonObject> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return { ok: false, error: badRequest('The body is not valid JSON.') };
  }
  return isJsonObject(parsed)
    ? { ok: true, value: parsed }
    : { ok: false, error: badRequest('The body must be a JSON object.') };
}

/** The integer in `field`, `fallback` if it is absent or null. */
export function integerField(
  body: JsonObject,
  field: string,
  fallback: number,
  min: number,
  max: number,
): Checked<number> {
  const value = body[field] ?? fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return { ok: true, value };
  return { ok: false, error: badRequest(`${field} must be a whole number from ${min} to ${max}.`, field) };
}

/** The boolean in `field`, false if it is absent or null. */
export function booleanField(body: JsonObject, field: string): Checked<boolean> {
  const value = body[field] ?? false;
  return typeof value === 'boolean'
    ? { ok: true, value }
    : { ok: false, error: badRequest(`${field} must be true or false.`, field) };
}
