export type LogFields = Readonly<Record<string, unknown>>;

/**
 * Structured log lines. `event` is a stable `noun.verb_past` name, everything that varies is a field.
 * Prompts, keys and tokens never go into a field.
 */
export interface Logger {
  debug(fields: LogFields, event: string): void;
  info(fields: LogFields, event: string): void;
  warn(fields: LogFields, event: string): void;
  error(fields: LogFields, event: string): void;
  child(fields: LogFields): Logger;
}
