import { type DestinationStream, destination, pino, stdSerializers, stdTimeFunctions } from 'pino';
import type { LogFields, Logger } from '../core/logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  readonly level: LogLevel;
  /** On every line, e.g. the role. */
  readonly fields?: LogFields;
  /** Where lines go; default stderr, so that stdout stays the program's own. */
  readonly destination?: DestinationStream;
}

/** Fields that may hold a secret or a prompt, wherever someone logs them by mistake. */
const SECRET_FIELDS = [
  'authorization',
  'cookie',
  'apiKey',
  'key',
  'keys',
  'password',
  'token',
  'body',
  'prompt',
  'messages',
];

/** Writes each line as one JSON object with level, time, event and fields, at once and in order. */
export function createLogger({ level, fields = {}, destination: to }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: fields,
      messageKey: 'event',
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.err, error: stdSerializers.err },
      redact: {
        paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
        censor: '[redacted]',
      },
    },
    to ?? destination({ dest: 2, sync: true }),
  );
}
