import { formatPath, type Problem } from '../problem.ts';
import type { ObjectKind, SourceObject } from './parse-objects.ts';

type ReportedObject = Pick<SourceObject<ObjectKind>, 'kind' | 'key' | 'document'>;

/** Collects what is wrong between objects, each with the place of the field at fault. */
export interface Reporter {
  error(object: ReportedObject, path: readonly PropertyKey[], message: string): void;
  warn(object: ReportedObject, path: readonly PropertyKey[], message: string, reason?: Problem['reason']): void;
  readonly problems: readonly Problem[];
}

export function createReporter(): Reporter {
  const problems: Problem[] = [];
  const at = (object: ReportedObject, path: readonly PropertyKey[]) => ({
    source: object.document.locate(path),
    object: titleOf(object),
    path: formatPath(path),
  });
  return {
    error(object, path, message) {
      problems.push({ severity: 'error', ...at(object, path), message });
    },
    warn(object, path, message, reason) {
      problems.push({ severity: 'warning', ...at(object, path), message, ...(reason && { reason }) });
    },
    problems,
  };
}

/** "ScalePolicy default/tickets" */
export function titleOf(object: Pick<ReportedObject, 'kind' | 'key'>): string {
  return `${object.kind} ${object.key}`;
}
