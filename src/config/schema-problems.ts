import type { z } from 'zod';
import { suggestion } from './did-you-mean.ts';
import { show } from './fields.ts';
import { allowedKeys, describeType, type JsonSchema, schemasAt } from './json-schema.ts';

type Issue = z.core.$ZodIssue;

/** One problem of a value that does not fit its schema. */
export interface SchemaProblem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  /** The key itself is at fault, not its value. */
  readonly onKey: boolean;
}

/** Says about a key that has no meaning here why that is so, instead of the list of keys that have one. */
export type UnknownKeyNote = (path: readonly PropertyKey[]) => string | undefined;

/** What `issues` of the value `root` (reported with their input) mean in words, and what to write instead. */
export function explainIssues(
  issues: readonly Issue[],
  schema: JsonSchema,
  root: unknown,
  noteFor: UnknownKeyNote = () => undefined,
): SchemaProblem[] {
  return issues.flatMap((issue): SchemaProblem[] => {
    if (issue.code === 'unrecognized_keys') {
      const allowed = allowedKeys(schema, issue.path, root);
      return issue.keys.map((key) => {
        const path = [...issue.path, key];
        return { path, message: noteFor(path) ?? unknownKey(key, allowed), onKey: true };
      });
    }
    const here = schemasAt(schema, issue.path, root).filter((one) => one.type !== 'null');
    const wanted = [...new Set(here.map(describeType))].join(' or ');
    const shown = here.some((one) => one.secret) ? { ...issue, input: '(not shown)' } : issue;
    return [{ path: issue.path, message: explain(shown as typeof issue, wanted), onKey: false }];
  });
}

export function unknownKey(key: string, allowed: readonly string[]): string {
  return `unknown key; ${suggestion(key, allowed)}`;
}

function explain(issue: Exclude<Issue, { code: 'unrecognized_keys' }>, wanted: string): string {
  switch (issue.code) {
    case 'invalid_type':
      // A field's own message (a missing unit) says more than its type does.
      if (issue.input !== undefined && !issue.message.startsWith('Invalid input')) return issue.message;
      if (issue.input === undefined) return `is required; write ${wanted}`;
      return `${show(issue.input)} is not ${wanted}`;
    case 'invalid_value':
      if (!issue.message.startsWith('Invalid')) return issue.message;
      return explainChoice(issue.input, issue.values.map(String));
    case 'invalid_union':
      return explainUnion(issue, wanted);
    case 'too_small':
      return explainBound(issue, `at least ${issue.minimum}`, wanted);
    case 'too_big':
      return explainBound(issue, `at most ${issue.maximum}`, wanted);
    default:
      return issue.message;
  }
}

function explainChoice(input: unknown, values: readonly string[]): string {
  if (input === undefined) return `is required; write ${choices(values)}`;
  const guess = typeof input === 'string' ? suggestion(input, values) : '';
  return `${show(input)} is not allowed; ${guess.startsWith('did') ? guess : `write ${choices(values)}`}`;
}

function choices(values: readonly string[]): string {
  const quoted = values.map((value) => `"${value}"`);
  return quoted.length === 1 ? quoted.join('') : `one of ${quoted.join(', ')}`;
}

function explainUnion(issue: Extract<Issue, { code: 'invalid_union' }>, wanted: string): string {
  const { discriminator, options } = issue as { discriminator?: string; options?: readonly unknown[] };
  if (discriminator !== undefined && options !== undefined) {
    const chosen = (issue.input as Record<string, unknown> | undefined)?.[discriminator];
    return explainChoice(chosen, options.map(String));
  }
  if (issue.input === undefined) return `is required; write ${wanted}`;
  return issue.message === 'Invalid input' ? `${show(issue.input)} is not ${wanted}` : issue.message;
}

function explainBound(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>, bound: string, wanted: string): string {
  switch (issue.origin) {
    case 'string':
      return issue.code === 'too_small' ? 'must not be empty' : `must have ${bound} characters`;
    case 'array':
    case 'record':
      return `must have ${bound} ${issue.code === 'too_small' && issue.minimum === 1 ? 'entry' : 'entries'}`;
    default:
      return `${show(issue.input)} is out of range; write ${wanted}`;
  }
}
