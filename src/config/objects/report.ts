import { formatPath, type Problem, type ProblemReason } from '../problem.ts';
import type { ObjectKind, SourceObject } from './parse-objects.ts';

export type ReportedObject = Pick<SourceObject<ObjectKind>, 'kind' | 'key' | 'document' | 'origin'>;

/** Collects what is wrong between objects, each with the place of the field at fault. */
export interface Reporter {
  /** The object must not be used as it is. */
  error(object: ReportedObject, path: readonly PropertyKey[], message: string, reason?: ProblemReason): void;
  /** The object holds, without the part in question. */
  warn(object: ReportedObject, path: readonly PropertyKey[], message: string, reason?: ProblemReason): void;
  /** An older object has what it is about: the object as a whole has no effect. */
  yields(object: ReportedObject, path: readonly PropertyKey[], message: string): void;
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
    error(object, path, message, reason) {
      problems.push({ severity: 'error', ...at(object, path), message, ...(reason && { reason }) });
    },
    warn(object, path, message, reason) {
      problems.push({ severity: 'warning', ...at(object, path), message, ...(reason && { reason }) });
    },
    yields(object, path, message) {
      const reason = 'Conflicted';
      problems.push({ severity: 'warning', ...at(object, path), message, reason, withoutEffect: true });
    },
    problems,
  };
}

/** "ScalePolicy default/tickets" */
export function titleOf(object: Pick<ReportedObject, 'kind' | 'key'>): string {
  return `${object.kind} ${object.key}`;
}

/** "ScalePolicy default/tickets (objects.yaml:6:1)", or when it was created. */
export function whichOf(object: ReportedObject): string {
  return `${titleOf(object)} (${object.origin})`;
}
