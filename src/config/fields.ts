import { z } from 'zod';
import { type Parsed, parseBytes, parseDuration } from '../core/units.ts';

/** The kinds of value that configuration and objects are made of. Written form in, plain numbers out. */

/** What may follow a zod schema in its JSON form; read by the printer and the reference table. */
export interface FieldMeta {
  /** Shown instead of the JSON type. */
  readonly unit?: 'duration' | 'size';
  /** Masked wherever it is shown, and refused as a flag. */
  readonly secret?: boolean;
  /** The whole of a secret value is one, not only a part such as the password in a URL. */
  readonly opaque?: boolean;
  /** What an absent value means, for leaves without a default. */
  readonly whenAbsent?: string;
}

function textField(parse: (text: string) => Parsed<number>, unit: 'duration' | 'size', example: string) {
  const hint = (input: unknown) => `${show(input)} has no unit; write text like "${example}"`;
  return z
    .string({ error: (issue) => hint(issue.input) })
    .transform((text, context) => {
      const parsed = parse(text);
      if (parsed.ok) return parsed.value;
      context.addIssue({ code: 'custom', message: parsed.problem, input: text });
      return z.NEVER;
    })
    .meta({ unit } satisfies FieldMeta);
}

/** Milliseconds, written "30s" or "1h30m". */
export const duration = textField(parseDuration, 'duration', '30s');

/** Milliseconds, at least 1. */
export const positiveDuration = duration.refine((durationMs) => durationMs > 0, {
  error: 'must be longer than 0; write for example "1s"',
});

/** Bytes, written "256Mi", at least 1. */
export const size = textField(parseBytes, 'size', '10Mi').refine((bytes) => bytes > 0, {
  error: 'must be larger than 0; write for example "1Mi"',
});

/** "Auto" = learned, or a fixed value. */
export const autoDuration = z.union([z.literal('Auto'), positiveDuration], {
  error: (issue) => `${show(issue.input)} is neither "Auto" nor a duration; write "Auto" or text like "30s"`,
});

export const autoSlots = z.union([z.literal('Auto'), z.int().min(1).max(100_000)], {
  error: (issue) => `${show(issue.input)} is not allowed; write "Auto" or a whole number from 1 to 100000`,
});

/** 1..100, whole. */
export const percent = z.int().min(1).max(100);

/** Name of an object: what Kubernetes accepts as a DNS subdomain. */
export const objectName = z
  .string()
  .max(253)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/, {
    error: (issue) =>
      `${show(issue.input)} is not a name; use a-z, 0-9, "-" and ".", starting and ending with a-z or 0-9`,
  });

/** Name of a namespace or of an entry in a list: a DNS label. */
export const labelName = z
  .string()
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, {
    error: (issue) => `${show(issue.input)} is not a name; use a-z, 0-9 and "-", starting and ending with a-z or 0-9`,
  });

/** Text with something in it, at most `max` characters. */
export function text(max = 253) {
  return z.string().trim().min(1).max(max);
}

/** A value in an error text: short, on one line. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const json = JSON.stringify(value);
  return json.length > 60 ? `${json.slice(0, 57)}…` : json;
}
