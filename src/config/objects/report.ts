import { formatPath, type Problem } from '../problem.ts';
import type { ObjectKind, SourceObject } from './parse-objects.ts';

type ReportedObject = Pick<SourceObject<ObjectKind>, 'kind' | 'key' | 'document'>;

interface ReportOptions {
  readonly severity?: Problem['severity'];
  readonly reason?: Problem['reason'];
}

/** Collects what is wrong between objects, each with the place of the field at fault. */
export interface Reporter {
  error(object: ReportedObject, path: readonly PropertyKey[], message: string): void;
  warn(object: ReportedObject, path: readonly PropertyKey[], message: string, reason?: Problem['reason']): void;
  readonly problems: readonly Problem[];
}

export function createReporter(): Reporter {
  const problems: Problem[] = [];
  const add = (object: ReportedObject, path: readonly PropertyKey[], message: string, options: ReportOptions) => {
    problems.push({
      severity: options.severity ?? 'error',
      source: object.document.locate(path),
      object: titleOf(object),
      path: formatPath(path),
      message,
      ...(options.reason === undefined ? {} : { reason: options.reason }),
    });
  };
  return {
    error: (object, path, message) => add(object, path, message, {}),
    warn: (object, path, message, reason) => add(object, path, message, { severity: 'warning', reason }),
    problems,
  };
}

/** "ScalePolicy default/tickets" */
export function titleOf(object: Pick<ReportedObject, 'kind' | 'key'>): string {
  return `${object.kind} ${object.key}`;
}
